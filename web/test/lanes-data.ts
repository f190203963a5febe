/** Activities for the tests of what is worked out from them, and numbers that look random and are the same each time. */
import type { Invocation, TaskDetails } from "tasklight/rest";
import type { Activity, Data } from "tasklight/viewer";

/** When the tests' logs begin. */
export const START = 1_764_000_000_000;

export function activity(offset: number, invocationId: string, type: string, data: Data = {}, timestamp = START + offset * 1_000): Activity {
  return {
    taskId: "build",
    offset,
    cursor: `5f3a9c1e-${offset.toString()}`,
    invocationId,
    eventId: `00000000-0000-7000-8000-${offset.toString().padStart(12, "0")}`,
    timestamp,
    receivedAt: timestamp,
    type,
    data,
  };
}

export const invocation = (invocationId: string, more: Partial<Invocation> = {}): Invocation => ({
  invocationId,
  status: "running",
  agent: null,
  title: null,
  exitCode: null,
  reason: null,
  createdAt: START,
  startedAt: START,
  completedAt: null,
  lastActivityAt: START,
  heartbeatAt: null,
  usage: null,
  backfilled: false,
  stalled: false,
  stalledReason: null,
  stalledSince: null,
  ...more,
});

export const details = (head: number, invocations: readonly Invocation[]): TaskDetails => ({
  taskId: "build",
  title: null,
  labels: {},
  status: "running",
  epoch: "5f3a9c1e",
  head,
  floor: 1,
  createdAt: START,
  lastActivityAt: START,
  invocationCounts: {},
  agents: [],
  stalled: null,
  invocations,
  lastActivity: null,
});

/** Integers from 0 up to, and without, `below`. */
export function numbers(seed: number): (below: number) => number {
  let state = seed >>> 0 || 1;
  return (below) => {
    state ^= state << 13;
    state >>>= 0;
    state ^= state >>> 17;
    state ^= state << 5;
    state >>>= 0;
    return state % below;
  };
}
