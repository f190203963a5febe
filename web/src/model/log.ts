/**
 * A task's log as the page holds it: a run of activities without unexplained holes, bounded for ever. It is either the tail, which grows as
 * the task does, or a place in history that was paged in; both are at most `MOST_ACTIVITIES` long.
 */
import type { Accessor } from "solid-js";
import type { Activity, State } from "tasklight/viewer";
import type { Entry } from "./entry.ts";

/** The most activities of a task that the page holds at a time. */
export const MOST_ACTIVITIES = 5_000;

/** How many are paged in at a time. */
export const PAGE_ACTIVITIES = 250;

/** Longer payloads (characters of JSON) are kept as their beginning; the whole is asked for when somebody wants to see it. */
export const LONGEST_PAYLOAD = 16 * 1024;

/**
 * What was done to the entries since the last look, so that the place on screen can be kept. Every change may have let the end grow. When a page comes or
 * goes, a few entries in the midst may join with others or part from them (a result with its call), so that a place is best found by its entry's `key`.
 */
export type Change =
  /** At the end only; what was there may have grown. */
  | { readonly kind: "grown" }
  /** So many entries were put before the first one. */
  | { readonly kind: "prepended"; readonly entries: number }
  /** So many entries were dropped before the first one, because the page holds no more. */
  | { readonly kind: "trimmed"; readonly entries: number }
  /** Everything is different: another place, another filter, another life of the log. */
  | { readonly kind: "replaced" };

/** Which activities are shown. What is filtered out still counts as held. */
export interface LogFilter {
  /** Empty for all. */
  readonly types: ReadonlySet<string>;
  /** Nothing for all. */
  readonly invocation: string | undefined;
}

/** Reactive where it says `Accessor`; all of them change together, at most once per animation frame. */
export interface TaskLog {
  readonly task: string;
  readonly entries: Accessor<readonly Entry[]>;
  /** The last change to `entries`. */
  readonly change: Accessor<Change>;
  /** The activities behind the entries, unfiltered, in order. */
  readonly activities: Accessor<readonly Activity[]>;
  readonly state: Accessor<State>;
  /** The last offset known to be stored; 0 if there is none. */
  readonly head: Accessor<number>;
  /** The oldest offset that the hub still keeps. */
  readonly floor: Accessor<number>;
  /** Whether the newest activity is held, so that new ones come by themselves. */
  readonly atEnd: Accessor<boolean>;
  /** Whether there is more before the first, and after the last activity held. */
  readonly hasBefore: Accessor<boolean>;
  readonly hasAfter: Accessor<boolean>;
  /** Which way is being paged in, if any. */
  readonly loading: Accessor<"before" | "after" | "place" | undefined>;
  readonly filter: Accessor<LogFilter>;
  setFilter(filter: LogFilter): void;
  /** Pages in what is before or after. Does nothing while something is being paged in, or if there is nothing. Errors come to `failure`. */
  loadBefore(): Promise<void>;
  loadAfter(): Promise<void>;
  /** Goes to this offset, or to the nearest that is kept; gives the one it went to. */
  goToOffset(offset: number): Promise<number>;
  /** Goes to where the log's times pass this one. */
  goToTime(millis: number): Promise<number>;
  /** Back to the newest. */
  goToEnd(): void;
  /**
   * Somebody reads at this offset, not at the end: rather than drop it for what comes, the log stops growing there, and `hasAfter`. Nothing once they
   * follow the end again. Forgotten when the log is somewhere else.
   */
  hold(offset: number | undefined): void;
  /** The activity with its whole payload. */
  full(offset: number): Promise<Activity>;
  /** Whether the payload that is held of this activity is only its beginning. */
  isCut(activity: Activity): boolean;
  /** What went wrong when something was asked for, until the next time. */
  readonly failure: Accessor<string | undefined>;
  close(): void;
}
