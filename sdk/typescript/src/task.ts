/** Tasks and their invocations as the hub describes them. Times are epoch milliseconds. */
import type { Activity, Data, Status } from "./activity.js";

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
  /** Running, but silent for longer than the hub's `reconciler.stalled_after`. */
  readonly stalled: boolean;
}

/** A task with the newest 1,000 of its invocations, newest first. */
export interface TaskDetails extends TaskSummary {
  readonly invocations: readonly Invocation[];
  readonly lastActivity: Activity | null;
}
