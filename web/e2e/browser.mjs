// The page in a real browser. Whatever a test does, it must not complain: no error, no dialog, no violation of the policy, no request elsewhere.
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { chromium } from "playwright-core";

const BROWSER = process.env.TASKLIGHT_CHROMIUM ?? "/usr/bin/chromium";
const FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];

/** How long the page may take for anything. */
export const PATIENCE_MS = Number(process.env.E2E_PATIENCE_MS ?? 30_000);

/** The long forms of the tests, with more data. */
export const IS_FULL = process.env.E2E === "full";

export const sized = (short, full) => (IS_FULL ? full : short);

/** What browsers say of requests that fail, which is no fault of the page: a hub that is away, or a task that does not exist yet. */
export const AWAY = /net::ERR_(CONNECTION_REFUSED|CONNECTION_RESET|EMPTY_RESPONSE|INCOMPLETE_CHUNKED_ENCODING|SOCKET_NOT_CONNECTED)|WebSocket connection to .* failed/;
export const NOT_YET = /status of 404/;

export async function launch(flags = []) {
  assert.ok(existsSync(BROWSER), `${BROWSER} is missing: install the package chromium, or set TASKLIGHT_CHROMIUM`);
  return chromium.launch({ executablePath: BROWSER, args: [...FLAGS, ...flags] });
}

/** Tabs that share a worker, and everything that is wrong with them. */
export class Window {
  complaints = [];

  /** `allowed` is what may be said on the console. */
  static async open(browser, hub, { allowed = /^$/, ...options } = {}) {
    const made = new Window();
    made.hub = hub;
    made.allowed = allowed;
    made.context = await browser.newContext({ viewport: { width: 1280, height: 800 }, reducedMotion: "reduce", ...options });
    made.context.setDefaultTimeout(PATIENCE_MS);
    await made.context.addInitScript(() => {
      window.violations = [];
      document.addEventListener("securitypolicyviolation", ({ violatedDirective, blockedURI }) => window.violations.push(`${violatedDirective} ${blockedURI}`));
    });
    made.context.on("request", (request) => {
      const url = new URL(request.url());
      if (url.origin !== hub.url && url.protocol !== "blob:" && url.protocol !== "data:") made.complaints.push(`a request to ${request.url()}`);
    });
    return made;
  }

  async tab(path) {
    const page = await this.context.newPage();
    page.on("console", (line) => {
      if (line.type() === "error" && !this.allowed.test(line.text())) this.complaints.push(`${line.text()} (${line.location().url})`);
    });
    page.on("pageerror", (error) => this.complaints.push(error.stack ?? String(error)));
    page.on("dialog", (dialog) => {
      this.complaints.push("a dialog opened");
      void dialog.dismiss();
    });
    await page.goto(this.hub.url + path);
    return page;
  }

  /** Nothing was wrong with any tab, and they are closed. */
  async close() {
    for (const page of this.context.pages()) this.complaints.push(...(await page.evaluate(() => window.violations ?? [])));
    await this.context.close();
    assert.deepEqual(this.complaints, []);
  }
}

/** Runs the steps in a window of their own; complaints fail it. */
export async function inWindow(browser, hub, options, steps) {
  const window = await Window.open(browser, hub, options);
  try {
    await steps(window);
  } catch (error) {
    await window.context.close();
    if (0 < window.complaints.length) error.message += `\n${window.complaints.join("\n")}`;
    throw error;
  }
  await window.close();
}

/** Until the condition holds in the page, or a failure that says what it was and what the page shows. */
export async function until(page, what, condition, argument) {
  try {
    return await page.waitForFunction(condition, argument, { timeout: PATIENCE_MS });
  } catch (error) {
    const shown = await page.evaluate(() => document.body.innerText.slice(0, 2_000)).catch(() => "nothing");
    throw new Error(`${what} did not happen (${error.message.split("\n")[0]}); the page shows:\n${shown}`);
  }
}

export const badge = (page, text) =>
  until(page, `the badge “${text}”`, (wanted) => document.getElementById("badge")?.textContent === wanted, text);

export const liveTo = (page, offset) => badge(page, `live · complete to #${offset}`);

/** After what is under way has been drawn. */
export const drawn = (page) => page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done)))));

/** The rows that are in sight, from top to bottom: where they begin, what they say, where they stand. */
export const rowsInSight = (page) =>
  page.evaluate(() => {
    const frame = document.querySelector(".tl-scroller").getBoundingClientRect();
    return [...document.querySelectorAll(".tl-row")]
      .map((row) => ({ offset: Number(row.dataset.offset), text: row.querySelector(".tl-body")?.textContent ?? "", marked: "marked" in row.dataset, box: row.getBoundingClientRect() }))
      .filter(({ box }) => frame.top < box.bottom && box.top < frame.bottom)
      .map(({ box, ...row }) => ({ ...row, top: box.top - frame.top, height: box.height }))
      .sort((a, b) => a.top - b.top);
  });

/** Until the row is in sight. */
export const inSight = (page, offset) =>
  until(page, `#${offset} in sight`, (wanted) => {
    const frame = document.querySelector(".tl-scroller")?.getBoundingClientRect();
    const row = document.querySelector(`.tl-row[data-offset="${wanted}"]`)?.getBoundingClientRect();
    return frame !== undefined && row !== undefined && 0 < row.height && frame.top <= row.top + 1 && row.top < frame.bottom;
  }, offset);

/** Every row there is, read by going through all of them as a person does: by screens, waiting for what is loaded on the way. */
export async function readThrough(page) {
  await page.keyboard.press("Home");
  await until(page, "the log's start", () => document.querySelector(".tl-scroller").ariaBusy !== "true" && document.querySelector('.tl-row[data-index="0"]') !== null);
  return page.evaluate(async () => {
    const scroller = document.querySelector(".tl-scroller");
    const frames = (count) => new Promise((done) => {
      const next = (left) => (left === 0 ? done() : requestAnimationFrame(() => next(left - 1)));
      next(count);
    });
    const seen = new Map();
    const look = () => {
      for (const row of document.querySelectorAll(".tl-row")) seen.set(Number(row.dataset.offset), row.querySelector(".tl-body")?.textContent ?? "");
    };
    let still = 0;
    scroller.scrollTop = 0;
    while (still < 5) {
      await frames(3);
      look();
      const before = scroller.scrollTop;
      scroller.scrollTop += scroller.clientHeight / 2;
      await frames(1);
      still = scroller.scrollTop === before && scroller.ariaBusy !== "true" ? still + 1 : 0;
    }
    return [...seen].sort(([a], [b]) => a - b);
  });
}

/** How many elements there are. */
export const elements = (page) => page.evaluate(() => document.querySelectorAll("*").length);

/** The bytes of script data that are in use after everything unused was collected. */
export async function heap(page) {
  const devtools = await page.context().newCDPSession(page);
  await devtools.send("HeapProfiler.enable");
  for (let i = 0; i < 3; i += 1) await devtools.send("HeapProfiler.collectGarbage");
  const { usedSize } = await devtools.send("Runtime.getHeapUsage");
  await devtools.detach();
  return usedSize;
}
