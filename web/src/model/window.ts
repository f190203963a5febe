/**
 * A run of a task's activities that is held, bounded in number and characters. Its middle is whole; what was paged in while a filter was set has only
 * what fits that, at either side of the whole part. Between `from` and `to` nothing else is missing.
 */
import type { Activity } from "tasklight/viewer";
import { MOST_ACTIVITIES } from "./log.ts";
import { charsOf } from "./payload.ts";

/** About the most characters of what is held. */
export const HELD_CHARS = 32 * 1024 * 1024;

/** So many more than must be are dropped at a time, so that it does not happen with every activity. */
export const TRIM_ACTIVITIES = MOST_ACTIVITIES / 20;

/** With a filter, what does not fit it is dropped first, but for so many of the newest that are whole. */
export const WHOLE_ACTIVITIES = MOST_ACTIVITIES / 10;

/** Activities that are paged in, and how far they reach. */
export interface Part {
  readonly activities: readonly Activity[];
  /** Whether nothing is left out. */
  readonly whole: boolean;
  /** The offset that the part reaches to, which may be beyond its activities if those between do not fit the filter. */
  readonly reach: number;
  /** Where to ask for more. */
  readonly cursor: string | null;
}

/** A hole in what is held: `first` to `last` are no longer kept. */
export interface Hole {
  readonly first: number;
  readonly last: number;
}

export class Window {
  readonly epoch: string;
  #activities: Activity[] = [];
  #holes: Hole[] = [];
  #chars = 0;
  #from: number;
  #to: number;
  #wholeFrom: number;
  #wholeTo: number;
  /** Where to page on when that is not before the first or after the last activity. */
  #before: string | null | undefined;
  #after: string | null | undefined;

  /** An empty one, before this offset. */
  constructor(epoch: string, next: number) {
    this.epoch = epoch;
    this.#from = this.#wholeFrom = next;
    this.#to = this.#wholeTo = next - 1;
  }

  get activities(): readonly Activity[] {
    return this.#activities;
  }

  get holes(): readonly Hole[] {
    return this.#holes;
  }

  /** Everything that fits from this offset on is held, up to `to`. */
  get from(): number {
    return this.#from;
  }

  get to(): number {
    return this.#to;
  }

  /** Where to ask for what is before; null if there is nothing. */
  get before(): string | null {
    return this.#before === undefined ? (this.#activities[0]?.cursor ?? null) : this.#before;
  }

  get after(): string | null {
    return this.#after === undefined ? (this.#activities.at(-1)?.cursor ?? null) : this.#after;
  }

  /** Whether it holds more than it may. */
  get isOver(): boolean {
    return MOST_ACTIVITIES < this.#activities.length || (HELD_CHARS < this.#chars && 1 < this.#activities.length);
  }

  /** Whether nothing is left out at this offset. */
  isWhole(offset: number): boolean {
    return this.#wholeFrom <= offset && offset <= this.#wholeTo;
  }

  /** The same once more, to go a way of its own. */
  copy(): Window {
    const copy = new Window(this.epoch, this.#from);
    copy.#activities = [...this.#activities];
    copy.#holes = [...this.#holes];
    copy.#chars = this.#chars;
    copy.#to = this.#to;
    copy.#wholeFrom = this.#wholeFrom;
    copy.#wholeTo = this.#wholeTo;
    copy.#before = this.#before;
    copy.#after = this.#after;
    return copy;
  }

  /** Adds what comes next, of which nothing is left out. */
  append(activities: readonly Activity[]): void {
    const last = activities.at(-1);
    if (last) this.addAfter({ activities, whole: true, reach: last.offset, cursor: null });
  }

  /** The activities up to `floor` are no longer kept, and it goes on with that. */
  skipTo(floor: number): Hole | undefined {
    const hole = { first: this.#to + 1, last: floor - 1 };
    if (hole.last < hole.first) return undefined;
    this.#holes.push(hole);
    this.#to = hole.last;
    this.#wholeTo = Math.max(this.#wholeTo, hole.last);
    return hole;
  }

  addAfter({ activities, whole, reach, cursor }: Part): void {
    for (const activity of activities) {
      this.#activities.push(activity);
      this.#chars += charsOf(activity);
    }
    if (whole) {
      // Of two whole parts with something left out between them the newer one counts.
      if (this.#wholeTo !== this.#to) this.#wholeFrom = this.#to + 1;
      this.#wholeTo = reach;
    }
    this.#to = Math.max(this.#to, reach);
    this.#after = whole ? undefined : cursor;
  }

  addBefore({ activities, whole, reach, cursor }: Part): void {
    this.#activities = [...activities, ...this.#activities];
    for (const activity of activities) this.#chars += charsOf(activity);
    if (whole && this.#wholeFrom === this.#from) this.#wholeFrom = reach;
    this.#from = Math.min(this.#from, reach);
    this.#before = whole ? undefined : cursor;
  }

  /** Drops the oldest until there is room. Gives the offset before which nothing is held, if anything was dropped. */
  trimOldest(): number | undefined {
    if (!this.isOver) return undefined;
    const count = this.#surplus((at) => this.#activities[at]);
    this.#dropped(this.#activities.splice(0, count));
    const from = this.#activities[0]?.offset ?? this.#to + 1;
    this.#from = from;
    this.#wholeFrom = Math.max(this.#wholeFrom, from);
    this.#wholeTo = Math.max(this.#wholeTo, this.#wholeFrom - 1);
    this.#holes = this.#holes.filter(({ last }) => from <= last);
    this.#before = undefined;
    return from;
  }

  /** Drops the newest until there is room. Gives the offset after which nothing is held, if anything was dropped. */
  trimNewest(): number | undefined {
    if (!this.isOver) return undefined;
    const count = this.#surplus((at) => this.#activities.at(-1 - at));
    this.#dropped(this.#activities.splice(this.#activities.length - count));
    const to = this.#activities.at(-1)?.offset ?? this.#from - 1;
    this.#to = to;
    this.#wholeTo = Math.min(this.#wholeTo, to);
    this.#wholeFrom = Math.min(this.#wholeFrom, this.#wholeTo + 1);
    this.#holes = this.#holes.filter(({ first }) => first <= to);
    this.#after = undefined;
    return to;
  }

  /** Drops what does not fit the filter until there is room, the oldest first. What fits stays, so that nothing shown changes. */
  thin(fits: (activity: Activity) => boolean): void {
    if (!this.isOver) return;
    const first = this.#indexAfter(this.#wholeFrom - 1);
    const end = this.#indexAfter(this.#wholeTo) - WHOLE_ACTIVITIES;
    let surplus = this.#surplus((at) => this.#activities[at]);
    const dropped = new Set<Activity>();
    for (let at = first; at < end && 0 < surplus; at += 1) {
      const activity = this.#activities[at];
      if (!activity || fits(activity)) continue;
      dropped.add(activity);
      this.#wholeFrom = activity.offset + 1;
      surplus -= 1;
    }
    this.#dropped([...dropped]);
    this.#activities = this.#activities.filter((activity) => !dropped.has(activity));
  }

  /** Drops what is not whole, as another filter is set. */
  keepWhole(): void {
    const [from, to] = [this.#wholeFrom, this.#wholeTo];
    const kept = this.#activities.filter(({ offset }) => from <= offset && offset <= to);
    if (kept.length !== this.#activities.length) {
      this.#chars = kept.reduce((chars, activity) => chars + charsOf(activity), 0);
      this.#activities = kept;
      this.#holes = this.#holes.filter(({ first, last }) => from <= last && first <= to);
    }
    this.#from = from;
    this.#to = to;
    this.#before = this.#after = undefined;
  }

  /** The activities after this offset, at most so many. */
  next(after: number, most: number): readonly Activity[] {
    const at = this.#indexAfter(after);
    return this.#activities.slice(at, at + most);
  }

  /** The activity with this offset. */
  get(offset: number): Activity | undefined {
    const found = this.#activities[this.#indexAfter(offset - 1)];
    return found?.offset === offset ? found : undefined;
  }

  /** Of those held the first with at least this offset, or the last one. */
  nearest(offset: number): Activity | undefined {
    return this.#activities[this.#indexAfter(offset - 1)] ?? this.#activities.at(-1);
  }

  #indexAfter(offset: number): number {
    let [low, high] = [0, this.#activities.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#activities[middle]?.offset ?? 0) <= offset) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** How many to drop of those that `at` counts from one end, so that there is room for some time. */
  #surplus(at: (index: number) => Activity | undefined): number {
    const { length } = this.#activities;
    const most = MOST_ACTIVITIES < length ? MOST_ACTIVITIES - TRIM_ACTIVITIES : length;
    const room = HELD_CHARS < this.#chars ? HELD_CHARS - HELD_CHARS / 8 : HELD_CHARS;
    let [count, chars] = [0, this.#chars];
    while (count < length - 1 && (most < length - count || room < chars)) {
      const activity = at(count);
      if (activity) chars -= charsOf(activity);
      count += 1;
    }
    return count;
  }

  #dropped(activities: readonly Activity[]): void {
    for (const activity of activities) this.#chars -= charsOf(activity);
  }
}
