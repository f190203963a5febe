/** When a new order may be shown: not under the hand of somebody who reads, but not held for long either. Pure. */

/** The longest that a new order is held. */
export const HOLD_MS = 8_000;

export class Hold {
  #since: number | undefined;

  /** When the order that waits is shown at the latest; nothing if none waits. */
  get due(): number | undefined {
    return this.#since === undefined ? undefined : this.#since + HOLD_MS;
  }

  /** There is a new order. Says whether it is shown now. */
  isShown(isReading: boolean, now: number): boolean {
    if (isReading && (this.due === undefined || now < this.due)) {
      this.#since ??= now;
      return false;
    }
    this.#since = undefined;
    return true;
  }

  /** Nothing waits any more: it was shown, or came back to what is shown. */
  release(): void {
    this.#since = undefined;
  }
}

/** Whether two orders look the same. */
export const isSame = (one: readonly string[], other: readonly string[]): boolean =>
  one === other || (one.length === other.length && one.every((id, index) => id === other[index]));
