// The README's examples for Node, run as written, against the built package.
import { spawn } from "node:child_process";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { Hub, within } from "./hub.js";
import { examples } from "./readme.js";

const BUILT = join(import.meta.dirname, "../dist");

/** Runs an example, which finds the package by its name because it lies within it. */
function run(name: string, code: string) {
  const file = join(BUILT, `readme-${name}.mjs`);
  writeFileSync(file, code);
  const child = spawn(process.execPath, [file], { stdio: ["ignore", "pipe", "inherit"] });
  onTestFinished(() => {
    child.kill("SIGKILL");
    rmSync(file, { force: true });
  });
  let said = "";
  let wake: () => void = () => undefined;
  child.stdout.on("data", (text: Buffer) => {
    said += text.toString();
    wake();
  });
  return {
    ended: new Promise<number | null>((resolve) => child.once("exit", resolve)),
    said: () => said,
    until: async (text: string) => {
      while (!said.includes(text)) await within(new Promise<void>((resolve) => (wake = resolve)), `"${text}" in ${said}`);
    },
  };
}

test("the examples do what they say, and are short", async () => {
  const hub = await Hub.start();
  const [watch = "", publish = "", ask = "", ...more] = examples("node", hub.url);
  expect(more).toEqual([]);
  for (const code of [watch, publish, ask]) expect(code.trim().split("\n").length).toBeLessThan(10);
  const watching = run("watch", watch);
  const publishing = run("publish", publish);
  expect(await within(publishing.ended, "the end of publishing")).toBe(0);
  expect(publishing.said()).toMatch(/^[0-9a-f]{8}-3\n$/);
  await watching.until("status { status: 'completed' }");
  expect(watching.said()).toContain("message { role: 'assistant', text: 'hi' }");
  expect(watching.said()).toContain("output { stream: 'stdout', text: 'building\\n' }");
  const asking = run("ask", ask);
  expect(await within(asking.ended, "the end of asking")).toBe(0);
  expect(asking.said()).toBe("hello completed\n1 status\n2 message\n3 output\n4 status\ncompleted\n");
});
