// docs/images: every view in light and dark, and on a phone, with made-up agents at work.
import { spawn } from "node:child_process";
import { mkdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Hub } from "../../tests/clients/node/hub.mjs";
import { launch, PATIENCE_MS, until, Window } from "./browser.mjs";
import { call, message, output, publishAll, result, status } from "./logs.mjs";

const IMAGES = fileURLToPath(new URL("../../docs/images/", import.meta.url));
const WIDE = { width: 1280, height: 800 };
/** How long the agents have been at work when they are shown. */
const DEMO_MS = 40_000;

const PHONE = { width: 390, height: 844 };

const sgr = (code, text) => `\u001b[${code}m${text}\u001b[0m`;

/** A task as somebody would look at it: a fix with a test, a sub-agent, a terminal, a difference. */
function story() {
  const began = Date.now() - 7 * 60_000;
  const at = (seconds, activity) => ({ ...activity, timestamp: began + seconds * 1_000 });
  const inside = { parentToolCallId: "explore", agentType: "explore" };
  return [
    at(0, status("running", "fix-login", { agent: "claude", title: "Fix the login race" })),
    at(1, { invocationId: "fix-login", type: "message", data: { role: "user", text: "Two people who log in at the same moment sometimes get each other's session. Find out why, fix it, and add a test." } }),
    at(6, { invocationId: "fix-login", type: "thinking", data: { text: "A race between lookup and insert. I should look at how sessions are keyed before I touch anything." } }),
    at(9, message("I look for where sessions are made first.", "fix-login")),
    at(10, call("explore", "Task", { description: "Find where sessions are made", prompt: "Find every place that creates a session." }, "fix-login")),
    at(14, call("grep", "Grep", { pattern: "Session::new", path: "src/" }, "fix-login", inside)),
    at(17, result("grep", "src/login.rs:48\nsrc/login.rs:91\nsrc/cache.rs:22", "fix-login", inside)),
    at(19, call("read", "Read", { file_path: "src/login.rs" }, "fix-login", inside)),
    at(24, result("read", "pub fn login(&self, user: &User) -> Session {", "fix-login", inside)),
    at(41, result("explore", "Sessions are made in three places; `login.rs:48` checks and inserts without holding the lock between.", "fix-login")),
    at(46, message("`login.rs:48` checks, lets go of the lock, and inserts. Between the two another login can come. I make it one step.", "fix-login")),
    at(52, call("edit", "Edit", { file_path: "src/login.rs", old_string: "    if !self.sessions.contains(user.id) {\n        let session = Session::new(user);\n        self.sessions.insert(user.id, session);\n    }\n    self.sessions.get(user.id)", new_string: "    self.sessions\n        .entry(user.id)\n        .or_insert_with(|| Session::new(user))\n        .clone()" }, "fix-login")),
    at(53, result("edit", "The file was changed.", "fix-login")),
    at(60, status("running", "review", { agent: "codex", title: "Review the change" })),
    at(61, message("I read the difference and the callers of `login`.", "review")),
    at(62, call("test", "Bash", { command: "cargo test login -- --nocapture", description: "Run the login tests" }, "fix-login")),
    at(70, call("diff", "shell", { command: "git diff --stat" }, "review")),
    at(71, result("diff", " src/login.rs | 9 ++++-----\n 1 file changed, 4 insertions(+), 5 deletions(-)", "review")),
    at(118, result("test", `${sgr("1;32", "   Compiling")} shop v0.4.1\n${sgr("1;32", "    Finished")} test profile in 41.2s\n\nrunning 3 tests\ntest login::one_session_each ... ${sgr("32", "ok")}\ntest login::expires ... ${sgr("32", "ok")}\ntest login::two_at_once ... ${sgr("31", "FAILED")}\n\n${sgr("31", "assertion `left == right` failed")}\n  left: 2\n right: 1`, "fix-login", { isError: true })),
    at(121, message("The new test still fails: `cache.rs:22` makes a session of its own. That is the second half of the bug.", "fix-login")),
    at(125, call("todo", "TodoWrite", { todos: [{ content: "One step in login.rs", status: "completed" }, { content: "No session of its own in cache.rs", status: "in_progress" }, { content: "A test with 100 logins at once", status: "pending" }] }, "fix-login")),
    at(126, result("todo", "ok", "fix-login")),
    at(140, call("edit2", "Edit", { file_path: "src/cache.rs", old_string: "let session = Session::new(user);", new_string: "let session = logins.login(user);" }, "fix-login")),
    at(141, result("edit2", "The file was changed.", "fix-login")),
    at(150, output(`${sgr("36", "watch")} src/cache.rs changed, building ${sgr("2", "(2 of 14)")}\n${sgr("33", "warning")}: unused import: Session\n`, "fix-login")),
    at(338, call("test2", "Bash", { command: "cargo test", description: "Run all tests" }, "fix-login")),
    at(371, result("test2", `test result: ${sgr("32", "ok")}. 214 passed; 0 failed; finished in 31.80s`, "fix-login")),
    at(373, { invocationId: "fix-login", type: "usage", data: { inputTokens: 48_210, outputTokens: 3_904, costUsd: 0.41 } }),
    at(375, { invocationId: "review", type: "usage", data: { inputTokens: 12_800, outputTokens: 610, costUsd: 0.07 } }),
    at(376, status("completed", "review")),
    at(380, message("Both halves are fixed, and 214 tests pass. Shall I also take out the cache's unused import?", "fix-login")),
  ];
}

const browser = await launch();
const hub = await Hub.start({ TASKLIGHT__RECONCILER__STALLED_AFTER: "20s", TASKLIGHT__RECONCILER__TOOL_STALLED_AFTER: "25s" });
const empty = await Hub.start();
const calm = await Hub.start();
let demo;
mkdirSync(IMAGES, { recursive: true });
try {
  await publishAll(calm, "shop-login", story());
  await fetch(`${calm.url}/v1/tasks/shop-login`, { method: "PATCH", headers: { "content-type": "application/json" }, body: JSON.stringify({ title: "Sessions mixed up at login", labels: { team: "shop", branch: "fix/login" } }) });
  await publishAll(hub, "deploy-eu", [status("running", "ship", { agent: "ci", title: "Ship 4.2 to Europe" }), output("step 1 of 9\n", "ship"), status("failed", "ship", { reason: "the health check did not answer", exitCode: 1 })]);
  await publishAll(hub, "nightly-index", [status("running", "index", { agent: "cron", title: "Build the search index" }), call("hang", "Bash", { command: "index --all" }, "index")]);
  for (const [task, labels, title] of [["deploy-eu", { team: "platform", region: "eu" }, "Ship 4.2 to Europe"], ["nightly-index", { team: "search" }, "Build the search index"]]) {
    await fetch(`${hub.url}/v1/tasks/${task}`, { method: "PATCH", headers: { "content-type": "application/json" }, body: JSON.stringify({ title, labels }) });
  }
  demo = spawn(process.env.TASKLIGHT_BIN, ["demo", "--hub", hub.url, "--agents", "20", "--rate", "40", "--for", "10m", "--seed", "7"], { stdio: "ignore" });
  await new Promise((done) => setTimeout(done, DEMO_MS));

  const shown = async (from, name, scheme, viewport, path, ready) => {
    const window = await Window.open(browser, from, { colorScheme: scheme, viewport });
    try {
      const page = await window.tab(path);
      await ready(page);
      await page.waitForTimeout(400);
      await page.screenshot({ path: `${IMAGES}${name}-${scheme}.png` });
    } finally {
      await window.context.close();
    }
  };
  const task = (page) => until(page, "the task", () => document.querySelector(".tl-row") !== null && document.getElementById("badge").textContent.startsWith("live"));
  const list = (page) => until(page, "the list", () => document.querySelector(".task-row") !== null && document.getElementById("badge").textContent.startsWith("live"));
  for (const scheme of ["light", "dark"]) {
    await shown(hub, "overview", scheme, WIDE, "/", list);
    await shown(empty, "empty", scheme, WIDE, "/", (page) => page.locator(".lesson").waitFor());
    await shown(calm, "task", scheme, WIDE, "/tasks/shop-login#12", async (page) => { await task(page); await page.locator(".tl-row[data-marked]").waitFor({ timeout: PATIENCE_MS }); });
    await shown(calm, "runs", scheme, WIDE, "/tasks/shop-login", async (page) => {
      await task(page);
      await page.locator(".waterfall-row").filter({ hasText: "cargo test login" }).click();
    });
    await shown(calm, "search", scheme, WIDE, "/tasks/shop-login", async (page) => {
      await task(page);
      await page.getByRole("searchbox").fill("session");
      await page.getByRole("searchbox").press("Enter");
      await page.getByRole("button", { name: "List the hits" }).click();
      await page.locator(".find-hit").first().waitFor();
    });
    await shown(calm, "phone", scheme, PHONE, "/tasks/shop-login", task);
    await shown(calm, "phone-runs", scheme, PHONE, "/tasks/shop-login", async (page) => { await task(page); await page.getByRole("button", { name: "Runs", exact: true }).click(); });
    await shown(hub, "phone-overview", scheme, PHONE, "/", list);
  }
} finally {
  demo?.kill("SIGKILL");
  await browser.close();
  await Promise.all([hub.remove(), empty.remove(), calm.remove()]);
}
