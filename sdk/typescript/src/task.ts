/** Tasks and their invocations as the hub describes them. Times are epoch milliseconds. */
import type { Activity, Data, Status } from "./activity.js";

/**
 * Why a running invocation is said to be stalled: it waits for a person; a tool has been open for too long; its heartbeats have stopped; nothing
 * was heard of it. The worst comes first.
 */
export type StalledReason = "waiting" | "tool" | "heartbeat" | "idle";

/** What is stalled of a task: how many of its invocations, and the worst of them. */
export interface Stalled {
  /** At most 64 running invocations of a task are looked at. */
  readonly count: number;
  readonly reason: StalledReason;
  /** When the last thing was heard that says so. */
  readonly since: number;
  readonly invocationId: string;
}

/** A task in a list. */
export interface TaskSummary {
  readonly taskId: string;
  readonly title: string | null;
  readonly labels: Readonly<Record<string, string>>;
  /** `running` while any invocation runs, else `pending` while any waits, else how the last one ended. */
  readonly status: Status | null;
  readonly epoch: string;
  readonly head: number;
  readonly floor: number;
  readonly createdAt: number;
  readonly lastActivityAt: number | null;
  /** How many runs stand where; statuses with none are left out. */
  readonly invocationCounts: Readonly<Partial<Record<Status, number>>>;
  /** The agents of its newest runs, newest first, each once; at most 4. */
  readonly agents: readonly string[];
  readonly stalled: Stalled | null;
}

/** One run of an agent on a task. */
export interface Invocation {
  readonly invocationId: string;
  readonly status: Status;
  readonly agent: string | null;
  readonly title: string | null;
  readonly exitCode: number | null;
  readonly reason: string | null;
  readonly createdAt: number;
  readonly startedAt: number | null;
  readonly completedAt: number | null;
  readonly lastActivityAt: number;
  readonly heartbeatAt: number | null;
  readonly usage: Data | null;
  /** Recorded after the fact: nothing is derived from when the hub heard of it. */
  readonly backfilled: boolean;
  /** Running, but by what was heard of it last it does not get on. */
  readonly stalled: boolean;
  /** Why; null unless it is stalled. */
  readonly stalledReason: StalledReason | null;
  /** When the last thing was heard that says so; null unless it is stalled. */
  readonly stalledSince: number | null;
}

/** A task with the newest 1,000 of its invocations, newest first. */
export interface TaskDetails extends TaskSummary {
  readonly invocations: readonly Invocation[];
  readonly lastActivity: Activity | null;
}

/** How many activities were taken in each minute. */
export interface Rate {
  readonly taskId: string;
  /** 30 counts, oldest first; the last minute is not over yet. */
  readonly counts: readonly number[];
  /** Whether that is all: at most the newest 2,000 activities are counted. */
  readonly complete: boolean;
}

export interface Rates {
  readonly bucketMs: number;
  /** Where the last minute ends, in epoch milliseconds. */
  readonly until: number;
  /** Tasks that do not exist are left out. */
  readonly rates: readonly Rate[];
}
