// A task is followed live, and through the end of its hub.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Hub } from "../../tests/clients/node/hub.mjs";
import { AWAY, badge, inWindow, launch, liveTo, NOT_YET, readThrough, sized } from "./browser.mjs";
import { message, Publisher } from "./logs.mjs";

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

test("a task is waited for and appears, activity by activity", async () => {
  await inWindow(browser, hub, { allowed: NOT_YET }, async (window) => {
    const page = await window.tab("/tasks/live");
    await badge(page, "waiting for the task");
    await hub.publish("live", message("one"));
    await liveTo(page, 1);
    await hub.publish("live", message("two"), message("three"));
    await liveTo(page, 3);
    assert.deepEqual(await readThrough(page).then((rows) => rows.map(([, text]) => text.replace(/^assistant/, ""))), ["one", "two", "three"]);
  });
});

test("a hub that is killed while agents publish: what is on screen is the log, nothing missing and nothing twice", async () => {
  await inWindow(browser, hub, { allowed: new RegExp(`${AWAY.source}|${NOT_YET.source}`) }, async (window) => {
    const page = await window.tab("/tasks/killed");
    const publishers = [1, 2].map((n) => new Publisher(hub, "killed", 60, (i) => message(`publisher ${n} says ${i}`, `run-${n}`)));
    await page.waitForSelector(".tl-row");
    await page.evaluate(() => {
      window.badges = [];
      new MutationObserver(() => window.badges.push(document.getElementById("badge").textContent)).observe(document.getElementById("badge"), { childList: true, characterData: true, subtree: true });
    });
    for (let kills = 0; kills < sized(2, 6); kills += 1) {
      await page.waitForFunction((least) => least < Number(/#(\d+)/.exec(document.getElementById("badge").textContent)?.[1] ?? 0), (kills + 1) * 40);
      await hub.restart("SIGKILL");
    }
    await page.waitForFunction(() => /^live/.test(document.getElementById("badge").textContent));
    await Promise.all(publishers.map((one) => one.stop()));
    const log = await hub.log("killed");
    await liveTo(page, log.length);
    const badges = await page.evaluate(() => window.badges);
    assert.ok(badges.some((text) => text === "reconnecting" || text.startsWith("offline since")), `the badge said only ${[...new Set(badges.map((text) => text.replace(/\d+/g, "n")))].join(", ")}`);
    const rows = await readThrough(page);
    assert.deepEqual(rows.map(([offset]) => offset), log.map(({ offset }) => offset));
    assert.deepEqual(rows.map(([, text]) => text), log.map(({ data }) => `assistant${data.text}`));
    const firsts = log.filter(({ invocationId }) => invocationId === "run-1").map(({ data }) => data.text);
    assert.equal(new Set(firsts).size, firsts.length, "the log has each once");
  });
});
