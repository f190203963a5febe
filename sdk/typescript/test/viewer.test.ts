// Viewers against a real hub, through what happens to it.
import { describe, expect, test } from "vitest";
import { Hub, message, messages } from "./hub.js";
import type { ListFollowing } from "../src/viewer.js";
import { viewer, Watch, ways } from "./watch.js";

describe.each(ways)("by %s", (_name, WebSocket) => {
  test("what is stored comes first, then what happens, each activity once", async () => {
    const hub = await Hub.start();
    for (let n = 0; n < 3; n += 1) await hub.publish("t", ...messages(1_000, "before "));
    const watch = new Watch(viewer(hub.url, { WebSocket }), "t");
    await watch.until(({ activities }) => activities.length === 3_000, "history");
    await watch.until(({ kinds }) => kinds.at(-1) === "live", "live");
    await hub.publish("t", message("now"));
    await watch.until(({ activities }) => activities.length === 3_001, "the newest");
    expect(watch.activities).toEqual(await hub.log("t"));
    expect(watch.following.cursor).toBe(watch.activities.at(-1)?.cursor);
    expect(watch.items).toContainEqual({ kind: "live", offset: 3_000 });
  });

  test("a task is waited for", async () => {
    const hub = await Hub.start();
    const watch = new Watch(viewer(hub.url, { WebSocket }), "later", { after: "end" });
    await watch.until(({ states }) => states.at(-1)?.kind === "waiting", "to be waiting");
    await hub.publish("later", message("first"));
    await watch.until(({ texts }) => texts.includes("first"), "the first activity");
  });

  test("nothing is missing or comes twice through kill -9 of the hub, again and again", async () => {
    const hub = await Hub.start();
    const watch = new Watch(viewer(hub.url, { WebSocket }), "t");
    for (let round = 0; round < 3; round += 1) {
      await hub.publish("t", ...messages(200, `round ${round.toString()}: `));
      await watch.until(({ activities }) => 200 * round < activities.length, "something of this round");
      await hub.restart("SIGKILL");
    }
    await watch.until(({ activities }) => activities.length === 600, "everything");
    expect(watch.activities).toEqual(await hub.log("t"));
    expect(watch.states.map(({ kind }) => kind)).toContain("reconnecting");
    expect(watch.losses).toEqual([]);
  });

  test("a hub that stops in order says when to come back", async () => {
    const hub = await Hub.start({ TASKLIGHT__SESSION__DRAIN_SPREAD: "200ms", TASKLIGHT__SESSION__RECONNECT_WINDOW: "400ms" });
    await hub.publish("t", message("one"));
    const watch = new Watch(viewer(hub.url, { WebSocket }), "t");
    await watch.until(({ states }) => states.at(-1)?.kind === "live", "live");
    await hub.restart("SIGTERM");
    await hub.publish("t", message("two"));
    await watch.until(({ activities }) => activities.length === 2, "the second one");
    expect(watch.texts).toEqual(["one", "two"]);
  });

  test("what cannot be continued is said: another life of the log", async () => {
    const hub = await Hub.start();
    const [old] = await hub.publish("t", message("old"));
    await hub.deleteTask("t");
    await hub.publish("t", message("new"));
    const watch = new Watch(viewer(hub.url, { WebSocket }), "t", { after: old?.cursor ?? "" });
    await watch.until(({ activities }) => activities.length === 1, "the new log");
    expect(watch.kinds.slice(0, 2)).toEqual(["reset", "activity"]);
    await hub.deleteTask("t");
    await watch.until(({ kinds }) => kinds.includes("deleted"), "the end of the task");
    await hub.publish("t", message("newest"));
    await watch.until(({ texts }) => texts.includes("newest"), "its return");
    expect(watch.kinds.filter((kind) => kind !== "live")).toEqual(["reset", "activity", "deleted", "activity"]);
  });

  test("what cannot be continued is said: what is no longer kept", async () => {
    const hub = await Hub.start();
    await hub.publish("t", ...messages(20));
    const watch = new Watch(viewer(hub.url, { WebSocket }), "t", { after: "start" });
    await watch.until(({ activities }) => activities.length === 20, "history");
    await hub.end("SIGKILL");
    hub.trim("t", 15);
    await hub.start();
    const late = new Watch(viewer(hub.url, { WebSocket }), "t", { after: watch.activities[4]?.cursor ?? "" });
    await late.until(({ kinds }) => kinds.at(-1) === "live", "live");
    expect(late.items[0]).toEqual({ kind: "truncated", floor: 15 });
    expect(late.activities.map(({ offset }) => offset)).toEqual([15, 16, 17, 18, 19, 20]);
    expect(late.following.state).toEqual({ kind: "live", offset: 20, truncatedBelow: 15 });
  });

  test("filters choose, and the place moves on beyond what they leave out", async () => {
    const hub = await Hub.start({ TASKLIGHT__SESSION__HEARTBEAT: "300ms" });
    const error = { invocationId: "run-2", type: "error", data: { message: "no" } };
    await hub.publish("t", message("a"), error, message("b", "run-2"), message("c"));
    const all = viewer(hub.url, { WebSocket });
    const errors = new Watch(all, "t", { types: ["error"] });
    await errors.until(({ kinds }) => kinds.at(-1) === "live", "live");
    expect(errors.activities.map(({ offset }) => offset)).toEqual([2]);
    expect(errors.following.cursor).toMatch(/-4$/);
    errors.following.close();
    const second = new Watch(all, "t", { invocation: "run-2" });
    await second.until(({ kinds }) => kinds.includes("live"), "live");
    expect(second.activities.map(({ offset }) => offset)).toEqual([2, 3]);
    second.following.close();
    const last = new Watch(all, "t", { last: 1 });
    await last.until(({ kinds }) => kinds.includes("live"), "live");
    expect(last.activities.map(({ offset }) => offset)).toEqual([4]);
  });

  test("a consumer that stops reading is given everything when it goes on, and waits at most for its buffer", async () => {
    const hub = await Hub.start();
    await hub.publish("slow", message("0"));
    const all = viewer(hub.url, { WebSocket });
    const slow = all.follow("slow", { bufferItems: 50 });
    const quick = new Watch(all, "quick");
    for (let n = 0; n < 6; n += 1) await hub.publish("slow", ...messages(500));
    await hub.publish("quick", ...messages(500));
    await quick.until(({ activities }) => activities.length === 500, "all of the quick one");
    expect(slow.waiting).toBe(50);
    expect(slow.isPaused).toBe(true);
    expect(slow.state.kind).toBe("catchingUp");
    const offsets: number[] = [];
    for await (const item of slow) {
      expect(slow.waiting).toBeLessThanOrEqual(50);
      if (item.kind === "activity") offsets.push(item.activity.offset);
      if (offsets.length === 3_001) break;
    }
    expect(offsets).toEqual(Array.from({ length: 3_001 }, (_, n) => n + 1));
    expect(all.link.kind).toBe("open");
  });

  test("the list of tasks is complete, then changes", async () => {
    const hub = await Hub.start();
    await hub.publish("a", message("1"));
    const heads = new Map<string, number>();
    const seen: string[] = [];
    const list = viewer(hub.url, { WebSocket }).followTasks();
    await hub.publish("b", message("1"));
    for await (const item of list) {
      seen.push(item.kind);
      if (item.kind === "task") heads.set(item.task.taskId, item.task.head);
      if (item.kind === "gone") heads.delete(item.taskId);
      if (item.kind === "live") {
        await hub.publish("b", message("2"));
        await hub.deleteTask("a");
      }
      if (heads.get("b") === 2 && !heads.has("a")) break;
    }
    expect(seen[0]).toBe("snapshot");
    expect([...heads]).toEqual([["b", 2]]);
  });

  test("a consumer may close and follow again from within what it is given", async () => {
    const hub = await Hub.start();
    const all = viewer(hub.url, { WebSocket });
    const seen: string[] = [];
    const ended: string[] = [];
    let list: ListFollowing | undefined;
    const again = (name: string, after: string): void => {
      const following = all.follow("t", {
        after,
        onItem: (item) => {
          if (item.kind !== "activity") return;
          seen.push(`${name}${item.activity.offset.toString()}`);
          if (name !== "a" || item.activity.offset !== 2) return;
          following.close();
          list?.close();
          again("b", following.cursor ?? "");
          list = all.followTasks();
        },
        onEnd: (error) => ended.push(`${name} ${String(error)}`),
      });
    };
    list = all.followTasks();
    await hub.publish("t", ...messages(4));
    again("a", "start");
    await expect.poll(() => seen, { timeout: 20_000 }).toEqual(["a1", "a2", "b3", "b4"]);
    expect(ended).toEqual(["a undefined"]);
    await hub.publish("t", message("5"));
    await expect.poll(() => seen.at(-1), { timeout: 20_000 }).toBe("b5");
    expect((await list.next()).value).toEqual({ kind: "snapshot" });
  });

  test("what the hub refuses ends with its code, and nothing else does", async () => {
    const hub = await Hub.start();
    const all = viewer(hub.url, { WebSocket });
    const good = new Watch(all, "good");
    const bad = new Watch(all, "bad", { types: ["nonsense" as "error"] });
    await bad.until(({ error }) => error !== undefined, "the refusal");
    expect(bad.error).toMatchObject({ code: "unknown_type" });
    await hub.publish("good", message("1"));
    await good.until(({ texts }) => texts.length === 1, "the other task");
    expect(() => all.follow("a b")).toThrow(/task id/);
    expect(() => all.follow("good")).toThrow(/already/);
  });
});
