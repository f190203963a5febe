import { describe, expect, it } from "vitest";
import type { Activity } from "tasklight/viewer";
import { nested, type Span, spansOf, tellingPart } from "../src/model/spans.ts";
import { activity, numbers, START } from "./lanes-data.ts";

const call = (offset: number, id: string | undefined, more: object = {}, run = "run"): Activity =>
  activity(offset, run, "tool_call", { name: "bash", ...(id !== undefined && { toolCallId: id }), ...more });
const result = (offset: number, id: string | undefined, more: object = {}, run = "run"): Activity =>
  activity(offset, run, "tool_result", { output: "", ...(id !== undefined && { toolCallId: id }), ...more });
const status = (offset: number, name: string, run = "run"): Activity => activity(offset, run, "status", { status: name });
const second = (offset: number): number => START + offset * 1_000;

type Told = Pick<Span, "offset" | "resultOffset" | "start" | "end" | "outcome" | "hasCall">;
const told = ({ offset, resultOffset, start, end, outcome, hasCall }: Span): Told => ({ offset, resultOffset, start, end, outcome, hasCall });

describe("calls and results", () => {
  const table: readonly (readonly [what: string, log: readonly Activity[], spans: readonly Partial<Told>[]])[] = [
    ["a pair", [call(1, "a"), result(4, "a")], [{ offset: 1, resultOffset: 4, start: second(1), end: second(4), outcome: "done" }]],
    ["a failure", [call(1, "a"), result(2, "a", { isError: true })], [{ outcome: "error" }]],
    ["an open call", [call(1, "a")], [{ end: undefined, outcome: "open" }]],
    ["a result before its call", [result(1, "a"), call(3, "a")], [{ offset: 1, hasCall: true, outcome: "done", start: second(1), end: second(1) }]],
    ["a result whose call is not held", [result(5, "a")], [{ offset: 5, hasCall: false, start: second(5), end: second(5), outcome: "done" }]],
    ["crossed pairs", [call(1, "a"), call(2, "b"), result(3, "a"), result(4, "b")], [{ resultOffset: 3 }, { resultOffset: 4 }]],
    ["the same id in another run", [call(1, "a"), call(2, "a", {}, "other"), result(3, "a", {}, "other")], [{ outcome: "open" }, { resultOffset: 3 }]],
    ["an id used again after its end", [call(1, "a"), result(2, "a"), call(3, "a"), result(5, "a")], [{ end: second(2) }, { offset: 3, end: second(5) }]],
    ["an id used again before its end", [call(1, "a"), call(3, "a"), result(5, "a")], [{ outcome: "unanswered", end: second(3) }, { end: second(5) }]],
    ["a second result", [call(1, "a"), result(2, "a"), result(3, "a", { isError: true })], [{ resultOffset: 2, outcome: "done" }]],
    ["no ids, in turn", [call(1, undefined), result(2, undefined), call(3, undefined), result(4, undefined)], [{ resultOffset: 2 }, { resultOffset: 4 }]],
    ["a run that ends over its calls", [call(1, "a"), call(2, "b", {}, "other"), status(4, "failed")], [{ outcome: "unanswered", end: second(4) }, { outcome: "open" }]],
    ["a result after the end", [call(1, "a"), status(2, "lost"), result(5, "a")], [{ outcome: "done", end: second(5) }]],
    ["a run that goes on", [call(1, "a"), status(2, "running")], [{ outcome: "open" }]],
    ["no result, said so", [call(1, "a"), activity(3, "run", "custom", { name: "no_result", toolCallId: "a" })], [{ outcome: "unanswered", end: second(3) }]],
  ];
  it.each(table)("%s", (_, log, expected) => {
    expect(spansOf(log).map(told)).toMatchObject(expected);
    expect(spansOf(log)).toHaveLength(expected.length);
  });

  it("never end before they began, though clocks go backwards", () => {
    const log = [activity(1, "run", "tool_call", { toolCallId: "a" }, 5_000), activity(2, "run", "tool_result", { toolCallId: "a" }, 1_000)];
    expect(spansOf(log).map(told)).toMatchObject([{ start: 5_000, end: 5_000, outcome: "done" }]);
  });

  it("tell the agent's own clock, if both ends have it and it goes forwards", () => {
    const times = [[100, 350, 250], [350, 100, undefined], [100, undefined, undefined]] as const;
    for (const [from, to, own] of times) {
      const [span] = spansOf([call(1, "a", { sourceTimestamp: from }), result(2, "a", { sourceTimestamp: to })]);
      expect(span?.ownMillis).toBe(own);
    }
  });
});

describe("nesting", () => {
  const shape = (log: readonly Activity[]): string => nested(spansOf(log)).map(({ span, depth, below }) => `${span.offset.toString()}@${depth.toString()}+${below.toString()}`).join(" ");
  const table: readonly (readonly [what: string, log: readonly Activity[], shape: string])[] = [
    ["below the call that started them", [call(1, "t"), call(2, "x"), call(3, "a", { parentToolCallId: "t" })], "1@0+1 3@1+0 2@0+0"],
    ["deeper", [call(1, "t"), call(2, "u", { parentToolCallId: "t" }), call(3, "v", { parentToolCallId: "u" })], "1@0+2 2@1+1 3@2+0"],
    ["a parent that is not held", [call(7, "a", { parentToolCallId: "t" })], "7@0+0"],
    ["a parent of another run", [call(1, "t", {}, "other"), call(2, "a", { parentToolCallId: "t" })], "1@0+0 2@0+0"],
    ["its own parent", [call(1, "a", { parentToolCallId: "a" })], "1@0+0"],
    ["parents in a circle", [call(1, "a", { parentToolCallId: "b" }), call(2, "b", { parentToolCallId: "a" })], "1@0+1 2@1+0"],
  ];
  it.each(table)("%s", (_, log, expected) => {
    expect(shape(log)).toBe(expected);
  });

  it("shows every call once, whatever is told", () => {
    const next = numbers(11);
    for (let round = 0; round < 200; round += 1) {
      const log = Array.from({ length: next(60) }, (_, index) => {
        const id = next(6) === 0 ? undefined : `c${next(12).toString()}`;
        const parent = next(2) === 0 ? { parentToolCallId: `c${next(12).toString()}` } : {};
        const run = `r${next(2).toString()}`;
        const kind = next(5);
        return kind < 3 ? call(index + 1, id, parent, run) : kind === 3 ? result(index + 1, id, parent, run) : status(index + 1, next(2) === 0 ? "failed" : "running", run);
      });
      const spans = spansOf(log);
      const calls = log.filter(({ type }) => type === "tool_call").length;
      const offsets = nested(spans).map(({ span }) => span.offset);
      expect(new Set(offsets).size).toBe(offsets.length);
      expect([...offsets].sort((one, other) => one - other)).toEqual(spans.map(({ offset }) => offset));
      expect(spans.filter(({ hasCall }) => hasCall)).toHaveLength(calls);
      expect(spans.every(({ start, end }) => end === undefined || start <= end)).toBe(true);
      expect(nested(spans).reduce((most, { below }) => Math.max(most, below), 0)).toBeLessThanOrEqual(spans.length);
    }
  });

  it("bears a chain of thousands", () => {
    const log = Array.from({ length: 5_000 }, (_, index) => call(index + 1, `c${index.toString()}`, { parentToolCallId: `c${(index - 1).toString()}` }));
    expect(nested(spansOf(log))).toHaveLength(5_000);
  });
});

describe("the telling part of an input", () => {
  it.each([
    [{ command: "make\n  test" }, "make test"],
    [{ description: "d", file_path: "/a/b" }, "/a/b"],
    [{ command: ["bash", "-lc", "ls -1"] }, "ls -1"],
    [{ anything: "else", number: 1 }, "else"],
    ["plain", "plain"],
    [{ command: [] }, undefined],
    [{ count: 3 }, undefined],
    [null, undefined],
    [7, undefined],
  ])("%j", (input, expected) => {
    expect(tellingPart(input)).toBe(expected);
  });
});
