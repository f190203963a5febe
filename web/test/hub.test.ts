// One connection for all tabs: each shows the log without gaps or repeats whatever it slept through, and what is kept for it is bounded.
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { BATCH_ACTIVITIES, FIRST_ACTIVITIES } from "../src/hub/followed.ts";
import { LINGER_MS, RING_CHARS, SWEEP_MS } from "../src/hub/host.ts";
import { TAB_PATIENCE_MS } from "../src/hub/port.ts";
import type { Followed } from "../src/hub/source.ts";
import { MOST_ACTIVITIES } from "../src/model/log.ts";
import { Browser, settle, type TestPage } from "./pages.ts";
import { PlainSink } from "./plain-sink.ts";
import { Chance } from "./random.ts";
import { ScriptedHub } from "./scripted-hub.ts";

/** Longer than any wait for a new connection. */
const RECONNECTED_MS = 6_000;

let hub: ScriptedHub;
let browser: Browser;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "setInterval", "clearInterval", "Date"] });
  hub = new ScriptedHub();
  browser = new Browser(hub);
});

afterEach(() => {
  for (const { tab } of browser.pages) tab.close();
  browser.host.close();
  vi.useRealTimers();
});

const pass = async (millis: number): Promise<void> => {
  await settle();
  await vi.advanceTimersByTimeAsync(millis);
  await settle();
};

const offsets = (sink: PlainSink): number[] => sink.log.map(({ offset }) => offset);

/** The end of the hub's log, as much as the sink has of it. */
const endOf = (task: string, sink: PlainSink) => hub.log(task).slice(-sink.log.length);

describe("a tab", () => {
  test("gets the newest of a log at once and then what comes, with what can be said of it", async () => {
    hub.publish("t", new Chance(1), FIRST_ACTIVITIES + 100);
    const sink = new PlainSink();
    browser.open().tab.openTask("t", sink);
    await browser.frames();
    expect([sink.starts, sink.log.length, sink.lastState?.kind]).toEqual([1, FIRST_ACTIVITIES, "live"]);
    hub.publish("t", new Chance(2), 3);
    await browser.frames();
    expect(sink.starts).toBe(1);
    expect(sink.log).toEqual(endOf("t", sink));
    expect(sink.lastState).toMatchObject({ kind: "live", offset: FIRST_ACTIVITIES + 103 });
  });

  test("is called once a frame, however much comes", async () => {
    const sink = new PlainSink();
    hub.publish("t", new Chance(1), 1);
    const page = browser.open();
    page.tab.openTask("t", sink);
    await browser.frames();
    const before = sink.calls;
    for (let n = 0; n < 50; n += 1) {
      hub.publish("t", new Chance(n), 2);
      await settle();
    }
    expect(sink.calls).toBe(before);
    page.frame();
    await settle();
    expect(sink.calls).toBe(before + 1);
    await browser.frames();
    expect(sink.log).toEqual(hub.log("t"));
    expect(sink.calls, "the first of it, then the rest").toBe(before + 2);
  });

  test("waits for a task that is not there, and gets it from its first activity", async () => {
    const sink = new PlainSink();
    browser.open().tab.openTask("t", sink);
    await browser.frames();
    expect([sink.starts, sink.lastState?.kind]).toEqual([1, "waiting"]);
    hub.publish("t", new Chance(1), 5);
    await browser.frames();
    expect(offsets(sink)).toEqual([1, 2, 3, 4, 5]);
  });

  test("that closes what it follows hears nothing more of it", async () => {
    const sink = new PlainSink();
    const page = browser.open();
    const followed = page.tab.openTask("t", sink);
    hub.publish("t", new Chance(1), 5);
    await browser.frames();
    hub.publish("t", new Chance(1), 5);
    await settle();
    followed.close();
    await browser.frames();
    expect(sink.log).toHaveLength(5);
  });
});

describe("tabs that sleep", () => {
  test("a hidden tab takes nothing, and one message waits for it; seen again it goes on, or begins anew", async () => {
    const [seen, hidden] = [new PlainSink(), new PlainSink()];
    const page = browser.open();
    page.tab.openTask("t", hidden);
    browser.open().tab.openTask("t", seen);
    hub.publish("t", new Chance(1), 10);
    await browser.frames();
    page.hide(true);
    hub.publish("t", new Chance(2), 100);
    await browser.frames();
    expect([seen.log.length, hidden.log.length]).toEqual([110, 10]);
    page.hide(false);
    await browser.frames();
    expect([hidden.log.length, hidden.starts]).toEqual([110, 1]);
    page.hide(true);
    const messages = page.messages;
    for (let n = 0; n < 12; n += 1) {
      hub.publish("t", new Chance(n), BATCH_ACTIVITIES / 2);
      await browser.frames();
    }
    expect(page.messages).toBe(messages + 1);
    page.hide(false);
    await browser.frames();
    expect(hidden.starts).toBe(2);
    expect(hidden.log.at(-1)?.offset).toBe(6_110);
    expect(hidden.log).toEqual(endOf("t", hidden));
    expect(seen.starts, "nobody else noticed").toBe(1);
    expect(seen.log).toEqual(hub.log("t"));
  });

  test("the list is told slowly while hidden, and each task once however often it changed", async () => {
    hub.publish("a", new Chance(1), 1);
    hub.publish("b", new Chance(1), 1);
    const page = browser.open();
    const told: string[] = [];
    page.tab.openList({ items: (items) => told.push(...items.map((item) => (item.kind === "task" ? `${item.task.taskId}${item.task.head.toString()}` : item.kind))) });
    await browser.frames();
    expect(told).toEqual(["snapshot", "a1", "b1", "live"]);
    page.hide(true);
    told.length = 0;
    hub.publish("a", new Chance(1), 1);
    await browser.frames();
    expect(told).toEqual([]);
    for (let n = 0; n < 5; n += 1) {
      hub.publish("b", new Chance(1), 1);
      await settle();
    }
    hub.delete("a");
    await pass(3_000);
    await pass(3_000);
    expect(told).toEqual(["a2", "b6", "gone"]);
  });

  test("the list after a reconnect is told as what differs", async () => {
    for (const task of ["a", "b", "c"]) hub.publish(task, new Chance(1), 1);
    const told: string[] = [];
    browser.open().tab.openList({ items: (items) => told.push(...items.map((item) => (item.kind === "task" ? item.task.taskId : item.kind))) });
    await browser.frames();
    hub.cut();
    told.length = 0;
    hub.logs.delete("a");
    hub.publish("b", new Chance(1), 1);
    await pass(RECONNECTED_MS);
    await browser.frames();
    expect(told).toEqual(["b", "gone"]);
  });

  test("a frozen tab costs one message for what it follows, not one for each change", async () => {
    hub.publish("t", new Chance(1), 1);
    const page = browser.open();
    page.tab.openTask("t", new PlainSink());
    page.tab.openList({ items: () => undefined });
    await browser.frames();
    page.freeze(true);
    for (let n = 0; n < 100; n += 1) {
      hub.publish("t", new Chance(n), 10);
      hub.cut();
      await pass(1_000);
    }
    expect(page.inbox.filter(({ say }) => say !== "beat").length).toBeLessThanOrEqual(3);
  });
});

describe("the host", () => {
  test("has one connection and one subscription for all tabs", async () => {
    hub.publish("t", new Chance(1), 10);
    const sinks = [1, 2, 3].map(() => new PlainSink());
    for (const sink of sinks) browser.open().tab.openTask("t", sink);
    await browser.frames();
    expect(hub.connections).toBe(1);
    expect(browser.host.counts).toMatchObject({ tabs: 3, tasks: 1 });
    for (const sink of sinks) expect(sink.log).toEqual(hub.log("t"));
  });

  test("lets go of what nobody follows, after a while", async () => {
    const page = browser.open();
    const followed = page.tab.openTask("t", new PlainSink());
    await browser.frames();
    followed.close();
    await pass(LINGER_MS - 1);
    expect(browser.host.counts.tasks).toBe(1);
    await pass(1);
    expect(browser.host.counts.tasks).toBe(0);
  });

  test("notices tabs that go, and tabs that are silent; one that wakes joins again and misses nothing", async () => {
    const sinks = [new PlainSink(), new PlainSink()];
    const [going, sleeping] = sinks.map((sink) => {
      const page = browser.open();
      page.tab.openTask("t", sink);
      return page;
    }) as [TestPage, TestPage];
    hub.publish("t", new Chance(1), 10);
    await browser.frames();
    going.tab.leave();
    await settle();
    expect(browser.host.counts.tabs).toBe(1);
    going.tab.rejoin();
    await settle();
    expect(browser.host.counts.tabs).toBe(2);
    // A frozen page runs no timers.
    going.tab.close();
    sleeping.tab.close();
    await settle();
    const silent = browser.host.connect(() => undefined);
    silent({ say: "hello", protocol: 1, token: undefined });
    silent({ say: "openTask", feed: 1, task: "t" });
    expect(browser.host.counts).toMatchObject({ tabs: 1, tasks: 1 });
    await pass(TAB_PATIENCE_MS + 2 * SWEEP_MS + LINGER_MS);
    expect(browser.host.counts).toMatchObject({ tabs: 0, tasks: 0 });
    const answers: string[] = [];
    const late = browser.host.connect(({ say }) => answers.push(say));
    late({ say: "beat" });
    expect(answers).toEqual(["again"]);
  });

  test("a tab that was given up begins anew when it is told so", async () => {
    const sink = new PlainSink();
    const page = browser.open();
    page.tab.openTask("t", sink);
    hub.publish("t", new Chance(1), 10);
    await browser.frames();
    page.tab.leave();
    hub.publish("t", new Chance(2), 10);
    await settle();
    page.tab.look();
    await browser.frames();
    expect(sink.log).toEqual(hub.log("t"));
    hub.publish("t", new Chance(3), 10);
    await browser.frames();
    expect(sink.log).toEqual(hub.log("t"));
  });

  test("goes on after the place where it was with a new token", async () => {
    const sink = new PlainSink();
    const page = browser.open();
    page.tab.openTask("t", sink);
    hub.publish("t", new Chance(1), 10);
    await browser.frames();
    page.tab.setToken("secret");
    await browser.frames();
    hub.publish("t", new Chance(2), 10);
    await browser.frames();
    expect([hub.connections, sink.starts]).toEqual([2, 1]);
    expect(sink.log).toEqual(hub.log("t"));
    page.tab.setToken("secret");
    await browser.frames();
    expect(hub.connections).toBe(2);
  });

  test("says to all tabs how the connection is", async () => {
    const heard: string[] = [];
    const page = browser.open();
    page.tab.openTask("t", new PlainSink());
    page.tab.onLink(({ kind }) => heard.push(kind));
    await browser.frames();
    hub.cut();
    await settle();
    await pass(RECONNECTED_MS);
    expect(heard).toEqual(["connecting", "connecting", "open", "reconnecting", "open"]);
    hub.cut(4403);
    await browser.frames();
    expect(heard.at(-1)).toBe("denied");
  });

  test("keeps all rings together within their bound", async () => {
    const text = "x".repeat(1024 * 1024);
    const sinks = ["a", "b"].map((task) => {
      const sink = new PlainSink();
      browser.open().tab.openTask(task, sink);
      return sink;
    });
    await browser.frames();
    for (let n = 0; n < 25; n += 1) {
      for (const task of ["a", "b"]) hub.publishOne(task, { type: "message", invocationId: "r", data: { text } });
      await browser.frames();
    }
    expect(browser.host.counts.chars).toBeLessThanOrEqual(RING_CHARS);
    expect(sinks.map(({ log }) => log.length), "who keeps up loses nothing").toEqual([25, 25]);
  });
});

test("whatever happens to tabs, connections and logs, every tab ends with the log as it is", async () => {
  for (let seed = 1; seed <= 12; seed += 1) {
    const chance = new Chance(seed);
    const hub = new ScriptedHub();
    const browser = new Browser(hub);
    const open: { page: TestPage; sink: PlainSink; followed: Followed }[] = [];
    for (let step = 0; step < 60; step += 1) {
      const one = open.length === 0 ? undefined : chance.of(open);
      switch (chance.below(12)) {
        case 0:
          if (open.length < 4) {
            const [page, sink] = [browser.open(), new PlainSink()];
            open.push({ page, sink, followed: page.tab.openTask("t", sink) });
          }
          break;
        case 1:
          one?.page.hide(chance.is(0.5));
          break;
        case 2:
          one?.page.freeze(chance.is(0.5));
          break;
        case 3:
          if (chance.is(0.5)) hub.cut();
          break;
        case 4:
          if (hub.logs.has("t")) hub.trim("t", hub.log("t").at(-chance.below(50))?.offset ?? 1);
          break;
        case 5:
          if (chance.is(0.2)) hub.delete("t");
          break;
        case 6:
          if (one && chance.is(0.3)) {
            one.followed.close();
            one.sink = new PlainSink();
            one.followed = one.page.tab.openTask("t", one.sink);
          }
          break;
        case 7:
          one?.page.tab.leave();
          one?.page.tab.rejoin();
          break;
        case 8:
          if (chance.is(0.2)) one?.page.tab.setToken(`token-${chance.below(3).toString()}`);
          break;
        default:
          hub.publish("t", chance, chance.below(chance.is(0.1) ? MOST_ACTIVITIES : 60));
      }
      if (chance.is(0.5)) await browser.frames();
      if (chance.is(0.3)) await pass(chance.below(2_000));
    }
    for (const { page } of open) {
      page.freeze(false);
      page.hide(false);
    }
    await pass(RECONNECTED_MS);
    await browser.frames();
    for (const [index, { sink }] of open.entries()) {
      const what = `seed ${seed.toString()}, tab ${index.toString()}`;
      const log = hub.logs.get("t")?.activities;
      // That it is gone may be all that can be said.
      expect(sink.lastState?.kind, what).toBe(log ? "live" : "waiting");
      if (!log) continue;
      expect(sink.log.at(-1)?.offset, what).toBe(log.at(-1)?.offset);
      expect(sink.log, what).toEqual(sink.log.map(({ offset }) => log[offset - 1]));
      expect(offsets(sink), what).toEqual([...new Set(offsets(sink))].sort((one, other) => one - other));
    }
    for (const { tab } of browser.pages) tab.close();
    browser.host.close();
  }
}, 60_000);
