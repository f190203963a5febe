// What agents say is hostile: it is shown, and nothing of it is obeyed.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Hub } from "../../tests/clients/node/hub.mjs";
import { badge, inWindow, launch, liveTo, readThrough, until } from "./browser.mjs";
import { call, message, output, result, status } from "./logs.mjs";

const MARKUP = [
  "<img src=x onerror=alert(1)>", "<script>alert(2)</script>", "<svg onload=alert(3)><a xlink:href='javascript:alert(4)'>x</a></svg>", "<iframe src='http://evil.example/'></iframe>",
  "<style>*{display:none}</style>", "\"><img src='http://evil.example/x.png'>", "<a href=\"javascript:alert(5)\">click</a>", "</textarea><b>bold</b>", "{{constructor.constructor('alert(6)')()}}", "${alert(7)}",
];
const LINKS = ["javascript:alert(8)", "data:text/html,<script>alert(9)</script>", "vbscript:x", "file:///etc/passwd", "[click](javascript:alert(10))", "![x](http://evil.example/y.png)", "http://user:pass@evil.example/", "https://good.example/a?b=c#d"];
const ESCAPES = [
  "\u001b]8;;javascript:alert(11)\u0007click\u001b]8;;\u0007", "\u001b]52;c;aGVsbG8=\u0007", "\u001b]0;a title\u0007", "\u001b]2;a title\u001b\\", "\u001b[2J\u001b[H", "\u001b[999;999H", "\u001b[?1049h", "\u001b[6n",
  "\u001bP+q544e\u001b\\", "\u001bc", "\u009b31m", "\u001b[31mred\u001b[0m", "\u001b[38;5;999m", "\u001b[38;2;1;2", "\u001b[9999999999999999999m", "\b\b\b\b", "progress 1\rprogress 2",
];
const HIDDEN = ["\u202egpj.exe", "\u2066isolate\u2069", "zero\u200bwidth", "\ufefffeff", "\u0001soh", "a\u00adb", "\u{e0041}tag"];
const LONG = ["x".repeat(30_000), `${"<b>".repeat(5_000)}`, "a\n".repeat(6_000), "é\u0301".repeat(3_000)];
const NESTED = Array.from({ length: 24 }).reduce((inner) => ({ "<img src=x onerror=alert(12)>": [inner] }), "</script>");

const ALL = [...MARKUP, ...LINKS, ...ESCAPES, ...HIDDEN];

let browser;
let hub;

before(async () => {
  browser = await launch();
  hub = await Hub.start();
});

after(async () => {
  await browser?.close();
  await hub?.remove();
});

/** Nothing stands in the document that is not of the page itself. */
async function isUntouched(page) {
  const made = await page.evaluate(() => ({
    elements: [...document.querySelectorAll("main *")].filter((one) => /^(img|script|iframe|style|object|embed|form|base|meta|link|video|audio)$/i.test(one.tagName) && !one.matches("form.bar-form")).map((one) => one.outerHTML.slice(0, 200)),
    handlers: [...document.querySelectorAll("*")].filter((one) => [...one.attributes].some(({ name }) => name.startsWith("on"))).map((one) => one.outerHTML.slice(0, 200)),
    links: [...document.querySelectorAll("a[href]")].map((one) => new URL(one.href).protocol).filter((protocol) => !["http:", "https:"].includes(protocol)),
    bare: [...document.querySelectorAll('a[href*="example"]')].filter((one) => one.target !== "_blank" || !one.relList.contains("noopener")).map((one) => one.outerHTML),
    title: document.title,
  }));
  assert.deepEqual(made.elements, []);
  assert.deepEqual(made.handlers, []);
  assert.deepEqual(made.links, []);
  assert.deepEqual(made.bare, []);
  assert.match(made.title, /Tasklight$/);
}

test("texts, calls, results, output and everything else stay text", async () => {
  const activities = [
    ...ALL.flatMap((text, i) => [message(text), output(`${text}\n`), call(`c${i}`, text.slice(0, 100) || "x", { command: text, [text]: text }), result(`c${i}`, text, "run-1", { isError: i % 2 === 0 })]),
    ...LONG.flatMap((text, i) => [message(text), output(text), call(`l${i}`, "bash", { command: text }), result(`l${i}`, text)]),
    call("nested", "<b>tool</b>", NESTED), result("nested", [{ type: "text", text: "<img src=x onerror=alert(13)>" }, NESTED]),
    call("edit", "Edit", { file_path: "<img src=x onerror=alert(14)>", old_string: "<b>\u202e", new_string: "<script>alert(15)</script>" }), result("edit", "done"),
    call("todo", "TodoWrite", { todos: [{ content: "<img src=x onerror=alert(16)>", status: "in_progress", activeForm: "x" }] }), result("todo", "ok"),
    ...ALL.slice(0, 6).flatMap((text) => [
      { invocationId: "run-1", type: "error", data: { message: text, code: text } },
      { invocationId: "run-1", type: "progress", data: { percent: 1e9, text } },
      { invocationId: "run-1", type: "custom", data: { name: text, any: NESTED } },
      { invocationId: "run-1", type: "thinking", data: { text } },
      { invocationId: "run-1", type: "usage", data: { inputTokens: 5, model: text } },
      status("running", "run-1", { agent: text.slice(0, 60), title: text, reason: text }),
    ]),
  ];
  for (let from = 0; from < activities.length; from += 20) {
    for (const one of await hub.publish("hostile", ...activities.slice(from, from + 20))) assert.ok(one.offset, JSON.stringify(one));
  }
  await inWindow(browser, hub, {}, async (window) => {
    const page = await window.tab("/tasks/hostile");
    await liveTo(page, activities.length);
    const rows = new Map(await readThrough(page));
    await isUntouched(page);
    const shown = [...rows.values()].join("\n");
    for (const text of MARKUP) assert.ok(shown.includes(text.slice(0, 30)), `${text} is shown as it is`);
    for (const code of ["202E", "2066", "200B", "AD"]) assert.match(shown, new RegExp(`⟨U\\+0*${code}⟩`), `U+${code} is shown`);
    assert.ok(!/[\u202a-\u202e\u2066-\u2069\u200b\u001b\u0007]/.test(await page.evaluate(() => document.body.innerText)), "nothing hidden is left");
    // Everything unfolded.
    for (const row of await page.locator(".tl-row .tl-head[aria-expanded='false']").all()) await row.click({ timeout: 2_000 }).catch(() => undefined);
    await isUntouched(page);
  });
});

test("ids, titles, labels and agents stay text in the list and beside the timeline", async () => {
  const labels = Object.fromEntries(MARKUP.slice(0, 3).map((text, i) => [`label-${i}`, text.slice(0, 60)]));
  const put = await fetch(`${hub.url}/v1/tasks/titled`, { method: "PUT", body: JSON.stringify({ title: "<img src=x onerror=alert(1)>\u202e", labels }) });
  assert.ok(put.ok, await put.text());
  for (const [i, text] of [...MARKUP, ...HIDDEN.filter((text) => !/[\u0001]/.test(text))].entries()) {
    await hub.publish("titled", status("running", text.slice(0, 100), { agent: text.slice(0, 60), title: text }), message(`from ${i}`, text.slice(0, 100)));
  }
  await inWindow(browser, hub, { allowed: /status of 40[04]/ }, async (window) => {
    const page = await window.tab("/");
    await page.locator('[data-task="titled"]').waitFor();
    await isUntouched(page);
    assert.match(await page.locator('[data-task="titled"]').textContent(), /<img src=x onerror=alert\(1\)>⟨U\+202E⟩/);
    const task = await window.tab("/tasks/titled");
    await until(task, "the runs", () => document.querySelector(".lanes-row") !== null);
    await isUntouched(task);
    assert.ok(!/[\u202a-\u202e\u2066-\u2069\u200b]/.test(await task.evaluate(() => document.body.innerText)), "nothing hidden is left");
    await task.goto(`${hub.url}/tasks/${encodeURIComponent("<img src=x onerror=alert(1)>")}`);
    await isUntouched(task);
    await task.goto(`${hub.url}/?q=${encodeURIComponent("<img src=x onerror=alert(1)>")}&label=${encodeURIComponent("javascript:alert(1)=x")}&status=<b>`);
    await badge(task, "live · 2 tasks");
    await isUntouched(task);
  });
});
