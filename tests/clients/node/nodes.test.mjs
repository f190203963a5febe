// Two browsers on two of three hubs, as the README has it: an agent that knows only Redis publishes, and the third hub is killed meanwhile.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { randomUUID } from "node:crypto";
import { after, before, test } from "node:test";
import { chromium } from "playwright-core";
import { Database } from "./database.mjs";
import { Hub, within } from "./hub.mjs";

const BROWSER = process.env.TASKLIGHT_CHROMIUM ?? "/usr/bin/chromium";
const FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];
const REDIS = process.env.TASKLIGHT_TEST_REDIS_URL;
const COUNT = 60;

let database;
let prefix;
let browser;
let hubs = [];

const redis = (channel, payload) => Number(execFileSync("redis-cli", ["-u", REDIS, "publish", prefix + channel, payload]));

before(async () => {
  assert.ok(REDIS, "run `make test-clients`, or paste what `make services` prints");
  database = new Database();
  prefix = `${database.name}:`;
  const environment = { TASKLIGHT__STORE__URL: database.url, TASKLIGHT__BROKER__URL: REDIS, TASKLIGHT__BROKER__PREFIX: prefix };
  browser = await chromium.launch({ executablePath: BROWSER, args: FLAGS });
  hubs = await Promise.all([1, 2, 3].map(() => Hub.start(environment)));
});

after(async () => {
  await browser?.close();
  for (const hub of hubs) await hub.remove();
  database?.remove();
});

/** Publishes until a hub hears it, announcing the task while none does. */
async function publish(text) {
  const activity = JSON.stringify({ invocationId: "me", type: "message", data: { text }, eventId: randomUUID() });
  while (redis("task:hello", activity) === 0) {
    redis("tasks", JSON.stringify({ taskId: "hello" }));
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

test("browsers on different hubs show the same log, each activity once, while a third hub dies", async () => {
  const pages = [];
  for (const hub of [hubs[0], hubs[2]]) {
    // So high that the whole log is on screen: rows that are not are no elements.
    const page = await browser.newPage({ viewport: { width: 1280, height: 6_000 } });
    await page.goto(`${hub.url}/tasks/hello`);
    pages.push(page);
  }
  const published = async () => {
    for (let n = 1; n <= COUNT; n++) {
      if (n === COUNT / 3) await hubs[1].end("SIGKILL");
      await publish(`${n}`);
    }
  };
  await within(published(), "publishing");
  const expected = Array.from({ length: COUNT }, (_, n) => `${n + 1}`);
  for (const page of pages) {
    await page.waitForFunction((head) => document.getElementById("badge").textContent === head, `live · complete to #${COUNT}`);
    await page.waitForFunction((count) => document.querySelectorAll(".tl-row").length >= count, COUNT);
    const rows = await page.$$eval(".tl-row", (found) => found.map((row) => [Number(row.dataset.offset), row.querySelector(".tl-body").textContent]));
    const texts = rows.sort(([one], [other]) => one - other).map(([, text]) => text.replace(/^message/, ""));
    assert.deepEqual(texts, expected);
  }
});
