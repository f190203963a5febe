/** What waits to be stored, in order and bounded, without I/O. It leaves only with a receipt, a refusal, or when it is too old. */
import type { Receipt } from "../activity.js";
import { TasklightError } from "../error.js";

/** The bounds of what waits. */
export interface QueueLimits {
  readonly items: number;
  readonly bytes: number;
}

/** An activity on its way. */
export interface Entry {
  readonly text: string;
  readonly bytes: number;
  readonly queuedAt: number;
  readonly resolve: (receipt: Receipt) => void;
  readonly reject: (error: TasklightError) => void;
}

export class Queue {
  readonly #limits: QueueLimits;
  #entries: Entry[] = [];
  #bytes = 0;

  constructor(limits: QueueLimits) {
    this.#limits = limits;
  }

  get size(): number {
    return this.#entries.length;
  }

  /** Whether there is no room for so many bytes more. An empty queue takes anything. */
  isFullFor(bytes: number): boolean {
    return this.size !== 0 && (this.#limits.items <= this.size || this.#limits.bytes < this.#bytes + bytes);
  }

  add(entry: Entry): void {
    this.#entries.push(entry);
    this.#bytes += entry.bytes;
  }

  /** The first ones, at most so many and so large; one at least, if there is one. They stay until they are settled. */
  first(items: number, bytes: number): readonly Entry[] {
    let size = 0;
    let count = 0;
    for (const entry of this.#entries.slice(0, items)) {
      if (count !== 0 && bytes < size + entry.bytes) break;
      size += entry.bytes;
      count += 1;
    }
    return this.#entries.slice(0, count);
  }

  /** The first so many are answered. */
  drop(count: number): void {
    for (const entry of this.#entries.slice(0, count)) this.#bytes -= entry.bytes;
    this.#entries = this.#entries.slice(count);
  }

  /** Gives up on everything queued before then. */
  expire(before: number, error: TasklightError): void {
    const count = this.#entries.findIndex((entry) => before <= entry.queuedAt);
    const old = this.#entries.slice(0, count === -1 ? undefined : count);
    this.drop(old.length);
    for (const entry of old) entry.reject(error);
  }
}
