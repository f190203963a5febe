/** Tasks for tests. */
import { type Summary, type Task, taskOf } from "../src/model/tasks.ts";

/** A moment that tests count from. */
export const NOON = Date.UTC(2026, 5, 1, 12);

export function summary(taskId: string, more: Partial<Summary> = {}): Summary {
  return {
    taskId, title: null, labels: {}, status: "running", epoch: "e1", head: 1, floor: 1, createdAt: NOON, lastActivityAt: NOON, invocationCounts: { running: 1 }, agents: [], stalled: null,
    ...more,
  };
}

export const task = (taskId: string, more: Partial<Summary> = {}): Task => taskOf(summary(taskId, more));

/** Numbers that look random and are the same each time. */
export function dice(seed: number): (sides: number) => number {
  let state = seed;
  return (sides) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * sides);
  };
}
