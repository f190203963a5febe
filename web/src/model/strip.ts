/** A run of activities cut into equal parts, and what is told of each: how much was said, what went wrong, how long nothing came. */
import type { Activity } from "tasklight/viewer";
import { SILENT_AFTER_MS } from "./stalled.ts";
import { textOf } from "./told.ts";

export interface Column {
  /** The offsets of its first and last activity. */
  readonly first: number;
  readonly last: number;
  /** When its first one happened. */
  readonly from: number;
  readonly perSecond: number;
  /** Errors, failed tools, and runs that failed or were lost. */
  readonly errors: number;
  /** The longest time before one of its activities in which nothing came, if that was long enough to be a stall; else 0. */
  readonly silent: number;
}

/** At most so many columns, fewer if there are fewer activities. Together they are all activities, each once, in order. */
export function columnsOf(activities: readonly Activity[], most: number): readonly Column[] {
  const many = Math.min(most, activities.length);
  const columns: Column[] = [];
  for (let index = 0; index < many; index += 1) {
    const start = Math.floor((index * activities.length) / many);
    const end = Math.floor(((index + 1) * activities.length) / many);
    const column = columnOf(activities, start, end);
    if (column) columns.push(column);
  }
  return columns;
}

function columnOf(activities: readonly Activity[], start: number, end: number): Column | undefined {
  const first = activities[start];
  const last = activities[end - 1];
  if (!first || !last) return undefined;
  let errors = 0;
  let silent = 0;
  for (let index = start; index < end; index += 1) {
    const activity = activities[index];
    if (!activity) continue;
    if (isError(activity)) errors += 1;
    const before = activities[index - 1];
    if (before && SILENT_AFTER_MS <= activity.timestamp - before.timestamp) silent = Math.max(silent, activity.timestamp - before.timestamp);
  }
  // Up to where the next one begins; clocks that go backwards count as no time.
  const until = activities[end]?.timestamp ?? last.timestamp;
  const seconds = Math.max(0.05, (until - first.timestamp) / 1_000);
  return { first: first.offset, last: last.offset, from: first.timestamp, perSecond: (end - start) / seconds, errors, silent };
}

function isError({ type, data }: Activity): boolean {
  if (type === "error") return true;
  if (type === "tool_result") return data["isError"] === true;
  const status = type === "status" ? textOf(data, "status") : undefined;
  return status === "failed" || status === "lost";
}
