import { describe, expect, it } from "vitest";
import { Hold, HOLD_MS, isSame } from "../src/model/tasks-hold.ts";
import { FAILED_ON_TOP_MS, LOST_ON_TOP_MS, Order, placeOf } from "../src/model/tasks-order.ts";
import type { Task } from "../src/model/tasks.ts";
import { dice, NOON, summary, task } from "./summary.ts";

const ids = (order: Order): string[] => order.sorted.map(({ id }) => id);
const changes = (...tasks: Task[]): Map<string, Task> => new Map(tasks.map((one) => [one.summary.taskId, one]));
const stalled = (reason: "waiting" | "idle", since = NOON): Pick<ReturnType<typeof summary>, "stalled"> => ({
  stalled: { count: 1, reason, since, invocationId: "r" },
});

describe("the order of the list", () => {
  it("puts what needs somebody first, then what runs, then what ended by its last activity", () => {
    const order = new Order();
    const hourAgo = NOON - FAILED_ON_TOP_MS;
    order.apply(
      changes(
        task("ended", { status: "completed", lastActivityAt: NOON - 5 }),
        task("failed-long-ago", { status: "failed", lastActivityAt: hourAgo }),
        task("failed", { status: "failed", lastActivityAt: hourAgo + 1 }),
        task("lost-long-ago", { status: "lost", lastActivityAt: NOON - LOST_ON_TOP_MS }),
        task("lost", { status: "lost", lastActivityAt: hourAgo }),
        task("runs", { createdAt: NOON - 9 }),
        task("runs-since-later", { createdAt: NOON - 3 }),
        task("idle", stalled("idle")),
        task("waits", stalled("waiting", NOON - 1_000)),
        task("never-ran", { status: null, lastActivityAt: null, createdAt: NOON - 1 }),
      ),
      NOON,
    );
    expect(ids(order)).toEqual(["waits", "idle", "lost", "failed", "runs-since-later", "runs", "never-ran", "ended", "failed-long-ago", "lost-long-ago"]);
  });

  it("leaves a running task where it is, however much it does, and shows what it did", () => {
    const order = new Order();
    order.apply(changes(task("a"), task("b")), NOON);
    const before = order.sorted;
    expect(order.apply(changes(task("b", { head: 99, lastActivityAt: NOON + 1 })), NOON)).toBe(false);
    expect(order.sorted).toBe(before);
    expect(order.sorted.map((one) => one.task.summary.head)).toEqual([1, 99]);
  });

  it("takes down a failure when its time on top is over", () => {
    const order = new Order();
    order.apply(changes(task("failed", { status: "failed" }), task("runs")), NOON);
    expect(order.settle(NOON + FAILED_ON_TOP_MS - 1)).toBe(false);
    expect(ids(order)).toEqual(["failed", "runs"]);
    expect(order.settle(NOON + FAILED_ON_TOP_MS)).toBe(true);
    expect(ids(order)).toEqual(["runs", "failed"]);
  });

  it("comes to the order of a full sort, whatever happens in whichever batches", () => {
    const roll = dice(7);
    const order = new Order();
    const tasks = new Map<string, Task>();
    const statuses = ["pending", "running", "completed", "failed", "cancelled", "lost", null] as const;
    for (let batch = 0; batch < 200; batch += 1) {
      const changed = new Map<string, Task | undefined>();
      for (let n = roll(12); 0 < n; n -= 1) {
        const id = `t${roll(60).toString()}`;
        const made = task(id, {
          status: statuses[roll(7)] ?? null,
          createdAt: NOON - roll(5),
          lastActivityAt: NOON - roll(3) * FAILED_ON_TOP_MS,
          ...(roll(5) === 0 ? stalled(roll(2) === 0 ? "waiting" : "idle", NOON - roll(9)) : {}),
        });
        changed.set(id, roll(6) === 0 ? undefined : made);
      }
      for (const [id, one] of changed) if (one) tasks.set(id, one); else tasks.delete(id);
      order.apply(changed, NOON);
      const sorted = [...tasks].map(([id, one]) => ({ id, ...placeOf(one, NOON) }));
      sorted.sort((one, other) => one.rank - other.rank || other.at - one.at || (one.id < other.id ? -1 : 1));
      expect(ids(order)).toEqual(sorted.map(({ id }) => id));
      expect(order.sorted.every(({ id, task: held }) => held === tasks.get(id))).toBe(true);
    }
  });

  it("costs little with 10,000 tasks: a batch compares only what moved, and more of the same nothing", () => {
    const order = new Order();
    const many = Array.from({ length: 10_000 }, (_, n) => task(`t${n.toString()}`, { status: "completed", lastActivityAt: NOON - n * 7 }));
    order.apply(changes(...many), NOON);
    order.comparisons = 0;
    const batch = Array.from({ length: 50 }, (_, n) => task(`t${(n * 199).toString()}`, { status: "completed", lastActivityAt: NOON - n * 1_001 - 3 }));
    order.apply(changes(...batch), NOON);
    // 50 of them: sorted among themselves (6 each), then found among 10,000 (14 each).
    expect(order.comparisons).toBeLessThan(50 * (6 + 14 + 2));
    expect(order.sorted).toHaveLength(10_000);
    order.comparisons = 0;
    order.apply(changes(...batch.map((one) => task(one.summary.taskId, { ...one.summary, head: 5 }))), NOON);
    expect(order.comparisons).toBe(0);
  });
});

describe("an order that somebody reads", () => {
  it("is held while they read, for some seconds at most, and then held anew", () => {
    const hold = new Hold();
    expect(hold.isShown(false, NOON)).toBe(true);
    expect(hold.isShown(true, NOON)).toBe(false);
    expect(hold.due).toBe(NOON + HOLD_MS);
    expect(hold.isShown(true, NOON + HOLD_MS - 1)).toBe(false);
    expect(hold.isShown(true, NOON + HOLD_MS)).toBe(true);
    expect(hold.due).toBeUndefined();
    expect(hold.isShown(true, NOON + HOLD_MS + 1)).toBe(false);
  });

  it("is shown when they go, and no longer waits once it is what is shown", () => {
    const hold = new Hold();
    expect(hold.isShown(true, NOON)).toBe(false);
    expect(hold.isShown(false, NOON + 1)).toBe(true);
    expect(hold.isShown(true, NOON + 2)).toBe(false);
    hold.release();
    expect(hold.due).toBeUndefined();
  });

  it("is told from another by its ids", () => {
    expect(isSame(["a", "b"], ["a", "b"])).toBe(true);
    expect(isSame(["a", "b"], ["b", "a"])).toBe(false);
    expect(isSame(["a", "b"], ["a"])).toBe(false);
  });
});
