// The figures of docs/page.md. BENCH_MINUTES says how long the memory is looked at (3 if left out).
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { cpus, totalmem } from "node:os";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { Hub } from "../../tests/clients/node/hub.mjs";
import { heap, launch, liveTo, Window } from "./browser.mjs";
import { message, mixed, publishAll, Publisher } from "./logs.mjs";

const LONG = 100_000;
const RATE = 500;
const MINUTES = Number(process.env.BENCH_MINUTES ?? 3);
const OPENINGS = 5;

const text = "what an agent says in a line or two, about the length of a usual message ".repeat(4);
const rank = (numbers, part) => numbers.toSorted((a, b) => a - b)[Math.min(numbers.length - 1, Math.floor(numbers.length * part))] ?? 0;
const mib = (bytes) => `${(bytes / 1024 / 1024).toFixed(1)} MiB`;
const millis = (ms) => `${ms.toFixed(0)} ms`;

const browser = await launch();
const hub = await Hub.start();
const rows = [];
const row = (what, figure) => {
  rows.push(`| ${what} | ${figure} |`);
  console.log(`${what}: ${figure}`);
};

const inTab = async (path, steps) => {
  const window = await Window.open(browser, hub);
  try {
    return await steps(await window.tab(path), window);
  } finally {
    await window.context.close();
  }
};

try {
  await publishAll(hub, "long", mixed(LONG));
  await publishAll(hub, "busy", Array.from({ length: 6_000 }, (_, i) => message(`${i} ${text}`)));

  const assets = new URL("../dist/assets/", import.meta.url);
  const scripts = readdirSync(assets).filter((name) => name.endsWith(".js"));
  for (const [path, name] of [["/", "the list"], ["/tasks/long", "a task"]]) {
    const asked = new Set();
    await inTab("/healthz", async (page, window) => {
      window.context.on("request", (request) => asked.add(request.url().split("/").at(-1)));
      await page.goto(hub.url + path);
      await page.locator(".task-row, .tl-row").first().waitFor();
    });
    const size = scripts.filter((one) => asked.has(one) || one.startsWith("worker")).reduce((sum, one) => sum + gzipSync(readFileSync(new URL(one, assets)), { level: 9 }).length, 0);
    row(`Compressed script for ${name}, the worker's with it (at most 150 KiB)`, `${(size / 1024).toFixed(1)} KiB`);
  }

  const openings = [];
  for (let i = 0; i < OPENINGS; i += 1) {
    openings.push(await inTab("/healthz", async (page) => {
      await page.goto(`${hub.url}/tasks/long`, { waitUntil: "commit" });
      await page.waitForFunction((offset) => document.querySelector(`.tl-row[data-offset="${offset}"]`)?.getBoundingClientRect().height > 0, LONG, { polling: "raf" });
      return page.evaluate(() => performance.now());
    }));
  }
  row(`Navigation to the newest row of ${LONG.toLocaleString("en")} activities, median of ${OPENINGS} cold openings`, millis(rank(openings, 0.5)));

  const scrolled = await inTab("/tasks/long", async (page) => {
    await liveTo(page, LONG);
    return page.evaluate(async () => {
      const long = [];
      new PerformanceObserver((list) => long.push(...list.getEntries().map(({ duration }) => duration))).observe({ entryTypes: ["longtask"] });
      const scroller = document.querySelector(".tl-scroller");
      const frame = () => new Promise((done) => requestAnimationFrame(done));
      const frames = [];
      let before = await frame();
      for (let i = 0; i < 1_500; i += 1) {
        scroller.dispatchEvent(new WheelEvent("wheel", { deltaY: -400 }));
        scroller.scrollTop -= 400;
        const now = await frame();
        frames.push(now - before);
        before = now;
      }
      const first = Math.min(...[...document.querySelectorAll(".tl-row")].map((one) => Number(one.dataset.offset)));
      return { long, frames, first };
    });
  });
  row(`Longest task while scrolling up through ${(LONG - scrolled.first).toLocaleString("en")} activities, 400 px a frame (aim: 100 ms)`, scrolled.long.length === 0 ? "none over 50 ms" : `${millis(Math.max(...scrolled.long))} (${scrolled.long.length} over 50 ms)`);
  row("Frame times while scrolling, p50 / p99", `${rank(scrolled.frames, 0.5).toFixed(1)} / ${rank(scrolled.frames, 0.99).toFixed(1)} ms`);

  await inTab("/tasks/busy", async (page) => {
    await liveTo(page, 6_000);
    const publisher = new Publisher(hub, "busy", RATE, (n) => message(`live ${n} ${text}`));
    await page.waitForTimeout(15_000);
    const frames = await page.evaluate(async () => {
      const frame = () => new Promise((done) => requestAnimationFrame(done));
      const all = [];
      let before = await frame();
      const end = performance.now() + 20_000;
      while (performance.now() < end) {
        const now = await frame();
        all.push(now - before);
        before = now;
      }
      return all;
    });
    row(`Frame times while ${RATE} activities a second come, p50 / p99`, `${rank(frames, 0.5).toFixed(1)} / ${rank(frames, 0.99).toFixed(1)} ms`);
    const samples = [];
    for (let i = 0; i < MINUTES * 4; i += 1) {
      await page.waitForTimeout(15_000);
      samples.push(await heap(page));
    }
    const sent = await publisher.stop();
    const at = (part) => mib(samples[Math.floor((samples.length - 1) * part)]);
    row(`Heap of the page over ${MINUTES} minutes at ${RATE} a second, its ring full, after collecting: start / middle / end / most`, `${at(0)} / ${at(0.5)} / ${at(1)} / ${mib(Math.max(...samples))} (${sent.toLocaleString("en")} activities)`);
  });
} finally {
  await browser.close();
  await hub.remove();
}

const [cpu] = cpus();
writeFileSync(fileURLToPath(new URL("../../docs/page.md", import.meta.url)), `# The page in figures

Measured on ${new Date().toISOString().slice(0, 10)} with ${cpus().length} processors (${cpu.model.trim()}), ${Math.round(totalmem() / 2 ** 30)} GiB, a debug build of the hub on SQLite, and a headless
Chromium ${browser.version()} without a graphics card, all on the same machine. Repeat it with \`make page-bench\`, or \`BENCH_MINUTES=10 make page-bench\` for
the whole ten minutes.

| what | figure |
|---|---|
${rows.join("\n")}
`);
