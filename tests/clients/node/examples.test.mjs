// The TypeScript example: its types hold, and it does what its header says.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { cpSync, mkdtempSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { Hub } from "./hub.mjs";

const here = dirname(fileURLToPath(import.meta.url));
const source = process.env.TASKLIGHT_EXAMPLES ?? join(here, "../../../docs/examples");
let hub;
let folder;

before(async () => {
  hub = await Hub.start();
  // Beside the packages, or the compiler would not find the types of Node.
  folder = mkdtempSync(join(here, "example-"));
});

after(async () => {
  rmSync(folder, { recursive: true, force: true });
  await hub.remove();
});

const run = (program, args, env) =>
  new Promise((resolve) => {
    const options = { env: { ...process.env, ...env }, timeout: 60_000 };
    execFile(program, args, options, (error, stdout, stderr) => resolve({ code: error?.code ?? 0, stdout, stderr }));
  });

test("the agent works and the viewer sees it once and in order", async () => {
  cpSync(join(source, "typescript/agent.ts"), join(folder, "agent.ts"));
  const compiler = join(dirname(createRequire(import.meta.url).resolve("typescript/package.json")), "bin/tsc");
  const flags = ["--strict", "--target", "es2022", "--module", "nodenext", "--types", "node", "--outDir", folder, join(folder, "agent.ts")];
  const compiled = await run(process.execPath, [compiler, ...flags]);
  assert.equal(compiled.code, 0, compiled.stdout + compiled.stderr);
  const done = await run(process.execPath, [join(folder, "agent.js")], { TASKLIGHT_HUB: hub.url, TASK: "ts" });
  assert.equal(done.code, 0, done.stderr);
  const log = await hub.log("ts");
  const kinds = log.map((activity) => activity.type);
  assert.equal(kinds.filter((kind) => kind === "tool_result").length, 10);
  assert.deepEqual([kinds[0], kinds.at(-1)], ["status", "status"]);
  assert.ok(log.some((activity) => activity.data.final && activity.data.text === "They add up to 385."));
  const seen = done.stdout.trim().split("\n").slice(0, -1);
  const offsets = seen.map((line) => Number(line.split(" ")[0]));
  // It begins to watch beside the agent: from wherever it came in, nothing is missing.
  assert.deepEqual(offsets, log.slice(-offsets.length).map((activity) => activity.offset));
  assert.ok(seen.length > 10, done.stdout);
});
