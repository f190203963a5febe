// What every client of Tasklight must do alike, by the list that all of them share.
import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { describe, expect, test } from "vitest";
import { Follower } from "../src/viewer/follower.js";
import { Place } from "../src/viewer/place.js";
import type { TaskMessage } from "../src/viewer/protocol.js";
import { type Json, text } from "./conformance/matching.js";
import { Player, type Step } from "./conformance/player.js";
import { Proxy } from "./conformance/proxy.js";
import { Hub } from "./hub.js";
import { ways } from "./watch.js";

const LIST = process.env["TASKLIGHT_CONFORMANCE"] ?? resolve(import.meta.dirname, "../../conformance");

/** What this package, and this runner, can do. Publishing over Redis is not in this package. */
const CAN = new Set(["proxy", "hub", "trim", "invocation"]);

/** What it leaves out for that. One more or one less is to be looked at here. */
const LEFT_OUT = [
  "over Redis an activity is acked by its eventId, and stored once",
  "over Redis an eventId in capitals is acked as well",
  "over Redis and by HTTP is the same log and the same key",
];

function read(name: string): Record<string, Json> {
  if (!existsSync(join(LIST, name))) throw new Error(`${LIST} has no ${name}: set TASKLIGHT_CONFORMANCE to the folder of the list`);
  const list = JSON.parse(readFileSync(join(LIST, name), "utf8")) as Record<string, Json>;
  expect(list["version"]).toBe(1);
  return list;
}

interface Scenario {
  readonly name: string;
  readonly needs?: readonly string[];
  readonly steps: readonly Step[];
}

const scenarios = read("scenarios.json")["scenarios"] as unknown as readonly Scenario[];

describe.each(ways)("by %s", (_name, WebSocket) => {
  for (const [index, { name, needs = [], steps, ...rest }] of scenarios.entries()) {
    const missing = needs.filter((need) => !CAN.has(need));
    test.skipIf(missing.length !== 0)(missing.length === 0 ? name : `${name} (needs ${missing.join()})`, async () => {
      expect(Object.keys(rest), "what a scenario has").toEqual([]);
      const hub = await Hub.start({ TASKLIGHT__SESSION__HEARTBEAT: "1s" });
      const proxy = needs.includes("proxy") ? new Proxy(hub) : undefined;
      await proxy?.start();
      const player = new Player(hub, proxy, `conformance-${index.toString()}`, WebSocket);
      for (const [number, step] of steps.entries()) {
        await player.play(step).catch((error: unknown) => {
          throw new Error(`step ${(number + 1).toString()} (${text(step["do"] ?? null)}): ${String(error)}`, { cause: error });
        });
      }
    });
  }
});

test("what is left out of the list is what is known to be", () => {
  const leftOut = scenarios.filter(({ needs = [] }) => needs.some((need) => !CAN.has(need))).map(({ name }) => name);
  expect(leftOut).toEqual(LEFT_OUT);
});

interface Known {
  readonly name: string;
  readonly start: string | { readonly after?: string; readonly last?: number };
  readonly whole: boolean;
  readonly hears: readonly (readonly [Record<string, Json>, string])[];
  readonly resume: Json;
}

const places = read("places.json")["places"] as unknown as readonly Known[];

describe("places", () => {
  test.each(places)("$name", ({ start, whole, hears, resume }) => {
    const from = typeof start === "string" ? { after: start } : start;
    const place = new Place(from, whole);
    // Heartbeats are the follower's; it hears what the place hears.
    const follower = new Follower({ task: "t", ...from, ...(!whole && { invocation: "r" }) });
    follower.wants(0);
    for (const [heard, meaning] of hears) {
      if (heard["op"] === "heartbeat") {
        const head = (heard["heads"] as Record<string, number>)["t"] ?? 0;
        expect(follower.hearHead(head, 0).lost === undefined ? "news" : "loss", JSON.stringify(heard)).toBe(meaning);
      } else if (["subscribed", "activity", "live", "cursor", "truncated", "reset", "unsubscribed"].includes(text(heard["op"] ?? null))) {
        const message = { task: "t", ...heard, ...(heard["op"] === "activity" && { activity: heard }) } as unknown as TaskMessage;
        expect(place.hear(message), JSON.stringify(heard)).toBe(meaning);
        follower.hear(message);
      } else expect(meaning, "what is not of the place").toBe("news");
    }
    const { last: _, ...resumed } = place.resume();
    expect(resumed).toEqual(typeof resume === "string" ? { after: resume } : resume);
  });
});
