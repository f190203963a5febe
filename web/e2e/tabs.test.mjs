// Several tabs of one browser: one connection, the same for all, and nothing piles up for a tab that sleeps.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Hub } from "../../tests/clients/node/hub.mjs";
import { drawn, inWindow, launch, liveTo, readThrough, sized, until } from "./browser.mjs";
import { message, publishAll } from "./logs.mjs";

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

const lines = (count, say = "line") => Array.from({ length: count }, (_, i) => message(`${say} ${i + 1}`));

for (const tabs of [2, 10]) {
  test(`${tabs} tabs have one connection and show the same`, async () => {
    const task = `shared-${tabs}`;
    await publishAll(hub, task, lines(50));
    await inWindow(browser, hub, {}, async (window) => {
      const before = await hub.sessions();
      const pages = [];
      for (let i = 0; i < tabs; i += 1) pages.push(await window.tab(i % 5 === 4 ? "/" : `/tasks/${task}`));
      const watching = pages.filter((_, i) => i % 5 !== 4);
      for (const page of watching) {
        await page.bringToFront();
        await liveTo(page, 50);
      }
      assert.equal((await hub.sessions()) - before, 1);
      await hub.publish(task, ...lines(20, "new"));
      for (const page of watching) {
        await page.bringToFront();
        await liveTo(page, 70);
        assert.equal((await readThrough(page)).length, 70);
      }
      assert.equal((await hub.sessions()) - before, 1);
      await pages[0].close();
      await hub.publish(task, message("the last"));
      await watching.at(-1).bringToFront();
      await liveTo(watching.at(-1), 71);
    });
  });
}

test("a tab that is frozen is caught up when it is back, without anything having piled up for it", async () => {
  await publishAll(hub, "frozen", lines(10));
  await inWindow(browser, hub, {}, async (window) => {
    const page = await window.tab("/tasks/frozen");
    await liveTo(page, 10);
    const other = await window.tab("/tasks/frozen");
    await liveTo(other, 10);
    const devtools = await window.context.newCDPSession(page);
    await devtools.send("Page.setWebLifecycleState", { state: "frozen" });
    const many = sized(8_000, 40_000);
    const before = await workerHeap(window);
    await publishAll(hub, "frozen", lines(many, "while it slept"));
    await other.bringToFront();
    await liveTo(other, many + 10);
    const grown = (await workerHeap(window)) - before;
    assert.ok(grown < 40 * 1024 * 1024, `the worker grew by ${grown} bytes`);
    await devtools.send("Page.setWebLifecycleState", { state: "active" });
    await page.bringToFront();
    await liveTo(page, many + 10);
    await until(page, "the newest row", (offset) => document.querySelector(`.tl-row[data-offset="${offset}"]`) !== null, many + 10);
    await drawn(page);
    const offsets = await page.evaluate(() => [...document.querySelectorAll(".tl-row")].map((row) => Number(row.dataset.offset)).sort((a, b) => a - b));
    assert.deepEqual(offsets, Array.from({ length: offsets.length }, (_, i) => many + 10 - offsets.length + 1 + i), "no hole before the newest");
  });
});

/** The bytes in use of the worker that the tabs share. */
async function workerHeap(window) {
  const devtools = await browser.newBrowserCDPSession();
  const { targetInfos } = await devtools.send("Target.getTargets");
  const worker = targetInfos.find(({ type, url }) => type === "shared_worker" && url.startsWith(window.hub.url));
  assert.ok(worker, `there is no worker: ${targetInfos.map(({ type }) => type).join(", ")}`);
  const { sessionId } = await devtools.send("Target.attachToTarget", { targetId: worker.targetId, flatten: false });
  const ask = (id, method) =>
    new Promise((resolve) => {
      const heard = ({ message: text, sessionId: from }) => {
        const answer = JSON.parse(text);
        if (from !== sessionId || answer.id !== id) return;
        devtools.off("Target.receivedMessageFromTarget", heard);
        resolve(answer.result);
      };
      devtools.on("Target.receivedMessageFromTarget", heard);
      void devtools.send("Target.sendMessageToTarget", { sessionId, message: JSON.stringify({ id, method }) });
    });
  await ask(1, "HeapProfiler.collectGarbage");
  const { usedSize } = await ask(2, "Runtime.getHeapUsage");
  await devtools.detach();
  return usedSize;
}
