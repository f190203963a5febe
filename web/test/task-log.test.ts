// A task's log on the page, from a hub's socket to its entries: what is shown is the log without gaps or repeats, and never too much of it.
import type { Activity } from "tasklight/viewer";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Entries } from "../src/model/entries.ts";
import type { LogFilter, TaskLog } from "../src/model/log.ts";
import { openTaskLog } from "../src/model/task-log.ts";
import { RUNS } from "./agent.ts";
import { Browser, settle, type TestPage } from "./pages.ts";
import { plainEntries, tellEntries, tellOutput } from "./plain-entries.ts";
import { Chance } from "./random.ts";
import { ScriptedHub } from "./scripted-hub.ts";

/** Small enough that every bound is met often. */
const MOST = 400;
const PAGE = 50;

vi.mock("../src/model/log.ts", () => ({ MOST_ACTIVITIES: 400, PAGE_ACTIVITIES: 50, LONGEST_PAYLOAD: 16 * 1024 }));

const RECONNECTED_MS = 6_000;

let hub: ScriptedHub;
let browser: Browser;
let page: TestPage;
let log: TaskLog;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "setInterval", "clearInterval", "Date"] });
});

function begin(): void {
  hub = new ScriptedHub();
  vi.stubGlobal("fetch", hub.fetch);
  browser = new Browser(hub);
  page = browser.open();
}

/** Opens the log of a task that has so many activities. */
async function open(count: number): Promise<void> {
  begin();
  hub.publish("t", new Chance(count), count);
  log = openTaskLog(page.tab, "t");
  await browser.frames();
}

function end(): void {
  log.close();
  for (const { tab } of browser.pages) tab.close();
  browser.host.close();
}

afterEach(() => {
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

const pass = async (millis: number): Promise<void> => {
  await settle();
  await vi.advanceTimersByTimeAsync(millis);
  await browser.frames();
};

const publish = async (count: number): Promise<void> => {
  hub.publish("t", new Chance(count), count);
  await browser.frames();
};

const offsets = (): number[] => log.activities().map(({ offset }) => offset);
const range = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, index) => from + index);

const fits =
  ({ types, invocation }: LogFilter) =>
  ({ type, invocationId }: Activity): boolean =>
    (types.size === 0 || types.has(type)) && (invocation === undefined || invocation === invocationId);

/** What must hold at every moment: bounds, the hub's own words, no gap that is not said, and the entries of exactly that. */
function check(what: string): void {
  const activities = log.activities();
  expect(activities.length, what).toBeLessThanOrEqual(MOST);
  const shown = activities.filter(fits(log.filter()));
  const all = hub.logs.get("t")?.activities ?? [];
  const [first, last] = [activities[0]?.offset ?? 1, activities.at(-1)?.offset ?? 0];
  const epoch = activities[0]?.cursor.split("-")[0];
  if (epoch !== undefined && epoch === hub.logs.get("t")?.epoch) {
    const holes = log.entries().filter((entry) => entry.kind === "hole" && entry.key !== 0);
    const isInHole = (offset: number): boolean => holes.some(({ key, last: end }) => key <= offset && offset <= end);
    const wanted = all.slice(first - 1, last).filter((one) => fits(log.filter())(one) && !isInHole(one.offset));
    expect(shown.map(({ cursor }) => cursor), what).toEqual(wanted.map(({ cursor }) => cursor));
    const altered = shown.filter((one, index) => !log.isCut(one) && JSON.stringify(one.data) !== JSON.stringify(wanted[index]?.data));
    expect(altered, what).toEqual([]);
  }
  const entries = log.entries();
  const rest = entries.filter(({ kind }) => kind !== "hole");
  expect(tellEntries(rest), what).toEqual(plainEntries(shown));
  const output = new Entries();
  output.append(shown);
  expect(tellOutput(rest), what).toEqual(tellOutput(output.list));
}

test("begins with the newest, grows, and drops the oldest when there is no more room", async () => {
  await open(1_000);
  expect([log.atEnd(), log.hasBefore(), log.hasAfter(), log.head()]).toEqual([true, true, false, 1_000]);
  check("begun");
  await publish(30);
  expect(log.activities().at(-1)?.offset).toBe(1_030);
  expect(log.change().kind).toBe("trimmed");
  await publish(1);
  expect(log.change().kind).toBe("grown");
  check("after growth");
  end();
});

test("pages backwards until the log's beginning, letting go of the newest, and forwards until it goes on by itself", async () => {
  await open(1_000);
  const [first = 0] = offsets();
  await log.loadBefore();
  expect([log.change().kind, log.atEnd(), log.hasAfter()]).toEqual(["prepended", false, true]);
  expect(offsets()[0]).toBe(first - PAGE);
  while (log.hasBefore()) {
    await log.loadBefore();
    check("before");
  }
  expect(log.activities()[0]?.offset).toBe(1);
  await publish(20);
  expect(log.head()).toBe(1_020);
  const before = offsets();
  expect(before.at(-1)).toBeLessThan(1_000);
  for (let pages = 0; log.hasAfter(); pages += 1) {
    expect(pages).toBeLessThan(50);
    await log.loadAfter();
    check("after");
  }
  expect(log.activities().at(-1)?.offset).toBe(1_020);
  await publish(5);
  expect(log.activities().at(-1)?.offset).toBe(1_025);
  end();
});

test("goes to an offset with something before it, to the nearest one that is kept, and back to the end", async () => {
  await open(2_000);
  expect(await log.goToOffset(700)).toBe(700);
  expect([log.change().kind, log.atEnd()]).toEqual(["replaced", false]);
  expect(offsets()).toEqual(range(700 - PAGE / 2, 700 + PAGE / 2 - 1));
  expect(await log.goToOffset(690), "it is here").toBe(690);
  expect(log.hasBefore() && log.hasAfter()).toBe(true);
  hub.trim("t", 300);
  expect(await log.goToOffset(5)).toBe(300);
  expect([log.floor(), log.hasBefore()]).toEqual([300, false]);
  expect(await log.goToOffset(9_999)).toBe(2_000);
  expect(log.atEnd()).toBe(true);
  const time = log.activities()[0]?.timestamp ?? 0;
  expect(await log.goToTime(time - 1_000 * 10)).toBe((log.activities()[0]?.offset ?? 0) + PAGE / 2);
  log.goToEnd();
  await publish(1);
  expect(log.activities().at(-1)?.offset).toBe(2_001);
  check("at the end");
  end();
});

test("what somebody reads is not dropped for what comes", async () => {
  await open(1_000);
  log.hold(620);
  const [first] = offsets();
  await publish(200);
  expect([log.atEnd(), offsets()[0], log.head()]).toEqual([false, first, 1_200]);
  log.hold(990);
  while (log.hasAfter()) await log.loadAfter();
  expect(log.activities().at(-1)?.offset).toBe(1_200);
  check("joined again");
  log.hold(log.activities().at(-10)?.offset);
  await publish(300);
  expect(log.atEnd(), "near the end there is room").toBe(true);
  end();
});

test("a tab that slept too long begins anew, unless somebody reads", async () => {
  for (const reads of [false, true]) {
    await open(1_000);
    const [first] = offsets();
    if (reads) log.hold(700);
    page.hide(true);
    await publish(600);
    await publish(600);
    await publish(600);
    page.hide(false);
    await browser.frames();
    expect([log.atEnd(), log.activities()[0]?.offset === first]).toEqual([!reads, reads]);
    expect(log.head()).toBe(2_800);
    check("awake");
    end();
  }
});

test("a log that lost its beginning has a hole where that is", async () => {
  await open(100);
  hub.cut();
  hub.publish("t", new Chance(1), 200);
  hub.trim("t", 250);
  await pass(RECONNECTED_MS);
  expect(log.entries().filter(({ kind }) => kind === "hole")).toMatchObject([{ key: 101, last: 249, reason: "truncated" }]);
  expect(offsets()).toEqual([...range(1, 100), ...range(250, 300)]);
  check("with a hole");
  end();
});

test("a log that began anew says so, and nothing of the old one stays, also while something is being paged in", async () => {
  await open(1_000);
  hub.hold();
  const paged = log.loadBefore();
  await settle();
  expect(log.loading()).toBe("before");
  hub.delete("t");
  await browser.frames();
  expect(log.entries()).toMatchObject([{ kind: "hole", reason: "deleted" }]);
  await publish(10);
  hub.answer();
  await paged;
  expect([offsets(), log.loading(), log.head()]).toEqual([range(1, 10), undefined, 10]);
  hub.cut();
  hub.logs.delete("t");
  hub.publish("t", new Chance(9), 20);
  await pass(RECONNECTED_MS);
  expect(log.entries()[0]).toMatchObject({ kind: "hole", reason: "reset" });
  expect(offsets()).toEqual(range(1, 20));
  end();
});

test("a filter keeps the place, asks the hub for what fits, and is taken off again", async () => {
  await open(3_000);
  log.setFilter({ types: new Set(["error"]), invocation: undefined });
  expect(log.change().kind).toBe("replaced");
  await settle();
  const fitting = hub.log("t").filter(({ type }) => type === "error");
  expect(log.entries().length).toBeGreaterThanOrEqual(50);
  expect(log.entries().map(({ key }) => key)).toEqual(fitting.slice(-log.entries().length).map(({ offset }) => offset));
  check("filtered");
  while (log.hasBefore()) await log.loadBefore();
  check("filtered, to the beginning");
  expect(log.entries()[0]?.key).toBe(fitting[0]?.offset);
  await publish(40);
  check("filtered, and grown");
  log.setFilter({ types: new Set(), invocation: undefined });
  await settle();
  check("open again");
  expect(log.entries().length).toBeGreaterThan(0);
  end();
});

test("errors are told until the next question", async () => {
  await open(1_000);
  vi.stubGlobal("fetch", () => Promise.reject(new TypeError("no network")));
  await log.loadBefore();
  expect([log.failure(), log.loading()]).toEqual(["the hub does not answer: no network (unreachable)", undefined]);
  vi.stubGlobal("fetch", hub.fetch);
  await log.loadBefore();
  expect(log.failure()).toBeUndefined();
  end();
});

test("long payloads are held as their beginning, and given whole to who asks", async () => {
  await open(3);
  const output = "0123456789".repeat(4_000);
  hub.publishOne("t", { type: "tool_result", invocationId: "r", data: { toolCallId: "c", output, nested: { lines: [output, "short"] } } });
  await browser.frames();
  const [held] = log.activities().slice(-1) as [Activity];
  expect(log.isCut(held)).toBe(true);
  expect(JSON.stringify(held.data).length).toBeLessThanOrEqual(17 * 1024);
  expect(held.data["toolCallId"]).toBe("c");
  expect(String(held.data["output"])).toMatch(/^0123456789.*…$/);
  expect((await log.full(4)).data["output"]).toBe(output);
  expect(await log.full(1)).toBe(log.activities()[0]);
  expect(log.isCut(log.activities()[0] as Activity)).toBe(false);
  end();
});

test("whatever is done to a log and to its page, what is held is the log, and the entries are of that", async () => {
  for (let seed = 1; seed <= 25; seed += 1) {
    const chance = new Chance(seed);
    await open(chance.below(1_500));
    for (let step = 0; step < 40; step += 1) {
      const what = `seed ${seed.toString()}, step ${step.toString()}`;
      await doSomething(chance);
      if (chance.is(0.7)) await browser.frames();
      check(what);
    }
    hub.answer();
    page.hide(false);
    await pass(RECONNECTED_MS);
    log.setFilter({ types: new Set(), invocation: undefined });
    log.goToEnd();
    await browser.frames();
    const what = `seed ${seed.toString()}, at last`;
    check(what);
    if (hub.logs.has("t")) {
      const last = hub.logs.get("t")?.activities.at(-1)?.offset ?? 0;
      expect([log.atEnd(), log.head(), log.activities().at(-1)?.offset ?? 0], what).toEqual([true, last, last]);
      expect(log.state(), what).toMatchObject({ kind: "live", offset: last });
    }
    end();
  }
}, 60_000);

async function doSomething(chance: Chance): Promise<void> {
  const choice = chance.below(14);
  const asked: Promise<unknown>[] = [];
  if (choice === 0) asked.push(log.loadBefore());
  else if (choice === 1) asked.push(log.loadAfter());
  else if (choice === 2) asked.push(log.goToOffset(1 + chance.below(log.head() + 20)));
  else if (choice === 3) log.goToEnd();
  else if (choice === 4) log.hold(chance.is(0.3) ? undefined : chance.of([...offsets(), 1]));
  else if (choice === 5) {
    const types = chance.is(0.5) ? new Set<string>() : new Set(["error", "message", "tool_call"].filter(() => chance.is(0.5)));
    log.setFilter({ types, invocation: chance.is(0.3) ? chance.of(RUNS) : undefined });
  } else if (choice === 6) page.hide(chance.is(0.5));
  else if (choice === 7) hub.hold();
  else if (choice === 8) hub.answer();
  else if (choice === 9 && chance.is(0.3)) hub.cut();
  else if (choice === 10 && hub.logs.has("t") && chance.is(0.3)) hub.trim("t", hub.log("t").at(-chance.below(300))?.offset ?? 1);
  else if (choice === 11 && chance.is(0.1)) hub.delete("t");
  else if (choice === 12) await pass(chance.below(3_000));
  else hub.publish("t", chance, chance.below(chance.is(0.1) ? 900 : 60));
  // Some answers come only after other things happened.
  if (chance.is(0.5)) {
    hub.answer();
    await Promise.all(asked);
  }
  await settle();
}
