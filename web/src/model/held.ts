/**
 * What the page holds of a log: its tail, which goes on by itself, and what is shown, which is the tail or a place in history that was paged in.
 * Pure: it is told what comes, and says what that did to the entries.
 */
import type { Activity, Item } from "tasklight/viewer";
import { Entries } from "./entries.ts";
import type { Entry, HoleEntry } from "./entry.ts";
import { type Change, type LogFilter, MOST_ACTIVITIES } from "./log.ts";
import { type Hole, type Part, Window } from "./window.ts";

/** Everything is shown. */
export const NO_FILTER: LogFilter = { types: new Set(), invocation: undefined };

/** Of a log of which nothing is known yet. */
const NO_EPOCH = "";

export class Held {
  #tail = new Window(NO_EPOCH, 1);
  #view = this.#tail;
  #entries = new Entries();
  #filter = NO_FILTER;
  #hold: number | undefined;
  /** What is said before the first activity ever. */
  #preface: HoleEntry | undefined;
  #change: Change | undefined;
  #place = 0;
  #head = 0;
  #floor = 1;

  get view(): Window {
    return this.#view;
  }

  get entries(): readonly Entry[] {
    return this.#entries.list;
  }

  get filter(): LogFilter {
    return this.#filter;
  }

  get isAtEnd(): boolean {
    return this.#view === this.#tail;
  }

  get head(): number {
    return this.#head;
  }

  get floor(): number {
    return this.#floor;
  }

  /** Whether there is more before what is shown. */
  get hasBefore(): boolean {
    return this.#view.activities.length !== 0 && this.#view.before !== null && this.#floor < this.#view.from;
  }

  /** Counts how often what is shown was replaced: what was asked for before belongs nowhere. */
  get place(): number {
    return this.#place;
  }

  /** What was done since this was last asked. */
  takeChange(): Change | undefined {
    const change = this.#change;
    this.#change = undefined;
    return change;
  }

  /** Learns how far the log reaches. */
  learn({ head, floor }: { readonly head?: number; readonly floor?: number }): void {
    if (head !== undefined) this.#head = Math.max(this.#head, head);
    if (floor !== undefined) this.#floor = Math.max(this.#floor, floor);
  }

  /** The hub knows no such task, so that what is held is of one that is no more. */
  missing(): void {
    if (this.#tail.activities.length !== 0) this.#deleted();
  }

  /** Somebody reads here; see `TaskLog`. */
  hold(offset: number | undefined): void {
    this.#hold = offset;
  }

  /** The log's newest activities, whatever came before. */
  start(activities: readonly Activity[]): void {
    const [first] = activities;
    if (!first) {
      if (this.#tail.activities.length !== 0) this.#anew(NO_EPOCH, 1, undefined);
      return;
    }
    const epoch = epochOf(first);
    if (epoch !== this.#tail.epoch) this.#anew(epoch, first.offset, undefined);
    else if (this.#tail.to + 1 < first.offset) {
      // Whoever reads up there goes on reading.
      if (this.isAtEnd && this.#hold !== undefined) this.#tail = new Window(epoch, first.offset);
      else this.#begin(epoch, first.offset);
    }
    this.#append(activities);
  }

  /** What comes after that. */
  items(items: readonly Item[]): void {
    let run: Activity[] = [];
    for (const item of items) {
      if (item.kind === "activity") {
        run.push(item.activity);
        continue;
      }
      this.#append(run);
      run = [];
      this.#hear(item);
    }
    this.#append(run);
  }

  /** Adds a page before what is shown. If there is no room for all, the newest goes. */
  addBefore(part: Part): void {
    const tail = this.isAtEnd ? this.#view.copy() : this.#tail;
    tail.keepWhole();
    this.#view.addBefore(part);
    const entries = this.#entries.prepend(part.activities.filter(this.#fits));
    this.#did({ kind: "prepended", entries });
    if (!isOpen(this.#filter)) this.#view.thin(this.#fits);
    const to = this.#view.trimNewest();
    if (to === undefined) return;
    this.#tail = tail;
    this.#entries.trimAfter(to);
  }

  /** Adds a page after what is shown. If there is no room for all, the oldest goes. */
  addAfter(part: Part): void {
    const { from } = this.#tail;
    // What the tail has is whole there.
    const isInTail = !part.whole && this.#view.epoch === this.#tail.epoch && from <= part.reach;
    const added = isInTail ? { ...part, activities: part.activities.filter(({ offset }) => offset < from), reach: from - 1 } : part;
    this.#view.addAfter(added);
    this.#show(added.activities);
    if (this.#view.epoch === this.#tail.epoch && this.#tail.to <= this.#view.to) this.#tail = this.#view;
  }

  /** Goes on with the next of the tail, if that follows on from what is shown. Says whether it did. */
  addFromTail(most: number): boolean {
    const [view, tail] = [this.#view, this.#tail];
    if (view === tail || view.epoch !== tail.epoch || view.to + 1 < tail.from) return false;
    const activities = tail.next(view.to, most);
    this.addAfter({ activities, whole: true, reach: activities.at(-1)?.offset ?? tail.to, cursor: null });
    return true;
  }

  /** Shows another place of the same log: an unbroken run of activities. */
  goTo(epoch: string, activities: readonly Activity[]): void {
    const [first] = activities;
    if (!first) return;
    this.#tail.keepWhole();
    this.#view = new Window(epoch, first.offset);
    this.#view.append(activities);
    if (epoch === this.#tail.epoch && this.#tail.to <= this.#view.to) this.#tail = this.#view;
    this.#replaced();
  }

  goToEnd(): void {
    if (this.isAtEnd) return;
    this.#view = this.#tail;
    this.#replaced();
  }

  /** Shows only what fits. What was paged in for another filter is let go. */
  setFilter(filter: LogFilter): void {
    this.#filter = filter;
    this.#view.keepWhole();
    this.#replaced();
  }

  readonly #fits = ({ type, invocationId }: Activity): boolean => {
    const { types, invocation } = this.#filter;
    return (types.size === 0 || types.has(type)) && (invocation === undefined || invocation === invocationId);
  };

  #hear(item: Exclude<Item, { kind: "activity" }>): void {
    switch (item.kind) {
      case "live":
        this.learn({ head: item.offset });
        break;
      case "truncated": {
        this.learn({ floor: item.floor });
        const hole = this.#tail.activities.length === 0 ? undefined : this.#tail.skipTo(item.floor);
        if (!hole || !this.isAtEnd) break;
        this.#entries.appendHole(holeEntry(hole));
        this.#did({ kind: "grown" });
        break;
      }
      case "reset":
        this.#anew(item.epoch, 1, preface("reset", "The log began anew: the task was deleted and made again, or the hub was restored from a backup."));
        break;
      case "deleted":
        this.#deleted();
    }
  }

  #deleted(): void {
    this.#anew(NO_EPOCH, 1, preface("deleted", "The task was deleted. If it is made again, it goes on here."));
  }

  #append(activities: readonly Activity[]): void {
    const [first] = activities;
    if (!first) return;
    const epoch = epochOf(first);
    const isEmpty = this.#tail.activities.length === 0;
    if (epoch !== this.#tail.epoch || this.#tail.to + 1 < first.offset || (isEmpty && this.#tail.to + 1 !== first.offset)) {
      this.#begin(epoch, first.offset);
    }
    const news = first.offset <= this.#tail.to ? activities.filter(({ offset }) => this.#tail.to < offset) : activities;
    this.learn({ head: news.at(-1)?.offset ?? 0 });
    if (this.isAtEnd && this.#isHeldBack(news.length)) this.#tail = new Window(epoch, this.#tail.to + 1);
    this.#tail.append(news);
    if (this.isAtEnd) this.#show(news);
    else this.#tail.trimOldest();
  }

  /** Whether room for so many more could only be made by what somebody reads. */
  #isHeldBack(more: number): boolean {
    const { activities } = this.#view;
    const middle = activities[activities.length >> 1]?.offset ?? 0;
    return this.#hold !== undefined && this.#hold < middle && MOST_ACTIVITIES < activities.length + more;
  }

  /** The entries of what the view got at its end, and room made for it. */
  #show(activities: readonly Activity[]): void {
    this.#entries.append(activities.filter(this.#fits));
    if (!isOpen(this.#filter)) this.#view.thin(this.#fits);
    const from = this.#view.trimOldest();
    if (from === undefined) this.#did({ kind: "grown" });
    else this.#did({ kind: "trimmed", entries: this.#entries.trimBefore(from) });
  }

  /** The tail begins with this offset: what lies between is in the store. */
  #begin(epoch: string, offset: number): void {
    const wasAtEnd = this.isAtEnd;
    this.#tail = new Window(epoch, offset);
    if (!wasAtEnd) return;
    if (offset !== 1) this.#preface = undefined;
    this.#view = this.#tail;
    this.#replaced();
  }

  /** Another life of the log: nothing of the old one counts. */
  #anew(epoch: string, next: number, said: HoleEntry | undefined): void {
    this.#head = 0;
    this.#floor = 1;
    this.#preface = said;
    this.#tail = this.#view = new Window(epoch, next);
    this.#replaced();
  }

  #replaced(): void {
    this.#place += 1;
    this.#hold = undefined;
    this.#entries = new Entries();
    const { activities, holes, from } = this.#view;
    if (this.#preface && from <= 1) this.#entries.appendHole(this.#preface);
    let at = 0;
    for (const hole of holes) {
      const next = activities.findIndex(({ offset }) => hole.last < offset);
      const end = next === -1 ? activities.length : next;
      this.#entries.append(activities.slice(at, end).filter(this.#fits));
      this.#entries.appendHole(holeEntry(hole));
      at = end;
    }
    this.#entries.append(activities.slice(at).filter(this.#fits));
    this.#change = { kind: "replaced" };
  }

  /** Joins a change with what was done before it. */
  #did(change: Change): void {
    const before = this.#change;
    if (!before || before.kind === "grown") this.#change = change;
    else if (before.kind === "replaced" || change.kind === "grown") return;
    else if (before.kind === "trimmed" && change.kind === "trimmed") this.#change = { kind: "trimmed", entries: before.entries + change.entries };
    else if (before.kind === "prepended" && change.kind === "prepended") this.#change = { kind: "prepended", entries: before.entries + change.entries };
    else this.#change = { kind: "replaced" };
  }
}

export function epochOf({ cursor }: Activity): string {
  return cursor.slice(0, cursor.lastIndexOf("-"));
}

export const isOpen = ({ types, invocation }: LogFilter): boolean => types.size === 0 && invocation === undefined;

const nobody = { invocationId: "", parent: undefined, timestamp: 0, version: 0 };

function holeEntry({ first, last }: Hole): HoleEntry {
  const text = first === last ? `#${first.toString()} is no longer kept.` : `#${first.toString()} to #${last.toString()} are no longer kept.`;
  return { ...nobody, kind: "hole", key: first, last, reason: "truncated", text };
}

const preface = (reason: "reset" | "deleted", text: string): HoleEntry => ({ ...nobody, kind: "hole", key: 0, last: 0, reason, text });
