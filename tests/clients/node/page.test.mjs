// The page in a real browser: what it shows is the log, through a restart of the hub, and hostile output stays text.
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { after, before, test } from "node:test";
import { chromium } from "playwright-core";
import { Hub, message } from "./hub.mjs";

const BROWSER = process.env.TASKLIGHT_CHROMIUM ?? "/usr/bin/chromium";
const FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];

let browser;
let hub;
let complaints;

before(async () => {
  assert.ok(existsSync(BROWSER), `${BROWSER} is missing: install the package chromium, or set TASKLIGHT_CHROMIUM`);
  browser = await chromium.launch({ executablePath: BROWSER, args: FLAGS });
  hub = await Hub.start();
});

after(async () => {
  await browser?.close();
  await hub?.remove();
});

async function open(path) {
  const page = await browser.newPage();
  complaints = [];
  page.on("console", (line) => line.type() === "error" && complaints.push(line.text()));
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("dialog", (dialog) => {
    complaints.push("a dialog opened");
    dialog.dismiss();
  });
  await page.goto(hub.url + path);
  return page;
}

const badge = (page, text) => page.waitForFunction((wanted) => document.getElementById("badge").textContent === wanted, text);
const texts = (page) => page.$$eval(".activity.message .text", (found) => found.map((one) => one.textContent));

test("an empty hub teaches the first commands, and tasks appear as they come", async () => {
  const page = await open("/");
  await page.waitForSelector(".lesson pre");
  await hub.publish("first", { invocationId: "r", type: "status", data: { status: "running" } });
  await page.waitForSelector(".task .dot.running");
  assert.equal(await page.textContent(".task .id"), "first");
  assert.deepEqual(complaints, []);
});

test("a task is followed live through kill -9, each activity once", async () => {
  const page = await open("/tasks/live");
  await badge(page, "waiting for the task");
  await hub.publish("live", message("one"));
  await badge(page, "live · complete to #1");
  await hub.restart("SIGKILL");
  await hub.publish("live", ...Array.from({ length: 40 }, (_, n) => message(`after ${n}`)));
  await badge(page, "live · complete to #41");
  await page.waitForFunction(() => document.querySelectorAll(".activity").length === 41);
  assert.deepEqual(await texts(page), ["one", ...Array.from({ length: 40 }, (_, n) => `after ${n}`)]);
});

test("hostile output is shown and not obeyed", async () => {
  const hostile = ["<img src=x onerror=alert(1)>", "<script>alert(2)</script>", "javascript:alert(3)", "\u001b]52;c;aGk=\u0007", "\u202egpj.exe"];
  const output = { invocationId: "r", type: "output", data: { stream: "stdout", text: "\u001b[31mred\u001b[0m \u001b[2J\u001b]0;x\u0007<b>\n" } };
  await hub.publish("hostile", ...hostile.map((text) => message(text)), output);
  const page = await open("/tasks/hostile");
  await badge(page, "live · complete to #6");
  await page.waitForSelector(".activity.output");
  const shown = await texts(page);
  assert.deepEqual(shown.slice(0, 3), hostile.slice(0, 3));
  assert.equal(shown[3], "␛]52;c;aGk=␇");
  assert.equal(shown[4], "⟨U+202E⟩gpj.exe");
  assert.equal(await page.textContent(".activity.output .fg1"), "red");
  assert.equal(await page.$(".activity img, .activity script, .activity b"), null);
  assert.deepEqual(complaints, [], "no dialog, no request, no violation of the policy");
});

test("a link to an activity shows it, and memory stays bounded", async () => {
  for (let batch = 0; batch < 3; batch += 1) await hub.publish("long", ...Array.from({ length: 1000 }, (_, n) => message(`${batch * 1000 + n}`)));
  const page = await open("/tasks/long#2500");
  await page.waitForSelector("[id='2500']");
  await hub.publish("long", ...Array.from({ length: 1000 }, (_, n) => message(`more ${n}`)));
  await hub.publish("long", ...Array.from({ length: 1000 }, (_, n) => message(`most ${n}`)));
  await badge(page, "live · complete to #5000");
  await page.waitForFunction(() => document.getElementById("5000") !== null);
  assert.equal(await page.$$eval(".activity", (found) => found.length), 2000);
  await page.click("#older");
  await page.waitForSelector("[id='2801']");
  assert.deepEqual(complaints, []);
});
