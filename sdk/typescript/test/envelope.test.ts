// Sealed messages over Redis: by the vectors that all clients share, and to a hub that asks for them.
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { inspect } from "node:util";
import { createClient } from "redis";
import { expect, onTestFinished, test } from "vitest";
import { EnvelopeKey } from "../src/envelope.js";
import { TasklightError } from "../src/error.js";
import { Hub, within } from "./hub.js";
import { examples } from "./readme.js";

interface Vector {
  readonly name: string;
  readonly key: string;
  readonly channel: string;
  readonly at: number;
  readonly body: string;
  readonly mac: string;
}

const LIST = process.env["TASKLIGHT_CONFORMANCE"] ?? resolve(import.meta.dirname, "../../conformance");
const shared = JSON.parse(readFileSync(join(LIST, "envelopes.json"), "utf8")) as { version: number; envelopes: Vector[]; no_keys: string[] };
const REDIS = process.env["TASKLIGHT_TEST_REDIS_URL"];
const KEY = "tle_agent7_000102030405060708090a0b0c0d0e0f";

test.each(shared.envelopes)("$name", async ({ key, channel, at, body, mac }) => {
  expect(shared.version).toBe(1);
  const sealing = new EnvelopeKey(key);
  const sealed: unknown = JSON.parse(await sealing.seal(channel, body, at));
  expect(sealed).toEqual({ signed: { key: sealing.id, at, body, mac } });
  expect(JSON.parse(await sealing.seal(channel, body, at))).toEqual(sealed);
});

test.each(shared.no_keys)("%j is no key, and is not shown", (text) => {
  expect(() => new EnvelopeKey(text)).toThrow(TasklightError);
  try {
    new EnvelopeKey(text);
  } catch (error) {
    if (text.length > 10) expect(inspect(error)).not.toContain(text.trim());
  }
});

test("a key is not printed, and what cannot be sealed as it is published is refused", async () => {
  const key = new EnvelopeKey(KEY);
  for (const shown of [inspect(key, { depth: 9, showHidden: true }), JSON.stringify(key)]) expect(shown).not.toContain("0001");
  for (const [channel, body, at] of [["a\nb", "{}", 1], ["a", "\ud800", 1], ["a", "{}", 1.5], ["a", "{}", -1], ["a", "{}", NaN]] as const) {
    await expect(key.seal(channel, body, at)).rejects.toMatchObject({ code: "invalid_argument" });
  }
  await expect(key.seal("a", JSON.stringify("\ud800"), 1)).resolves.toContain("mac");
});

/** A hub that takes sealed messages only, under a prefix of its own. */
async function sealedHub(redis: string): Promise<{ hub: Hub; prefix: string }> {
  const folder = mkdtempSync(join(tmpdir(), "tasklight-keys-"));
  onTestFinished(() => { rmSync(folder, { recursive: true, force: true }); });
  const keys = join(folder, "keys.toml");
  writeFileSync(keys, `[[key]]\nkey = "${KEY}"\nsubject = "agent-7"\npublish = ["agent-7-*"]\n`);
  const prefix = `sealed-${process.pid.toString()}-${Date.now().toString()}:`;
  const hub = await Hub.start({
    TASKLIGHT__BROKER__URL: redis,
    TASKLIGHT__BROKER__PREFIX: prefix,
    TASKLIGHT__INGEST__ENVELOPES: "required",
    TASKLIGHT__INGEST__ENVELOPE_KEYS: keys,
  });
  return { hub, prefix };
}

/** How long an agent waits for an answer before it publishes again. */
const AGAIN_MS = 5_000;

async function after(milliseconds: number): Promise<void> {
  await new Promise((resolve) => { setTimeout(resolve, milliseconds).unref(); });
}

async function texts(hub: Hub, task: string): Promise<unknown[]> {
  return (await hub.log(task)).map((activity) => (activity as { data: { text: unknown } }).data.text);
}

const needsRedis = REDIS === undefined ? " (needs TASKLIGHT_TEST_REDIS_URL: run me beside tests/services.sh)" : "";

test.skipIf(REDIS === undefined)(`a hub takes what is sealed and says why not${needsRedis}`, async () => {
  const { hub, prefix } = await sealedHub(REDIS ?? "");
  const redis = await createClient({ url: REDIS ?? "" }).connect();
  const hearing = await redis.duplicate().connect();
  onTestFinished(() => { redis.destroy(); hearing.destroy(); });
  const key = new EnvelopeKey(KEY);

  /** What is said on the ack channel about this event, once it is published. */
  async function answer(task: string, text: string, seal: (channel: string, body: string) => string | Promise<string>): Promise<unknown> {
    const channel = `${prefix}task:${task}`;
    const eventId: string = crypto.randomUUID();
    const body = JSON.stringify([{ invocationId: "r", type: "message", data: { text }, eventId }]);
    const acks = `${prefix}ack:${task}`;
    let isAnswered = false;
    const answered = new Promise<unknown>((resolve) => {
      const settle = (said: string): void => {
        isAnswered = true;
        resolve(said);
      };
      void hearing.subscribe(acks, (said) => {
        const { eventIds = [], rejected = [] } = JSON.parse(said) as { eventIds?: string[]; rejected?: { eventId: string; code: string }[] };
        if (eventIds.includes(eventId)) settle("stored");
        // What has no seal is not looked into for its key.
        for (const one of rejected) if ([eventId, undefined, null].includes(one.eventId)) settle(one.code);
      }).then(async () => {
        // A refusal that a coming owner heard is said by nobody: an agent without an answer publishes again.
        while (!isAnswered) {
          while ((await redis.publish(channel, await seal(channel, body))) === 0) {
            await redis.publish(`${prefix}tasks`, JSON.stringify({ taskId: task }));
          }
          await Promise.race([answered, after(AGAIN_MS)]);
        }
      });
    });
    const said = await within(answered, `an answer about ${task}`);
    await hearing.unsubscribe(acks);
    return said;
  }

  expect(await answer("agent-7-build", "grüß\ngott 🦀", (channel, body) => key.seal(channel, body))).toBe("stored");
  expect(await answer("agent-7-build", "bare", (_, body) => body)).toBe("envelope_missing");
  expect(await answer("agent-7-build", "elsewhere", (_, body) => key.seal(`${prefix}task:agent-7-other`, body))).toBe("envelope_invalid");
  expect(await answer("agent-7-build", "late", (channel, body) => key.seal(channel, body, Date.now() - 3_600_000))).toBe("envelope_stale");
  expect(await answer("agent-8-build", "foreign", (channel, body) => key.seal(channel, body))).toBe("envelope_forbidden");
  expect(await texts(hub, "agent-7-build")).toEqual(["grüß\ngott 🦀"]);
});

test.skipIf(REDIS === undefined)(`the README's example is stored${needsRedis}`, async () => {
  const { hub, prefix } = await sealedHub(REDIS ?? "");
  const [code = "", ...more] = examples("redis", hub.url);
  expect(more).toEqual([]);
  const file = join(import.meta.dirname, "../dist/readme-redis.mjs");
  writeFileSync(file, code.replace("redis://127.0.0.1:6379", REDIS ?? "").replaceAll("tasklight:task", `${prefix}task`));
  onTestFinished(() => { rmSync(file, { force: true }); });
  const example = spawn(process.execPath, [file], { env: { ...process.env, AGENT_KEY: KEY }, stdio: "inherit" });
  expect(await within(new Promise((ended) => example.once("exit", ended)), "the example's end")).toBe(0);
  await within((async () => { while ((await texts(hub, "agent-7-build")).length === 0); })(), "the activity");
  expect(await texts(hub, "agent-7-build")).toEqual(["hi"]);
});
