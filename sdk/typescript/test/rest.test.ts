// Requests to a real hub, and its errors by code.
import { expect, test } from "vitest";
import { Hub as Rest } from "../src/rest.js";
import { Hub, message, messages } from "./hub.js";

test("tasks are created, described, listed and deleted", async () => {
  const hub = await Hub.start();
  const rest = new Rest({ hub: `${hub.url}/` });
  expect(await rest.putTask("a", { title: "A build", labels: { branch: "main" } })).toMatchObject({ taskId: "a", head: 0 });
  await rest.patchTask("a", { title: "A better build" });
  await rest.putTask("b");
  expect(await rest.task("a")).toMatchObject({ title: "A better build", labels: { branch: "main" }, invocations: [], lastActivity: null });
  expect((await rest.tasks({ labels: ["branch=main"] })).tasks.map(({ taskId }) => taskId)).toEqual(["a"]);
  const first = await rest.tasks({ limit: 1 });
  const second = await rest.tasks({ limit: 1, page: first.next ?? "" });
  expect([...first.tasks, ...second.tasks].map(({ taskId }) => taskId).sort()).toEqual(["a", "b"]);
  await rest.deleteTask("a");
  await expect(rest.task("a")).rejects.toMatchObject({ code: "task_not_found", status: 404 });
});

test("activities come in pages, forwards and backwards, and by type and invocation", async () => {
  const hub = await Hub.start();
  const rest = new Rest({ hub: hub.url });
  await hub.publish("t", ...messages(250), { invocationId: "run-2", type: "usage", data: { inputTokens: 3 } });
  const all = [];
  for await (const activity of rest.history("t", { limit: 100 })) all.push(activity);
  expect(all).toEqual(await hub.log("t"));
  const last = await rest.activities("t", { before: all[250]?.cursor ?? "", limit: 2 });
  expect(last.activities.map(({ offset }) => offset)).toEqual([249, 250]);
  expect(last).toMatchObject({ head: 251, floor: 1 });
  expect((await rest.activities("t", { types: ["usage", "error"] })).activities.map(({ offset }) => offset)).toEqual([251]);
  expect((await rest.activities("t", { invocation: "run-2" })).activities).toHaveLength(1);
  expect(await rest.invocation("t", "run-2")).toMatchObject({ status: "running", usage: { inputTokens: 3 }, stalled: false });
  expect((await rest.invocations("t")).map(({ invocationId }) => invocationId).sort()).toEqual(["run-1", "run-2"]);
});

test("a task is searched in both directions, and its hits name their places", async () => {
  const hub = await Hub.start();
  const rest = new Rest({ hub: hub.url });
  await hub.publish("t", message("the \u{1f600} Needle"), message("hay"), message("needles"));
  const page = await rest.search("t", { q: "needle" });
  expect(page).toMatchObject({ next: null, head: 3, floor: 1, through: 1 });
  expect(page.hits.map(({ offset }) => offset)).toEqual([3, 1]);
  expect(page.hits.map(({ excerpt, at: [start, length] }) => excerpt.slice(start, start + length))).toEqual(["needle", "Needle"]);
  const first = await rest.search("t", { q: "needle", after: "start", limit: 1, types: ["message"], invocation: "run-1" });
  expect(first.hits).toMatchObject([{ offset: 1, type: "message", invocationId: "run-1" }]);
  expect((await rest.search("t", { q: "needle", after: first.next ?? "" })).hits.map(({ offset }) => offset)).toEqual([3]);
  await expect(rest.search("t", { q: "" })).rejects.toMatchObject({ code: "invalid_search", field: "q" });
});

test("activities are read from an offset and from a time, and counted by the minute", async () => {
  const hub = await Hub.start();
  const rest = new Rest({ hub: hub.url });
  await hub.publish("t", ...messages(9).map((one, n) => ({ ...one, timestamp: 1_000 * (n + 1) })));
  const offsets = async (query: object) => (await rest.activities("t", query)).activities.map(({ offset }) => offset);
  expect(await offsets({ from: 4, limit: 2 })).toEqual([4, 5]);
  expect(await offsets({ at: 6_500, limit: 2 })).toEqual([7, 8]);
  const { bucketMs, rates } = await rest.rates(["t", "nowhere"]);
  expect(rates).toMatchObject([{ taskId: "t", complete: true }]);
  expect(rates[0]?.counts.reduce((sum, count) => sum + count)).toBe(9);
  expect(bucketMs * (rates[0]?.counts.length ?? 0)).toBe(1_800_000);
});

test("what asks for a person is told of its task and of its run", async () => {
  const hub = await Hub.start();
  const rest = new Rest({ hub: hub.url });
  await hub.publish("t", { invocationId: "r", type: "status", data: { status: "running", agent: "claude" } });
  expect(await rest.task("t")).toMatchObject({ agents: ["claude"], stalled: null });
  await hub.publish("t", { invocationId: "r", type: "custom", data: { name: "needs_approval" } });
  const { stalled, lastActivity } = await rest.task("t");
  expect(stalled).toEqual({ count: 1, reason: "waiting", since: lastActivity?.receivedAt, invocationId: "r" });
  const run = await rest.invocation("t", "r");
  expect(run).toMatchObject({ stalled: true, stalledReason: "waiting", stalledSince: stalled?.since, backfilled: false });
});

test("errors have the hub's code, field and details", async () => {
  const hub = await Hub.start();
  const rest = new Rest({ hub: hub.url });
  const [old] = await hub.publish("t", message("x"));
  await hub.deleteTask("t");
  await hub.publish("t", message("y"));
  const after = old?.cursor ?? "";
  await expect(rest.activities("t", { after })).rejects.toMatchObject({ code: "cursor_reset", status: 409, field: "after", details: { head: 1 } });
  await expect(rest.activities("t", { limit: 5_000 })).rejects.toMatchObject({ code: "invalid_limit", field: "limit" });
  await expect(rest.task("no such task")).rejects.toMatchObject({ code: "invalid_task_id" });
  await expect(rest.invocation("t", "none")).rejects.toMatchObject({ code: "invocation_not_found" });
  await hub.end("SIGKILL");
  await expect(rest.tasks()).rejects.toMatchObject({ code: "unreachable" });
  expect(() => new Rest({ hub: "nowhere" })).toThrow(/hub is an address/);
});
