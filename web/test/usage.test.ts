import { describe, expect, it } from "vitest";
import { costText, countText, figuresOf, totalOf } from "../src/model/usage.ts";
import { durationText, roughly } from "../src/model/duration.ts";
import { toolKind } from "../src/model/tools.ts";

describe("figures", () => {
  it("are what was told, and nothing else", () => {
    const told = { inputTokens: 5, outputTokens: "7", cacheReadTokens: -1, costUsd: Number.NaN, turns: 2, model: "opus", nested: { a: 1 }, nothing: null };
    expect(figuresOf(told)).toEqual({
      input: 5,
      output: undefined,
      cacheRead: undefined,
      cacheWrite: undefined,
      costUsd: undefined,
      context: undefined,
      estimated: false,
      others: [["turns", "2"], ["model", "opus"], ["nested", '{"a":1}']],
    });
  });

  it("have a share of the context if both of its parts are told", () => {
    expect(figuresOf({ contextTokens: 50, contextWindow: 200 }).context).toBe(0.25);
    expect(figuresOf({ contextTokens: 50 }).context).toBeUndefined();
    expect(figuresOf({ contextTokens: 50, contextWindow: 0 }).context).toBeUndefined();
  });

  it("keep at most so many other fields, and so much of each", () => {
    const told = Object.fromEntries(Array.from({ length: 100 }, (_, index) => [`field${index.toString()}`, "x".repeat(1_000)]));
    const { others } = figuresOf(told);
    expect(others).toHaveLength(24);
    expect(Math.max(...others.map(([, text]) => text.length))).toBe(121);
  });
});

describe("a task's sum", () => {
  it("tells of how many runs each part is known: unknown is not zero", () => {
    const total = totalOf([{ inputTokens: 10, costUsd: 0.5 }, { inputTokens: 5, outputTokens: 2, estimated: true }, {}].map(figuresOf));
    expect(total).toEqual({
      input: { total: 15, runs: 2 },
      output: { total: 2, runs: 1 },
      cacheRead: { total: 0, runs: 0 },
      cacheWrite: { total: 0, runs: 0 },
      costUsd: { total: 0.5, runs: 1 },
      runs: 3,
      estimated: true,
    });
  });
});

describe("words", () => {
  it.each([[0, "0"], [999, "999"], [1_000, "1k"], [1_234, "1.23k"], [9_996, "10k"], [64_000, "64k"], [75_300, "75.3k"], [999_499, "999k"], [999_500, "1M"], [3_400_000, "3.4M"], [2e18, "2000000T"]])("%d tokens", (count, text) => {
    expect(countText(count)).toBe(text);
  });
  it.each([[0, "$0"], [0.00001, "< $0.0001"], [0.0031, "$0.0031"], [0.165912, "$0.17"], [12.4, "$12.40"], [99.996, "$100"], [504.3, "$504"], [1_234, "$1.23k"]])("%d dollars", (cost, text) => {
    expect(costText(cost)).toBe(text);
  });
  it.each([[-5, "0 ms"], [840, "840 ms"], [999.6, "1.00 s"], [9_960, "10.0 s"], [12_340, "12.3 s"], [59_949, "59.9 s"], [59_950, "1m 00s"], [252_000, "4m 12s"], [3_599_600, "1h 00m"], [3_840_000, "1h 04m"], [183_600_000, "2d 3h"]])("%d ms", (millis, text) => {
    expect(durationText(millis)).toBe(text);
  });
  it.each([[400, "0 s"], [59_400, "59 s"], [59_500, "1 min"], [240_000, "4 min"], [3_600_000, "1 h"], [172_800_000, "2 d"]])("about %d ms", (millis, text) => {
    expect(roughly(millis)).toBe(text);
  });
  it.each([["Bash", "run"], ["shell", "run"], ["Edit", "edit"], ["write_file", "edit"], ["Grep", "read"], ["read_file", "read"], ["web_search", "web"], ["WebFetch", "web"], ["Task", "agent"], ["github.create_issue", "other"]] as const)("%s", (name, kind) => {
    expect(toolKind(name)).toBe(kind);
  });
});
