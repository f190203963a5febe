// Filters and the search of a task.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Hub } from "../../tests/clients/node/hub.mjs";
import { drawn, inSight, inWindow, launch, liveTo, rowsInSight, sized, until } from "./browser.mjs";
import { message, mixed, publishAll } from "./logs.mjs";

const LONG = sized(6_000, 60_000);

/** Where the words to be found stand. */
const PLACES = [17, 2_500, LONG - 40];

let browser;
let hub;

before(async () => {
  browser = await launch();
  hub = await Hub.start();
  await publishAll(hub, "searched", Array.from({ length: LONG }, (_, i) => message(PLACES.includes(i + 1) ? `here is the Needle ${i + 1}` : `hay ${i + 1}`)));
  await publishAll(hub, "filtered", mixed(2_000));
});

after(async () => {
  await browser?.close();
  await hub?.remove();
});

test("the search finds what is not loaded, and goes from hit to hit", async () => {
  await inWindow(browser, hub, {}, async (window) => {
    const page = await window.tab("/tasks/searched");
    await liveTo(page, LONG);
    await page.keyboard.press("/");
    await page.keyboard.type("needle");
    await until(page, "three hits", () => /(^|\s|\/ )3 *$/.test(document.querySelector(".find-count")?.textContent.trim() ?? ""));
    const visited = [];
    const field = page.getByRole("searchbox", { name: "Search this task" });
    for (let hit = 0; hit < PLACES.length; hit += 1) {
      await field.press("Enter");
      const marked = await until(page, "a marked row", (known) => {
        const row = document.querySelector(".tl-row[data-marked]");
        return row !== null && !known.includes(Number(row.dataset.offset)) ? Number(row.dataset.offset) : undefined;
      }, visited);
      const offset = await marked.jsonValue();
      await inSight(page, offset);
      visited.push(offset);
    }
    assert.deepEqual(visited.toSorted((a, b) => a - b), PLACES);
    await field.press("Shift+Enter");
    await inSight(page, visited.at(-2));
    await page.getByRole("button", { name: "List the hits" }).click();
    await page.locator(".find-hit").filter({ hasText: "#17" }).first().click();
    await inSight(page, 17);
    await field.fill("there is no such thing");
    await until(page, "that nothing was found", () => document.querySelector(".find-count")?.textContent.includes("nothing found"));
  });
});

test("filters by type and by run keep the place", async () => {
  await inWindow(browser, hub, {}, async (window) => {
    const page = await window.tab("/tasks/filtered#1001");
    await inSight(page, 1001);
    const filter = page.getByRole("button", { name: /^Filter/ });
    await filter.click();
    await page.getByRole("checkbox", { name: "tool calls" }).check();
    await until(page, "only calls", () => document.querySelectorAll(".tl-row").length !== 0 && [...document.querySelectorAll(".tl-row")].every((row) => row.dataset.kind === "tool"));
    await drawn(page);
    const near = (await rowsInSight(page)).map(({ offset }) => Math.abs(offset - 1001));
    assert.ok(Math.min(...near) <= 10, `the nearest call in sight is ${Math.min(...near)} away`);
    await page.getByRole("checkbox", { name: "tool calls" }).uncheck();
    await inSight(page, 1001);
    await page.locator(".bar-run select").selectOption("run-2");
    await until(page, "only one run", () => document.querySelectorAll(".tl-row").length !== 0 && [...document.querySelectorAll(".tl-row")].every((row) => Number(row.dataset.offset) % 3 === 0));
    const kept = (await rowsInSight(page)).map(({ offset }) => Math.abs(offset - 1001));
    assert.ok(Math.min(...kept) <= 10, `the nearest of the run is ${Math.min(...kept)} away`);
    await page.getByRole("button", { name: "Show everything" }).click();
    await inSight(page, 1001);
  });
});

test("what comes while a filter is set is counted, and shown if it fits", async () => {
  await publishAll(hub, "fitting", Array.from({ length: 30 }, (_, i) => message(`line ${i + 1}`)));
  await inWindow(browser, hub, {}, async (window) => {
    const page = await window.tab("/tasks/fitting");
    await liveTo(page, 30);
    await page.getByRole("button", { name: /^Filter/ }).click();
    await page.getByRole("checkbox", { name: "errors" }).check();
    await hub.publish("fitting", message("hidden"), { invocationId: "run-1", type: "error", data: { message: "it broke" } }, message("hidden too"));
    await liveTo(page, 33);
    await inSight(page, 32);
    assert.equal(await page.locator(".tl-row").count(), 1);
  });
});
