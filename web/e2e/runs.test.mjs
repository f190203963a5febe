// Runs, sub-agents and tool calls beside the timeline, and what stands still.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Hub } from "../../tests/clients/node/hub.mjs";
import { inSight, inWindow, launch, liveTo, until } from "./browser.mjs";
import { call, message, publishAll, result, status } from "./logs.mjs";

let browser;
let hub;

before(async () => {
  browser = await launch();
  hub = await Hub.start({ TASKLIGHT__RECONCILER__STALLED_AFTER: "2s", TASKLIGHT__RECONCILER__TOOL_STALLED_AFTER: "3s" });
});

after(async () => {
  await browser?.close();
  await hub?.remove();
});

test("each call is a bar that leads to its place, and each run a lane that shows only it", async () => {
  const now = Date.now() - 600_000;
  const at = (seconds, activity) => ({ ...activity, timestamp: now + seconds * 1_000 });
  await publishAll(hub, "worked", [
    at(0, status("running", "lead", { agent: "claude", title: "the lead" })),
    at(1, call("one", "Bash", { command: "make one" }, "lead")),
    at(4, result("one", "done", "lead")),
    at(5, status("running", "other", { agent: "codex", title: "the other" })),
    at(6, call("two", "Read", { file_path: "src/main.rs" }, "other")),
    at(7, result("two", "no such file", "other", { isError: true })),
    ...Array.from({ length: 300 }, (_, i) => at(10 + i, message(`thinking about it ${i}`, i % 2 === 0 ? "lead" : "other"))),
    at(320, status("completed", "lead")),
    at(321, status("failed", "other", { reason: "it could not" })),
  ]);
  await inWindow(browser, hub, {}, async (window) => {
    const page = await window.tab("/tasks/worked");
    await liveTo(page, 308);
    const calls = page.getByRole("tree", { name: /^Tool calls/ });
    await until(page, "two calls", () => document.querySelectorAll('.waterfall [role="treeitem"]').length === 2);
    assert.match(await page.locator(".waterfall-count").textContent(), /2 calls.*1 failed/);
    await calls.getByRole("treeitem").filter({ hasText: "make one" }).click();
    await inSight(page, 2);
    assert.equal(await page.locator(".tl-row[data-marked]").getAttribute("data-offset"), "2");
    assert.equal(await page.locator(".lanes-row").count(), 2);
    await page.getByRole("button", { name: /^Show only the run .*codex/ }).click();
    await until(page, "only its activities", () => document.querySelectorAll(".tl-row").length !== 0 && [...document.querySelectorAll(".tl-row")].every((row) => !row.textContent.includes("make one")));
    await page.getByRole("button", { name: "Show all runs" }).click();
    await inSight(page, 2);
  });
});

test("sub-agents are lanes below the call that started them", async () => {
  const inside = { parentToolCallId: "task-1", agentType: "explore" };
  await publishAll(hub, "nested", [
    status("running", "lead", { agent: "claude" }),
    call("task-1", "Task", { description: "Count the files", prompt: "How many?" }, "lead"),
    { invocationId: "lead", type: "message", data: { role: "assistant", text: "I count", ...inside } },
    call("count", "Bash", { command: "ls | wc -l" }, "lead", inside),
    result("count", "42", "lead", inside),
    result("task-1", "42 files", "lead"),
    status("completed", "lead"),
  ]);
  await inWindow(browser, hub, {}, async (window) => {
    const page = await window.tab("/tasks/nested");
    await page.getByRole("button", { name: /^Sub-agents of/ }).first().waitFor();
    const levels = await page.getByRole("tree", { name: /^Tool calls/ }).getByRole("treeitem").evaluateAll((items) => items.map((item) => Number(item.ariaLevel)));
    assert.ok(levels.includes(1) && levels.includes(2), `levels ${levels.join(" ")}`);
  });
});

test("a run that stands still says so and why, in the list and on its page, until something is heard of it", async () => {
  await hub.publish("idle", status("running"), message("and then nothing"));
  await hub.publish("hanging", status("running"), call("slow", "Bash", { command: "sleep 1000" }));
  await inWindow(browser, hub, {}, async (window) => {
    const page = await window.tab("/");
    for (const task of ["idle", "hanging"]) {
      await until(page, `${task} stalled`, (id) => document.querySelector(`[data-task="${id}"]`)?.dataset.standing === "stalled", task);
      assert.notEqual((await page.locator(`[data-task="${task}"] .task-stall`).textContent()).trim(), "");
    }
    const task = await window.tab("/tasks/idle");
    await task.locator(".stalled-line").waitFor();
    assert.match(await task.locator(".stalled-text").textContent(), /run-1/);
    await hub.publish("idle", message("it goes on"), status("completed"));
    await task.locator(".stalled-line").waitFor({ state: "detached" });
    await page.bringToFront();
    await until(page, "that it is over", () => document.querySelector('[data-task="idle"]')?.dataset.standing === "completed");
  });
});
