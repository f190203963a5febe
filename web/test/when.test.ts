import { describe, expect, it } from "vitest";
import { exact, iso, relative, span } from "../src/ui/when.ts";

const S = 1_000;
const MIN = 60 * S;
const H = 60 * MIN;
const D = 24 * H;
const NOW = new Date(2026, 5, 15, 12).getTime();

describe("times as words", () => {
  it.each([
    [-5 * S, "just now"],
    [0, "just now"],
    [10 * S, "10 s ago"],
    [59 * S, "50 s ago"],
    [MIN, "1 min ago"],
    [H - 1, "59 min ago"],
    [H, "1 h ago"],
    [D, "1 d ago"],
    [7 * D, "Jun 8"],
    [300 * D, "Aug 19, 2025"],
  ])("%d ms ago is %j", (ago, words) => {
    expect(relative(NOW - ago, NOW)).toBe(words);
  });

  it.each([[-1, "0 s"], [59 * S, "59 s"], [MIN, "1 min"], [2 * H, "2 h"], [3 * D, "3 d"]])("%d ms is %j", (millis, words) => {
    expect(span(millis)).toBe(words);
  });

  it("is exact to the millisecond, and survives what is no time", () => {
    expect(exact(NOW + 7)).toMatch(/12:00:00.007/);
    expect(iso(0)).toBe("1970-01-01T00:00:00.000Z");
    expect([exact(9e15), iso(Number.NaN), exact(Number.NaN)]).toEqual(["unknown time", "", "unknown time"]);
  });
});
