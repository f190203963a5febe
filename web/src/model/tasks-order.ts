/**
 * The order of the list: what needs somebody first, then what runs, then by last activity. It is kept rather than made: a task that only
 * does more of the same stays where it is, and putting k of n tasks in their new places costs k·log(n) comparisons and one copy of n
 * pointers.
 */
import type { Task } from "./tasks.ts";

/** For how long after its last activity a failed task stays on top. Later it is one of those that ended. */
export const FAILED_ON_TOP_MS = 60 * 60_000;

/** The same for a lost one, which somebody may not have missed yet. */
export const LOST_ON_TOP_MS = 24 * 60 * 60_000;

const RUNNING = 4;
const REST = 5;

/** A task in its place. The task is replaced where its place stays the same. */
export interface Placed {
  task: Task;
  readonly id: string;
  readonly rank: number;
  /** Within a rank, the latest first. */
  readonly at: number;
  isGone: boolean;
}

/** The rank, and the time that counts within it. */
export function placeOf(task: Task, now: number): { readonly rank: number; readonly at: number } {
  const { summary, standing, activeAt } = task;
  if (summary.stalled) return { rank: summary.stalled.reason === "waiting" ? 0 : 1, at: summary.stalled.since };
  if (standing === "lost" && now - activeAt < LOST_ON_TOP_MS) return { rank: 2, at: activeAt };
  if (standing === "failed" && now - activeAt < FAILED_ON_TOP_MS) return { rank: 3, at: activeAt };
  // Those that run are all active now: by that they would change places all the time.
  if (standing === "running") return { rank: RUNNING, at: summary.createdAt };
  return { rank: REST, at: activeAt };
}

export class Order {
  #sorted: readonly Placed[] = [];
  readonly #placed = new Map<string, Placed>();
  /** How many times two tasks were compared, for tests. */
  comparisons = 0;

  /** In order. Another array after each change of order, and only then. */
  get sorted(): readonly Placed[] {
    return this.#sorted;
  }

  /** Takes changed tasks, and `undefined` for those that are gone. Says whether the order changed. */
  apply(changes: ReadonlyMap<string, Task | undefined>, now: number): boolean {
    const moved: Placed[] = [];
    let left = 0;
    for (const [id, task] of changes) {
      const before = this.#placed.get(id);
      const place = task && placeOf(task, now);
      if (before && task && place?.rank === before.rank && place.at === before.at) {
        before.task = task;
        continue;
      }
      if (before) {
        before.isGone = true;
        left += 1;
        this.#placed.delete(id);
      }
      if (!task || !place) continue;
      const placed: Placed = { task, id, ...place, isGone: false };
      this.#placed.set(id, placed);
      moved.push(placed);
    }
    if (moved.length === 0 && left === 0) return false;
    this.#merge(left === 0 ? this.#sorted : this.#sorted.filter((one) => !one.isGone), moved);
    return true;
  }

  /** Takes down what was on top for long enough. Says whether there was any. */
  settle(now: number): boolean {
    const changes = new Map<string, Task>();
    for (const { id, task, rank } of this.#sorted) {
      if (RUNNING <= rank) break;
      if (placeOf(task, now).rank !== rank) changes.set(id, task);
    }
    return this.apply(changes, now);
  }

  #merge(kept: readonly Placed[], moved: Placed[]): void {
    moved.sort((one, other) => this.#compare(one, other));
    const sorted: Placed[] = [];
    let from = 0;
    for (const placed of moved) {
      const to = this.#find(kept, placed, from);
      while (from < to) sorted.push(kept[from++] as Placed);
      sorted.push(placed);
    }
    while (from < kept.length) sorted.push(kept[from++] as Placed);
    this.#sorted = sorted;
  }

  /** The first place at or after `from` whose task comes later. */
  #find(kept: readonly Placed[], placed: Placed, from: number): number {
    let low = from;
    let high = kept.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#compare(kept[middle] as Placed, placed) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #compare(one: Placed, other: Placed): number {
    this.comparisons += 1;
    return one.rank - other.rank || other.at - one.at || (one.id < other.id ? -1 : 1);
  }
}
