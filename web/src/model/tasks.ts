/** The tasks of the list as the page holds them: what the hub said, and what follows from it for showing. Pure. */
import type { Stalled } from "tasklight/rest";
import type { Status, TaskSummary } from "tasklight/viewer";

/** A summary; older hubs leave out what newer ones add. */
export type Summary = Omit<TaskSummary, "agents" | "stalled"> & Partial<Pick<TaskSummary, "agents" | "stalled">>;

/** How a task is shown: each task has exactly one, so that the counters add up. */
export type Standing = Status | "stalled" | "empty";

/** A task with what is read of it again and again. */
export interface Task {
  readonly summary: Summary;
  readonly standing: Standing;
  /** When it last did something; when it was made, if it never did. */
  readonly activeAt: number;
  /** What a text filter looks through, in lower case. */
  readonly text: string;
}

export function taskOf(summary: Summary): Task {
  return {
    summary,
    standing: summary.stalled ? "stalled" : (summary.status ?? "empty"),
    activeAt: summary.lastActivityAt ?? summary.createdAt,
    text: `${summary.taskId}\n${summary.title ?? ""}`.toLowerCase(),
  };
}

export const agentsOf = (task: Task): readonly string[] => task.summary.agents ?? [];

/** What is known of why it is stalled, as words; `now` in epoch milliseconds, `span` writes a time as words. */
export function stallWords(stall: Stalled, now: number, span: (millis: number) => string): string {
  const long = span(Math.max(0, now - stall.since));
  switch (stall.reason) {
    case "waiting":
      return "waiting for a person";
    case "tool":
      return `a tool has been open for ${long}`;
    case "heartbeat":
      return `heartbeats stopped ${long} ago`;
    case "idle":
      return `no activity for ${long}`;
  }
}
