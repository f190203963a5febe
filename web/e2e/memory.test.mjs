// What the page weighs: its scripts, and its memory while a task goes on and on.
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { gzipSync } from "node:zlib";
import { Hub } from "../../tests/clients/node/hub.mjs";
import { elements, heap, inWindow, launch, liveTo, sized } from "./browser.mjs";
import { message, publishAll, Publisher } from "./logs.mjs";

/** The most compressed script for a first view, whichever view that is. */
const MOST_SCRIPT = 150 * 1024;

/** How far the heap at the end may be above that in the middle: what two looks at the same thing differ by. */
const TOLERANCE = 2 * 1024 * 1024;

/** The same of nodes of the document and those that scripts still hold. */
const NODE_TOLERANCE = 1_500;

const RATE = 500;
const RUN_MS = sized(15_000, 60_000);

/** What the page holds of a task when it holds no more. */
const FULL = 5_000;

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

const assets = new URL("../dist/assets/", import.meta.url);

test("bundle size: the scripts of any view are small", async () => {
  const scripts = readdirSync(assets).filter((name) => name.endsWith(".js"));
  assert.ok(2 <= scripts.length, "the page is built");
  await publishAll(hub, "small", [message("one")]);
  for (const path of ["/", "/tasks/small"]) {
    const asked = new Set();
    await inWindow(browser, hub, {}, async (window) => {
      window.context.on("request", (request) => asked.add(new URL(request.url()).pathname.split("/").at(-1)));
      const page = await window.tab(path);
      await page.locator(".task-row, .tl-row").first().waitFor();
    });
    // The worker's script is asked for by the browser, out of the context's sight.
    const loaded = scripts.filter((name) => asked.has(name) || name.startsWith("worker"));
    const bytes = loaded.reduce((sum, name) => sum + gzipSync(readFileSync(new URL(name, assets)), { level: 9 }).length, 0);
    assert.ok(2 <= loaded.length && bytes <= MOST_SCRIPT, `${path} takes ${bytes} bytes of script: ${loaded.join(", ")}`);
  }
});

test(`the heap stays flat while ${RATE} activities a second come to a full page`, async () => {
  const text = "what an agent says in a line or two, about the length of a usual message ".repeat(4);
  await publishAll(hub, "busy", Array.from({ length: FULL + 1_000 }, (_, i) => message(`${i} ${text}`)));
  await inWindow(browser, hub, {}, async (window) => {
    const page = await window.tab("/tasks/busy");
    await liveTo(page, FULL + 1_000);
    const publisher = new Publisher(hub, "busy", RATE, (n) => message(`live ${n} ${text}`));
    await page.waitForFunction((least) => least < Number(/#(\d+)/.exec(document.getElementById("badge").textContent)?.[1]), FULL * 2 + 1_000, { timeout: 60_000 });
    const samples = [];
    const rows = [];
    const nodes = [];
    const devtools = await window.context.newCDPSession(page);
    const began = Date.now();
    while (Date.now() - began < RUN_MS) {
      await page.waitForTimeout(RUN_MS / 10);
      samples.push(await heap(page));
      rows.push(await elements(page));
      nodes.push((await devtools.send("Memory.getDOMCounters")).nodes);
    }
    const sent = await publisher.stop();
    await liveTo(page, FULL + 1_000 + sent);
    const least = (part) => Math.min(...part);
    const half = Math.floor(samples.length / 2);
    const grown = least(samples.slice(half)) - least(samples.slice(0, half));
    const shown = samples.map((bytes) => (bytes / 1024 / 1024).toFixed(1)).join(" ");
    assert.ok(RATE * 0.7 * (RUN_MS / 1_000) < sent, `only ${sent} were published`);
    assert.ok(least(nodes.slice(half)) - least(nodes.slice(0, half)) < NODE_TOLERANCE, `nodes: ${nodes.join(" ")}`);
    assert.ok(grown < TOLERANCE, `it grew by ${grown} bytes: ${shown} MiB`);
    assert.ok(Math.max(...rows) < Math.min(...rows) * 2, `elements: ${rows.join(" ")}`);
  });
});
