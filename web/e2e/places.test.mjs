// Places in a long log: links, jumps, the way back; and what the page keeps of it is bounded.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Hub } from "../../tests/clients/node/hub.mjs";
import { drawn, elements, inSight, inWindow, launch, liveTo, rowsInSight, sized, until } from "./browser.mjs";
import { message, mixed, publishAll } from "./logs.mjs";

/** What a long log is. */
const LONG = sized(10_000, 100_000);

/** The most rows that are in the document at a time, on a screen of 800 pixels. */
const MOST_ROWS = 80;

let browser;
let hub;

before(async () => {
  browser = await launch();
  hub = await Hub.start();
  await publishAll(hub, "long", mixed(LONG));
});

after(async () => {
  await browser?.close();
  await hub?.remove();
});

const rowCount = (page) => page.evaluate(() => document.querySelectorAll(".tl-row").length);

const scrollTo = async (page, where) => {
  await page.evaluate((to) => {
    const scroller = document.querySelector(".tl-scroller");
    scroller.dispatchEvent(new WheelEvent("wheel", { deltaY: to === "top" ? -1 : 1 }));
    scroller.scrollTop = to === "top" ? 0 : scroller.scrollHeight;
  }, where);
  await drawn(page);
};

const isQuiet = (page) => until(page, "the end of loading", () => document.querySelector(".tl-scroller").ariaBusy !== "true");

test("a long log opens at its newest, pages back as it is scrolled, and holds no more rows than a screen needs", async () => {
  await inWindow(browser, hub, {}, async (window) => {
    const page = await window.tab("/tasks/long");
    await liveTo(page, LONG);
    await inSight(page, LONG);
    const [least] = await page.evaluate(() => [...document.querySelectorAll(".tl-row")].map((row) => Number(row.dataset.offset)).sort((a, b) => a - b));
    assert.ok(LONG - 600 < least, "only its end is there");
    const before = await elements(page);
    for (let pages = 0; pages < sized(12, 40); pages += 1) {
      await scrollTo(page, "top");
      await isQuiet(page);
      assert.ok((await rowCount(page)) <= MOST_ROWS, `${await rowCount(page)} rows`);
    }
    const [top] = await rowsInSight(page);
    assert.ok(top.offset < LONG - 2_000, `at #${top.offset}`);
    assert.ok((await elements(page)) < before * 2 + 500, "elements are used again");
  });
});

test("to the start of a long log, on from there, and back to the newest", async () => {
  await inWindow(browser, hub, {}, async (window) => {
    const page = await window.tab("/tasks/long");
    await liveTo(page, LONG);
    await page.keyboard.press("Home");
    await inSight(page, 1);
    assert.equal((await rowsInSight(page))[0].offset, 1);
    for (let pages = 0; pages < sized(30, 60); pages += 1) {
      await scrollTo(page, "bottom");
      await isQuiet(page);
    }
    const rows = await rowsInSight(page);
    assert.ok(1_000 < rows.at(-1).offset, `scrolling down from the start came to #${rows.at(-1).offset}`);
    assert.ok((await rowCount(page)) <= MOST_ROWS);
    await page.keyboard.press("f");
    await inSight(page, LONG);
    assert.equal(await page.getByRole("button", { name: "Follow", exact: true }).getAttribute("aria-pressed"), "true");
  });
});

test("a link into the middle shows its row marked, and does not follow", async () => {
  await publishAll(hub, "middle", Array.from({ length: 3_000 }, (_, i) => message(`line ${i + 1}`)));
  await inWindow(browser, hub, {}, async (window) => {
    const page = await window.tab("/tasks/middle#1500");
    await inSight(page, 1500);
    const where = async () => (await rowsInSight(page)).find(({ offset }) => offset === 1500);
    const at = await where();
    assert.ok(at.marked, "it is marked");
    assert.match(at.text, /line 1500$/);
    assert.equal(await page.locator(".tl-row[data-marked]").count(), 1);
    await hub.publish("middle", ...Array.from({ length: 50 }, (_, i) => message(`new ${i}`)));
    await page.getByRole("button", { name: /^50 new/ }).waitFor();
    assert.equal(Math.round((await where()).top), Math.round(at.top), "what is read does not move");
    await page.getByRole("button", { name: /^50 new/ }).click();
    await inSight(page, 3050);
    await hub.publish("middle", message("the newest"));
    await inSight(page, 3051);
  });
});

test("addresses that change lead elsewhere; the browser's way back leads back", async () => {
  await inWindow(browser, hub, {}, async (window) => {
    const page = await window.tab("/tasks/long#2001");
    await inSight(page, 2001);
    await page.evaluate(() => { location.hash = "#4002"; });
    await inSight(page, 4002);
    await page.goBack();
    await inSight(page, 2001);
  });
});

test("jumps lead to an offset and to the first error", async () => {
  await inWindow(browser, hub, {}, async (window) => {
    const page = await window.tab("/tasks/long");
    await liveTo(page, LONG);
    await page.getByRole("button", { name: "Jump" }).click();
    await page.getByLabel("Offset").fill("3333");
    await page.getByLabel("Offset").press("Enter");
    await inSight(page, 3333);
    await page.getByRole("button", { name: "Jump" }).click();
    await page.getByRole("button", { name: "First error" }).click();
    await inSight(page, 1000);
  });
});

test("whoever scrolls up is not moved by what comes, however much that is", async () => {
  await publishAll(hub, "reading", Array.from({ length: 400 }, (_, i) => message(`line ${i + 1}`)));
  await inWindow(browser, hub, {}, async (window) => {
    const page = await window.tab("/tasks/reading");
    await liveTo(page, 400);
    await inSight(page, 400);
    await page.evaluate(() => {
      const scroller = document.querySelector(".tl-scroller");
      scroller.scrollTop -= 1_500;
    });
    await drawn(page);
    const [before] = (await rowsInSight(page)).filter(({ top }) => 0 <= top);
    for (let more = 0; more < sized(12, 40); more += 1) await hub.publish("reading", ...Array.from({ length: 500 }, (_, i) => message(`more ${more}/${i}`)));
    const total = 400 + sized(12, 40) * 500;
    await until(page, "the count of what is new", (wanted) => document.querySelector(".tl-newest")?.textContent.startsWith(wanted), (total - 400).toLocaleString("en"));
    await drawn(page);
    const now = (await rowsInSight(page)).find(({ offset }) => offset === before.offset);
    assert.equal(Math.round(now?.top), Math.round(before.top));
    assert.equal(now.text, before.text);
  });
});
