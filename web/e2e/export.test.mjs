// A task as a file: as it is stored, and as one reads it.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { pathToFileURL } from "node:url";
import { Hub } from "../../tests/clients/node/hub.mjs";
import { inWindow, launch, liveTo, readThrough, sized } from "./browser.mjs";
import { message, mixed, publishAll } from "./logs.mjs";

const COUNT = sized(1_200, 10_000);

let browser;
let hub;

before(async () => {
  browser = await launch();
  hub = await Hub.start();
  await publishAll(hub, "kept", [...mixed(COUNT - 2), message("<img src=x onerror=alert(1)> <script>alert(2)</script>"), message("the last one")]);
});

after(async () => {
  await browser?.close();
  await hub?.remove();
});

const saved = async (page, button) => {
  await page.getByRole("button", { name: "Export" }).click();
  const [download] = await Promise.all([page.waitForEvent("download"), button().click()]);
  const path = await download.path();
  return { path, name: download.suggestedFilename(), text: readFileSync(path, "utf8"), download };
};

test("the NDJSON file is the log", async () => {
  await inWindow(browser, hub, {}, async (window) => {
    const page = await window.tab("/tasks/kept");
    await liveTo(page, COUNT);
    const { text, name } = await saved(page, () => page.getByRole("button", { name: /^NDJSON/ }));
    assert.equal(name, "kept.ndjson");
    const answer = await fetch(`${hub.url}/v1/tasks/kept/activities`, { headers: { accept: "application/x-ndjson" } });
    assert.equal(text, await answer.text());
    assert.equal(text.trimEnd().split("\n").length, COUNT);
  });
});

test("the HTML file opens anywhere, says the same, and neither runs nor asks for anything", async () => {
  let texts;
  let file;
  await inWindow(browser, hub, {}, async (window) => {
    const page = await window.tab("/tasks/kept");
    await liveTo(page, COUNT);
    const got = await saved(page, () => page.getByRole("button", { name: /^HTML/ }));
    assert.equal(got.name, "kept.html");
    file = `${got.path}.html`;
    await got.download.saveAs(file);
    texts = (await readThrough(page)).filter(([offset]) => offset % 10 === 1).map(([, text]) => text.replace(/^assistant/, ""));
  });
  const context = await browser.newContext();
  const page = await context.newPage();
  const asked = [];
  page.on("request", (request) => asked.push(request.url()));
  page.on("dialog", (dialog) => { asked.push("a dialog"); void dialog.dismiss(); });
  await page.goto(pathToFileURL(file).href);
  const told = await page.evaluate(() => ({ scripts: document.scripts.length, images: document.images.length, text: document.body.textContent, policy: document.querySelector("meta[http-equiv]")?.content }));
  await context.close();
  assert.deepEqual(asked, [pathToFileURL(file).href]);
  assert.equal(told.scripts, 0);
  assert.equal(told.images, 0);
  assert.match(told.policy ?? "", /default-src 'none'/);
  assert.notEqual(texts.length, 0);
  for (const text of texts) assert.ok(told.text.includes(text), `the file has “${text.slice(0, 80)}”`);
  assert.ok(told.text.includes("<img src=x onerror=alert(1)>"));
  assert.ok(told.text.includes("the last one"));
});
