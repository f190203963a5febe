// Durable Streams: the tests of its makers, of which only those may fail that are listed here with the reason; and its client as a person would use it.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { DurableStream, IdempotentProducer, stream } from "@durable-streams/client";
import WebSocket from "ws";
import { Database } from "./database.mjs";
import { LEFT_OUT } from "./durable/left-out.mjs";
import { Hub, message, plain, within } from "./hub.mjs";

// The suite's own waits are for servers that let readers wait for so long at most.
const LONG_POLL_MS = 3_000;

// It takes half a minute on an idle machine.
const SUITE_MS = 600_000;

const OPEN = {
  TASKLIGHT__SESSION__LONG_POLL: `${LONG_POLL_MS}ms`,
  TASKLIGHT__HTTP__ORIGINS: "https://example.com",
  TASKLIGHT__LIMITS__PUBLISHES_PER_SECOND: "0",
  TASKLIGHT__LIMITS__COLD_READS_PER_SECOND: "0",
};

/** Every test of the suite by name, and whether it passed. */
async function runSuite(hub) {
  const folder = mkdtempSync(join(tmpdir(), "durable-"));
  const report = join(folder, "report.json");
  const flags = ["run", "--root", "durable", "--reporter=json", `--outputFile=${report}`];
  const env = { ...process.env, TASKLIGHT_DURABLE_URL: hub.url, TASKLIGHT_DURABLE_WAIT_MS: String(LONG_POLL_MS) };
  try {
    const runner = spawn("node_modules/.bin/vitest", flags, { env, stdio: ["ignore", "inherit", "inherit"], timeout: SUITE_MS });
    await new Promise((resolve, reject) => runner.once("exit", resolve).once("error", reject));
    const { testResults } = JSON.parse(readFileSync(report, "utf8"));
    return testResults.flatMap(({ assertionResults }) => assertionResults);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function passesButForWhatIsLeftOut(store, environment) {
  const hub = await Hub.start({ ...OPEN, ...environment });
  try {
    const results = await runSuite(hub);
    const names = (status) => results.filter((result) => result.status === status).map(({ fullName }) => fullName);
    const [passed, failed, skipped] = ["passed", "failed", "skipped"].map(names);
    const leftOut = Object.values(LEFT_OUT).flat();
    console.log(`Durable Streams on ${store}: ${passed.length} of ${results.length - skipped.length} conformance tests pass; ${skipped.length} are optional and were not run`);
    for (const [reason, tests] of Object.entries(LEFT_OUT)) console.log(`  left out, ${tests.length}: ${reason}`);
    const why = (name) => `${name}\n    ${results.find(({ fullName }) => fullName === name).failureMessages[0]?.split("\n")[0]}`;
    assert.deepEqual(failed.filter((name) => !leftOut.includes(name)).map(why), [], "these fail and are not on the list");
    assert.deepEqual(leftOut.filter((name) => passed.includes(name)), [], "these pass: take them off the list");
    assert.deepEqual(leftOut.filter((name) => !failed.includes(name)), [], "these are on the list and no tests");
    assert.ok(passed.length > 200, "most of the suite ran");
  } finally {
    await hub.remove();
  }
}

test("the conformance tests pass on SQLite but for those that are left out, each for a reason", { timeout: SUITE_MS + 60_000 }, () =>
  passesButForWhatIsLeftOut("SQLite", {}));

test("and on Postgres", { timeout: SUITE_MS + 60_000 }, async () => {
  const database = new Database();
  try {
    await passesButForWhatIsLeftOut("Postgres", { TASKLIGHT__STORE__URL: database.url });
  } finally {
    database.remove();
  }
});

/** A WebSocket that gathers a task's activities until `count` have come. */
function watch(hub, task, count) {
  const socket = new WebSocket(`${hub.url.replace("http", "ws")}/v1/ws`, "tasklight.v1");
  const seen = [];
  const all = new Promise((resolve, reject) => {
    socket.on("error", reject);
    socket.on("message", (text) => {
      const received = JSON.parse(text);
      if (received.op === "hello") socket.send(JSON.stringify({ op: "subscribe", task }));
      if (received.op === "activity") seen.push(plain(received));
      if (seen.length === count) resolve(seen);
    });
  });
  return within(all, `${count} activities over WebSocket`).finally(() => socket.close());
}

test("its client writes, and its readers and Tasklight's viewers see the same, live", async () => {
  const hub = await Hub.start();
  try {
    const url = `${hub.url}/v1/ds/t`;
    const written = Array.from({ length: 40 }, (_, n) => ({ n, text: `é\u{1f600}\u2028\r\n ${n}` }));
    const log = await DurableStream.create({ url, contentType: "application/json" });
    const viewer = watch(hub, "t", written.length + 1);
    const readers = ["long-poll", "sse"].map(async (live) => {
      const answer = await stream({ url, offset: "-1", live, json: true });
      const items = [];
      await within(
        new Promise((resolve) => {
          answer.subscribeJson(async (batch) => {
            items.push(...batch.items);
            if (items.length >= written.length) resolve();
          });
        }),
        `everything by ${live}`,
      );
      answer.cancel();
      return items;
    });
    const producer = new IdempotentProducer(log, "writer", { autoClaim: true, maxBatchBytes: 400, onError: (error) => assert.fail(error) });
    written.forEach((item) => producer.append(JSON.stringify(item)));
    await producer.flush();
    for (const reader of readers) assert.deepEqual(await reader, written);
    const seen = await viewer;
    assert.deepEqual(seen, await hub.log("t"), "what is seen is what is stored");
    assert.deepEqual(seen.slice(1).map(({ data }) => data.message), written);
  } finally {
    await hub.remove();
  }
});

test("its reader follows the log of agents through kill -9, by activity", async () => {
  const hub = await Hub.start();
  try {
    await hub.publish("t", ...Array.from({ length: 20 }, (_, n) => message(`before ${n}`)));
    const items = [];
    let wake = () => {};
    const answer = await stream({ url: `${hub.url}/v1/ds/t`, offset: "-1", live: "long-poll", json: true });
    answer.subscribeJson(async (batch) => {
      items.push(...batch.items);
      wake();
    });
    const until = async (count) => {
      while (items.length < count) await within(new Promise((resolve) => (wake = resolve)), `${count} activities`);
    };
    await until(20);
    await hub.restart("SIGKILL");
    await hub.publish("t", ...Array.from({ length: 20 }, (_, n) => message(`after ${n}`)));
    await until(40);
    answer.cancel();
    assert.deepEqual(items, await hub.log("t"));
  } finally {
    await hub.remove();
  }
});

test("its client writes activities as agents do", async () => {
  const hub = await Hub.start();
  try {
    await fetch(`${hub.url}/v1/tasks/t`, { method: "PUT", body: "{}" });
    const log = await DurableStream.connect({ url: `${hub.url}/v1/ds/t` });
    const producer = new IdempotentProducer(log, "agent", { onError: (error) => assert.fail(error) });
    for (let n = 0; n < 10; n += 1) producer.append(JSON.stringify(message(`step ${n}`)));
    await producer.flush();
    const stored = await hub.log("t");
    assert.deepEqual(stored.map(({ type, data }) => [type, data.text]), Array.from({ length: 10 }, (_, n) => ["message", `step ${n}`]));
    const answer = await stream({ url: `${hub.url}/v1/ds/t`, offset: "-1", live: false, json: true });
    assert.deepEqual(await answer.json(), stored);
  } finally {
    await hub.remove();
  }
});
