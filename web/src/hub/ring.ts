/**
 * The newest items of one task, kept once for all tabs. Each has a position, which counts up for ever, also over resets: a tab's place is the
 * position that it needs next, and when the ring has moved past it the tab begins anew.
 */
import type { Activity, Item } from "tasklight/viewer";
import { charsOf } from "../model/payload.ts";

interface Kept {
  readonly item: Item;
  readonly chars: number;
}

export class Ring {
  readonly #most: number;
  #kept: Kept[] = [];
  /** What is before this in `#kept` is dropped. */
  #skip = 0;
  /** The position of the first item kept. */
  #first = 0;
  /** The position after the last item that does not follow on from the one before it. */
  #unbroken = 0;
  #chars = 0;

  /** A ring of at most so many items. */
  constructor(most: number) {
    this.#most = most;
  }

  get first(): number {
    return this.#first;
  }

  /** The position of the item to come. */
  get next(): number {
    return this.#first + this.length;
  }

  get length(): number {
    return this.#kept.length - this.#skip;
  }

  /** About how many characters it holds. */
  get chars(): number {
    return this.#chars;
  }

  push(item: Item): void {
    if (item.kind === "reset" || item.kind === "deleted") this.#forget();
    const chars = item.kind === "activity" ? charsOf(item.activity) : 0;
    this.#kept.push({ item, chars });
    this.#chars += chars;
    if (item.kind !== "activity" && item.kind !== "live") this.#unbroken = this.next;
    while (this.#most < this.length) this.drop();
  }

  /** Drops the oldest item. */
  drop(): void {
    const oldest = this.#kept[this.#skip];
    if (oldest === undefined) return;
    this.#chars -= oldest.chars;
    this.#skip += 1;
    this.#first += 1;
    if (this.#most < this.#skip) this.#compact();
  }

  /** Items from this position on, at most so many and about so many characters, but at least one. Nothing if the position is no longer kept. */
  from(position: number, most: number, chars: number): readonly Item[] | undefined {
    if (position < this.#first) return undefined;
    const items: Item[] = [];
    let total = 0;
    for (let at = this.#skip + position - this.#first; at < this.#kept.length && items.length < most; at += 1) {
      const kept = this.#kept[at];
      if (kept === undefined || (items.length !== 0 && chars < total + kept.chars)) break;
      items.push(kept.item);
      total += kept.chars;
    }
    return items;
  }

  /** The newest activities, each the one after the other, under the same bounds. */
  newest(most: number, chars: number): readonly Activity[] {
    const activities: Activity[] = [];
    let total = 0;
    const oldest = this.#skip + Math.max(0, this.#unbroken - this.#first);
    for (let at = this.#kept.length - 1; oldest <= at && activities.length < most; at -= 1) {
      const kept = this.#kept[at];
      if (kept === undefined || (activities.length !== 0 && chars < total + kept.chars)) break;
      if (kept.item.kind === "activity") activities.push(kept.item.activity);
      total += kept.chars;
    }
    return activities.reverse();
  }

  #forget(): void {
    this.#first = this.next;
    this.#kept = [];
    this.#skip = this.#chars = 0;
  }

  #compact(): void {
    this.#kept = this.#kept.slice(this.#skip);
    this.#skip = 0;
  }
}
