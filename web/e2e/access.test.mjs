// A hub that asks for tokens: the page asks for one at once, shows what it grants, and says so where it does not.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { after, before, test } from "node:test";
import { Hub } from "../../tests/clients/node/hub.mjs";
import { badge, inWindow, launch, liveTo, until } from "./browser.mjs";
import { message } from "./logs.mjs";

const SECRET = "a secret of this test that has more than 32 bytes";
const environment = { TASKLIGHT__AUTH__HMAC_SECRET: SECRET };
const token = (...grants) =>
  execFileSync(process.env.TASKLIGHT_BIN, ["token", "make", "--subject", "ann", ...grants], { env: { ...process.env, ...environment } }).toString().trim();

let browser;
let hub;

before(async () => {
  [browser, hub] = await Promise.all([launch(), Hub.start(environment)]);
  const headers = { authorization: `Bearer ${token("--publish", "*")}` };
  for (const task of ["build-1", "other-1"]) {
    const answer = await fetch(`${hub.url}/v1/tasks/${task}/activities`, { method: "POST", headers, body: JSON.stringify([message("hello")]) });
    assert.equal(answer.status, 200);
  }
});

after(async () => {
  await browser?.close();
  await hub?.remove();
});

test("the page asks for a token at once, and shows what it grants and nothing else", async () => {
  await inWindow(browser, hub, { allowed: /status of 40[13]/ }, async (window) => {
    const page = await window.tab("/");
    await badge(page, "access expired");
    const field = page.getByRole("textbox", { name: "Token" });
    await field.fill(token("--read", "build-*"));
    await field.press("Enter");
    await badge(page, "live · 1 task");
    assert.match(await page.textContent("main"), /build-1/);
    assert.doesNotMatch(await page.textContent("main"), /other-1/);
    await page.getByText("build-1").click();
    await liveTo(page, 1);
    const [download] = await Promise.all([
      page.waitForEvent("download"),
      page.getByRole("button", { name: "Export" }).click().then(() => page.getByRole("button", { name: /^NDJSON/ }).click()),
    ]);
    assert.equal(await download.failure(), null, "a ticket stands for the token in the address");
    await page.goto(`${hub.url}/tasks/other-1`);
    await until(page, "no access is said", () => document.querySelector("main").textContent.includes("No access to this task"));
    await badge(page, "access denied");
  });
});
