/** Looking for text in a task. */
import type { ActivityType } from "./activity.js";

/** What to look for, and where. Without `after` and `before` the newest activity is looked at first. */
export interface SearchQuery {
  /** 1 to 256 characters, found whatever their case in the texts and numbers of payloads; names of fields are not looked at. */
  readonly q: string;
  /** A cursor to go on after, oldest first. */
  readonly after?: string;
  /** A cursor to go on before, newest first. */
  readonly before?: string;
  /** At most so many hits; 50 if left out, at most 200. */
  readonly limit?: number;
  readonly types?: readonly ActivityType[];
  readonly invocation?: string;
}

/** An activity in which the text was found. */
export interface SearchHit {
  readonly offset: number;
  readonly cursor: string;
  readonly invocationId: string;
  readonly type: ActivityType;
  readonly timestamp: number;
  /** At most 200 characters around the first place where it was found. Plain text of an agent: as hostile as any. */
  readonly excerpt: string;
  /** Where in the excerpt, and how long, in UTF-16 code units as `String.prototype.slice` counts. */
  readonly at: readonly [start: number, length: number];
}

/** What one request found. It looks at a bounded part of the log. */
export interface SearchPage {
  /** In the order in which they were looked for. */
  readonly hits: readonly SearchHit[];
  readonly head: number;
  readonly floor: number;
  readonly epoch: string;
  /** Where to go on, as `after` or `before` like this time (`before` if neither was given); null when all was looked at. */
  readonly next: string | null;
  /** The last offset that was looked at: the greatest with `after`, the least otherwise. */
  readonly through: number;
}
