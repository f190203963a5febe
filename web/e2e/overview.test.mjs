// The list of tasks.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Hub } from "../../tests/clients/node/hub.mjs";
import { badge, drawn, elements, inWindow, launch, NOT_YET, sized, until } from "./browser.mjs";
import { message, status } from "./logs.mjs";

/** What a fleet is. */
const MANY = sized(1_000, 10_000);

/** The most elements of a list, however long, on a screen of 800 pixels. */
const MOST_ELEMENTS = 2_500;

let browser;

before(async () => {
  browser = await launch();
});

after(async () => {
  await browser?.close();
});

async function withHub(steps, environment = {}) {
  const hub = await Hub.start(environment);
  try {
    await steps(hub);
  } finally {
    await hub.remove();
  }
}

const ids = (page) =>
  page.evaluate(() => [...document.querySelectorAll(".task-row")].sort((a, b) => a.ariaRowIndex - b.ariaRowIndex).map((row) => row.dataset.task));

const untilIds = (page, wanted) =>
  until(page, `the tasks ${wanted.join(", ")}`, (all) => {
    const shown = [...document.querySelectorAll(".task-row")].sort((a, b) => a.ariaRowIndex - b.ariaRowIndex).map((row) => row.dataset.task);
    return shown.length === all.length && shown.every((id, i) => id === all[i]);
  }, wanted);

test("an empty hub teaches the first commands; then tasks appear as they come", async () => {
  await withHub(async (hub) => {
    await inWindow(browser, hub, {}, async (window) => {
      const page = await window.tab("/");
      await page.getByRole("heading", { name: "Nothing has been published yet" }).waitFor();
      assert.ok(3 <= (await page.locator(".lesson pre").count()));
      assert.match(await page.locator(".lesson").textContent(), new RegExp(hub.url));
      await hub.publish("first", status("running"));
      await untilIds(page, ["first"]);
      await hub.publish("second", status("running"));
      await page.locator('[data-task="second"]').waitFor();
      await badge(page, "live · 2 tasks");
    });
  });
});

test("what needs somebody comes first, and the address holds the filter", async () => {
  await withHub(async (hub) => {
    await hub.publish("fine", status("running", "run-1", { agent: "codex" }));
    await hub.publish("broken", status("running"), status("failed", "run-1", { exitCode: 1 }));
    await hub.publish("finished", status("running"), status("completed"));
    await inWindow(browser, hub, {}, async (window) => {
      const page = await window.tab("/");
      await badge(page, "live · 3 tasks");
      assert.deepEqual((await ids(page)).slice(0, 2), ["broken", "fine"]);
      await page.locator(".counter").filter({ hasText: /failed/i }).click();
      await untilIds(page, ["broken"]);
      const { search } = new URL(page.url());
      assert.notEqual(search, "");
      const other = await window.tab(`/${search}`);
      await untilIds(other, ["broken"]);
      await page.locator(".counter").filter({ hasText: /failed/i }).click();
      await page.getByRole("searchbox").fill("finish");
      await untilIds(page, ["finished"]);
      await page.getByRole("searchbox").fill("nothing is called so");
      await page.getByRole("button", { name: "Clear the filter" }).click();
      await until(page, "all tasks", () => document.querySelectorAll(".task-row").length === 3);
      assert.equal(new URL(page.url()).search, "");
    });
  });
});

test("it is used by keyboard", async () => {
  await withHub(async (hub) => {
    for (const task of ["one", "two", "three"]) await hub.publish(task, message("hello"));
    await inWindow(browser, hub, {}, async (window) => {
      const page = await window.tab("/");
      await badge(page, "live · 3 tasks");
      const [first, second] = await ids(page);
      await page.keyboard.press("j");
      await page.keyboard.press("j");
      await until(page, "the second row chosen", (id) => document.querySelector('.task-row[aria-selected="true"]')?.dataset.task === id, second);
      await page.keyboard.press("k");
      await until(page, "the first row chosen", (id) => document.querySelector('.task-row[aria-selected="true"]')?.dataset.task === id, first);
      await page.keyboard.press("Enter");
      await page.waitForURL(`**/tasks/${first}`);
      await page.locator(".tl-row").first().waitFor();
      await page.keyboard.press("g");
      await page.keyboard.press("o");
      await page.locator(".task-row").first().waitFor();
      await page.keyboard.press("?");
      await page.getByRole("dialog").waitFor();
      await page.keyboard.press("Escape");
      await page.getByRole("dialog").waitFor({ state: "hidden" });
      await page.keyboard.press("/");
      await page.keyboard.type("two");
      await untilIds(page, ["two"]);
    });
  });
});

test("a fleet is a list of as many elements as a screen needs, and it goes on live", async () => {
  await withHub(async (hub) => {
    for (let from = 0; from < MANY; from += 20) {
      await Promise.all(Array.from({ length: 20 }, (_, i) => hub.publish(`task-${from + i}`, status("running", "run-1", { agent: "claude", title: `Number ${from + i}` }))));
    }
    await inWindow(browser, hub, {}, async (window) => {
      const page = await window.tab("/");
      await badge(page, `live · ${MANY.toLocaleString("en")} tasks`);
      assert.ok((await elements(page)) < MOST_ELEMENTS, `${await elements(page)} elements`);
      for (let screens = 0; screens < 30; screens += 1) {
        await page.evaluate(() => {
          document.querySelector(".grid").scrollTop += 700;
        });
        await drawn(page);
      }
      assert.ok((await elements(page)) < MOST_ELEMENTS, `${await elements(page)} elements after scrolling`);
      assert.notEqual((await ids(page)).length, 0);
      await page.getByRole("searchbox").fill(`task-${MANY - 1}`);
      await untilIds(page, [`task-${MANY - 1}`]);
      await hub.publish(`task-${MANY - 1}`, status("failed"));
      await until(page, "that it failed", () => document.querySelector(".task-row")?.dataset.standing === "failed");
    });
  });
});

test("notifications on request tell of a task that failed, once, from one tab", async () => {
  await withHub(async (hub) => {
    await hub.publish("watched", status("running"));
    await hub.publish("looked-at", status("running"));
    await inWindow(browser, hub, { permissions: ["notifications"], allowed: NOT_YET }, async (window) => {
      await window.context.addInitScript(() => {
        window.told = [];
        window.Notification = class extends EventTarget {
          static permission = "granted";
          static requestPermission = async () => "granted";
          constructor(title, options) {
            super();
            window.told.push({ title, ...options });
          }
          close() {}
        };
      });
      const page = await window.tab("/");
      await badge(page, "live · 2 tasks");
      await hub.publish("watched", status("running", "run-0"), status("failed", "run-0"));
      await until(page, "that it failed", () => document.querySelector('[data-task="watched"]')?.dataset.standing !== undefined);
      assert.deepEqual(await page.evaluate(() => window.told), [], "nobody asked to be told");
      await page.getByRole("button", { name: /^Notify me/ }).click();
      await page.getByRole("button", { name: /^Notifications are on/ }).waitFor();
      const other = await window.tab("/tasks/looked-at");
      await other.locator(".tl-row").first().waitFor();
      await hub.publish("silent", status("running"));
      await page.locator('[data-task="silent"]').waitFor();
      await hub.publish("silent", status("failed"));
      await until(page, "a notification", () => window.told.length !== 0);
      await drawn(other);
      const [told, toldToo] = [await page.evaluate(() => window.told), await other.evaluate(() => window.told)];
      assert.deepEqual([...told, ...toldToo].map(({ title }) => title), ["silent failed"]);
    });
  });
});
