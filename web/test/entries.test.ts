// @vitest-environment node
// Entries made step by step are those of the whole log, whatever was added or dropped at either end in whatever order.
import type { Activity } from "tasklight/viewer";
import { describe, expect, test } from "vitest";
import { Entries } from "../src/model/entries.ts";
import { MOST_CHUNKS, OUTPUT_CHARS, OUTPUT_REACH } from "../src/model/entries/node.ts";
import type { Entry, OutputEntry } from "../src/model/entry.ts";
import { act, logOf, stored } from "./agent.ts";
import { plainEntries, tellEntries, tellOutput } from "./plain-entries.ts";
import { Chance, forSeeds } from "./random.ts";

const made = (...log: readonly Activity[]): readonly Entry[] => {
  const entries = new Entries();
  entries.append(log);
  return entries.list;
};

const plainOutput = (log: readonly Activity[]): string[] =>
  log
    .filter(({ type }) => type === "output")
    .map(({ offset, invocationId, data }) => `${offset.toString()} ${invocationId} ${String(data["stream"])} ${String(data["text"])}`);

/** What must hold whatever happened: the log itself, in order, with bounds. */
function check(entries: readonly Entry[], log: readonly Activity[]): void {
  expect(tellEntries(entries)).toEqual(plainEntries(log));
  expect(tellOutput(entries)).toEqual(plainOutput(log));
  const keys = entries.map(({ key }) => key);
  expect(keys).toEqual([...new Set(keys)].sort((one, other) => one - other));
  for (const entry of entries) if (entry.kind === "output") checkOutput(entry, log);
}

function checkOutput({ key, last, invocationId, chunks }: OutputEntry, log: readonly Activity[]): void {
  const chars = chunks.reduce((sum, { text }) => sum + text.length, 0);
  expect(chunks.length <= MOST_CHUNKS && (chunks.length === 1 || chars <= OUTPUT_CHARS)).toBe(true);
  // Nothing else of the run happened within it.
  const within = log.filter((one) => key <= one.offset && one.offset <= last && one.invocationId === invocationId);
  expect(within.map(({ offset }) => offset)).toEqual(chunks.map(({ offset }) => offset));
}

describe("step by step", () => {
  test("any order of adding and dropping at both ends gives the entries of what is held", () => {
    forSeeds(25, (chance) => {
      const log = logOf(chance, 600);
      let [from, to] = [300, 300];
      const entries = new Entries();
      for (let step = 0; step < 40; step += 1) {
        const count = chance.below(40);
        const kind = chance.below(5);
        if (kind <= 1) {
          entries.append(log.slice(to, to + count));
          to = Math.min(log.length, to + count);
        } else if (kind === 2) {
          const before = entries.list;
          const page = log.slice(Math.max(0, from - count), from);
          const added = entries.prepend(page);
          from -= page.length;
          expect(entries.list.slice(0, added).every(({ key }) => key <= (page.at(-1)?.offset ?? 0))).toBe(true);
          expect(entries.list.length - added).toBeLessThanOrEqual(before.length);
        } else if (kind === 3) {
          const before = entries.length;
          from = Math.min(to, from + (count >> 1));
          const fewer = entries.trimBefore(log[from]?.offset ?? log.length + 1);
          expect(entries.length).toBe(before - fewer);
        } else {
          to = Math.max(from, to - (count >> 1));
          entries.trimAfter(log[to - 1]?.offset ?? 0);
        }
        check(entries.list, log.slice(from, to));
      }
    });
  });

  test("entries that did not change are the same objects, and those that did have another version", () => {
    forSeeds(20, (chance) => {
      const entries = new Entries();
      let known = new Map<number, Entry>();
      for (let offset = 1; offset < 200; offset += 1) {
        entries.append([stored(act(chance), offset)]);
        const now = new Map(entries.list.map((entry) => [entry.key, entry]));
        let changed = 0;
        for (const [key, entry] of now) {
          const before = known.get(key);
          if (before === entry) continue;
          changed += 1;
          if (before) expect(entry.version).toBeGreaterThan(before.version);
        }
        expect(changed).toBe(1);
        known = now;
      }
    });
  });
});

describe("what belongs together", () => {
  const at = (offset: number, type: string, data: Record<string, unknown>, invocationId = "run-1"): Activity =>
    stored({ type, data, invocationId }, offset);
  const call = (offset: number, id = "c") => at(offset, "tool_call", { toolCallId: id, name: "bash" });
  const result = (offset: number, id = "c") => at(offset, "tool_result", { toolCallId: id, output: "x", isError: true });

  test("a call and its result are one entry at the call's place, whatever came between", () => {
    const [entry, other] = made(call(1), at(2, "message", { text: "between" }), result(3));
    expect(entry).toMatchObject({ kind: "tool", key: 1, last: 3, name: "bash", isError: true, endedAt: result(3).timestamp });
    expect(other?.kind).toBe("message");
  });

  test("a result without its call stands for itself until the call is paged in, and again when that goes", () => {
    const entries = new Entries();
    entries.append([at(5, "message", { text: "m" }), result(6)]);
    expect(entries.list.map(({ key }) => key)).toEqual([5, 6]);
    expect(entries.list[1]).toMatchObject({ kind: "tool", call: undefined });
    expect(entries.prepend([call(3), at(4, "error", {})])).toBe(2);
    expect(entries.list.map(({ key }) => key)).toEqual([3, 4, 5]);
    expect(entries.trimBefore(4)).toBe(0);
    expect(entries.list.map(({ key }) => key)).toEqual([4, 5, 6]);
  });

  test("calls of other runs under the same id are other calls", () => {
    const other = at(2, "tool_result", { toolCallId: "c", output: "x" }, "run-2");
    expect(made(call(1), other).map(({ key }) => key)).toEqual([1, 2]);
  });

  test("a series is its pieces until the whole text comes", () => {
    const piece = (offset: number, text: string) => at(offset, "message", { seriesId: "s", delta: true, text });
    const final = at(9, "message", { seriesId: "s", final: true, role: "assistant", text: "Hello, world." });
    expect(made(piece(1, "Hel"), piece(2, "lo"))[0]).toMatchObject({ text: "Hello", open: true });
    expect(made(piece(1, "Hel"), piece(2, "lo"), final)).toMatchObject([{ key: 1, last: 9, text: "Hello, world.", open: false, role: "assistant" }]);
    expect(made(final), "history without pieces").toMatchObject([{ key: 9, text: "Hello, world.", open: false }]);
  });

  test("output goes on in its entry while other runs print theirs, up to a bound", () => {
    const print = (offset: number, run: string, text = "x") => at(offset, "output", { stream: "stdout", text }, run);
    expect(made(print(1, "a"), print(2, "b"), print(3, "a"), print(4, "b")).map(({ key }) => key)).toEqual([1, 2]);
    expect(made(print(1, "a"), at(2, "error", {}, "a"), print(3, "a")).map(({ key }) => key)).toEqual([1, 2, 3]);
    expect(made(print(1, "a"), print(2 + OUTPUT_REACH, "a")).map(({ key }) => key)).toEqual([1, 2 + OUTPUT_REACH]);
    const many = made(...Array.from({ length: MOST_CHUNKS + 1 }, (_, index) => print(index + 1, "a")));
    expect(many.map(({ key }) => key)).toEqual([1, MOST_CHUNKS + 1]);
    const half = "y".repeat(OUTPUT_CHARS / 2);
    expect(made(print(1, "a", half), print(2, "a", half), print(3, "a")).map(({ key }) => key)).toEqual([1, 3]);
  });

  test("what a sub-agent does names the call that it works for", () => {
    const [own, agents] = made(call(1), at(2, "message", { text: "m", parentToolCallId: "c" }));
    expect([own?.parent, agents?.parent]).toEqual([undefined, "c"]);
  });

  test("payloads of any form are entries", () => {
    const odd = [{ text: 7 }, { text: null }, { text: { a: 1 }, role: [] }, { seriesId: 5, final: "yes" }, { toolCallId: {}, name: [] }];
    const types = ["message", "thinking", "output", "tool_call", "tool_result", "status", "nothing_known"];
    const log = types.flatMap((type, row) => odd.map((data, column) => at(row * 10 + column + 1, type, data, `run-${column.toString()}`)));
    expect(made(...log).flatMap((entry) => (entry.kind === "output" ? entry.chunks.map(({ offset }) => offset) : [entry.key])).length).toBe(log.length);
  });
});

test("a frame of a busy log costs what came, not what is held", () => {
  const chance = new Chance(7);
  const log = logOf(chance, 8_000);
  const entries = new Entries();
  entries.append(log.slice(0, 5_000));
  const kept = entries.list;
  entries.append(log.slice(5_000, 5_008));
  const same = entries.list.filter((entry, index) => entry === kept[index]).length;
  expect(kept.length - same).toBeLessThanOrEqual(8);
});
