// What axe finds in every view, light and dark, wide and on a phone.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { after, before, test } from "node:test";
import { Hub } from "../../tests/clients/node/hub.mjs";
import { inWindow, launch, liveTo, until } from "./browser.mjs";
import { call, message, mixed, output, publishAll, result, status } from "./logs.mjs";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

const RED = "\u001b[31m", GREEN = "\u001b[32m", DIM = "\u001b[2m", RESET = "\u001b[0m";

let browser;
let hub;
let empty;

before(async () => {
  browser = await launch();
  [hub, empty] = await Promise.all([Hub.start({ TASKLIGHT__RECONCILER__STALLED_AFTER: "1s" }), Hub.start()]);
  const activities = [
    status("running", "run-1", { agent: "claude", title: "make it green" }),
    { invocationId: "run-1", type: "message", data: { role: "user", text: "Please `make` it green: https://example.com/" } },
    { invocationId: "run-1", type: "thinking", data: { text: "First I look." } },
    call("edit", "Edit", { file_path: "src/main.rs", old_string: "let a = 1;\nlet b = 2;", new_string: "let a = 1;\nlet b = 3;" }), result("edit", "done"),
    call("bash", "Bash", { command: "cargo test", description: "Run the tests" }), result("bash", `${RED}1 failed${RESET} ${GREEN}12 passed${RESET} ${DIM}in 3 s${RESET}`, "run-1", { isError: true }),
    call("todo", "TodoWrite", { todos: [{ content: "look", status: "completed" }, { content: "mend", status: "in_progress" }, { content: "rest", status: "pending" }] }), result("todo", "ok"),
    output(`${GREEN}Compiling${RESET} tasklight\n`), output("warning\n", "run-1", "stderr"),
    { invocationId: "run-1", type: "progress", data: { percent: 40, text: "building" } },
    { invocationId: "run-1", type: "error", data: { message: "it broke", code: "E1" } },
    { invocationId: "run-1", type: "usage", data: { inputTokens: 1200, outputTokens: 340, costUsd: 0.12 } },
    { invocationId: "run-1", type: "custom", data: { name: "hook", any: { deep: [1, 2] } } },
    status("running", "run-2", { agent: "codex" }), message("a second run", "run-2"),
  ];
  await publishAll(hub, "task", activities);
  await publishAll(hub, "done", [...mixed(200), status("completed", "run-1"), status("failed", "run-2", { reason: "no" })]);
  await fetch(`${hub.url}/v1/tasks/labelled`, { method: "PUT", body: JSON.stringify({ title: "With labels", labels: { team: "infra", branch: "main" } }) });
  await hub.publish("labelled", status("completed", "r", { agent: "gemini" }));
});

after(async () => {
  await browser?.close();
  await hub?.remove();
  await empty?.remove();
});

const VIEWS = {
  "the list": { path: "/", ready: (page) => until(page, "a stalled task", () => document.querySelector('[data-standing="stalled"]') !== null) },
  "an empty hub": { path: "/", isEmpty: true, ready: (page) => page.locator(".lesson").waitFor() },
  "the filters of the list": { path: "/?status=failed", ready: (page) => page.getByRole("button", { name: "Filter", exact: true }).click() },
  "a task": { path: "/tasks/task", ready: (page) => liveTo(page, 17) },
  "a task's runs": {
    path: "/tasks/task",
    ready: async (page) => {
      await liveTo(page, 17);
      if (!(await page.locator(".runs").isVisible())) await page.getByRole("button", { name: "Runs", exact: true }).click();
      await page.locator(".stalled-line").first().waitFor();
    },
  },
  "everything unfolded": {
    path: "/tasks/task#4",
    ready: async (page) => {
      await page.locator(".tl-row[data-marked]").waitFor();
      await page.evaluate(() => { for (const head of document.querySelectorAll('.tl-head[aria-expanded="false"]')) head.click(); });
    },
  },
  "a search": {
    path: "/tasks/task",
    ready: async (page) => {
      await liveTo(page, 17);
      await page.getByRole("searchbox").fill("green");
      await page.getByRole("searchbox").press("Enter");
      await page.getByRole("button", { name: "List the hits" }).click();
      await page.locator(".find-hit").first().waitFor();
    },
  },
  "a menu": { path: "/tasks/done", ready: (page) => page.getByRole("button", { name: /^Filter/ }).click() },
  "the keys": { path: "/tasks/done", ready: async (page) => { await page.locator(".tl-row").first().waitFor(); await page.keyboard.press("?"); await page.getByRole("dialog").waitFor(); } },
};

for (const colorScheme of ["light", "dark"]) {
  for (const width of [1280, 360]) {
    test(`axe finds nothing serious, ${colorScheme}, ${width} px`, async () => {
      const found = [];
      for (const [name, view] of Object.entries(VIEWS)) {
        await inWindow(browser, view.isEmpty ? empty : hub, { colorScheme, viewport: { width, height: 800 } }, async (window) => {
          const page = await window.tab(view.path);
          await view.ready(page);
          await page.evaluate(AXE);
          const { violations, passes } = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
          assert.ok(passes.some(({ id }) => id === "color-contrast"), "axe has looked at the colours");
          for (const { id, impact, nodes } of violations) {
            if (impact !== "serious" && impact !== "critical") continue;
            for (const { html, failureSummary } of nodes.slice(0, 3)) found.push(`${name}: ${id} (${impact}, ${nodes.length}): ${html.slice(0, 200)} ${failureSummary.replaceAll(/\s+/g, " ").slice(0, 250)}`);
          }
          const wider = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
          if (0 < wider) found.push(`${name}: the page is ${wider} px wider than the screen`);
        });
      }
      assert.deepEqual(found, []);
    });
  }
}
