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
