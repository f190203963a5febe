import { describe, expect, it } from "vitest";
import { columnsOf } from "../src/model/strip.ts";
import { nested, spansOf } from "../src/model/spans.ts";
import { chartOf, MOST_ROWS } from "../src/task/waterfall-chart.ts";
import { ticksIn } from "../src/task/waterfall-axis.tsx";
import { activity, numbers, START } from "./lanes-data.ts";

describe("the strip", () => {
  it("has every activity once, in order, and every error", () => {
    const next = numbers(3);
    for (let round = 0; round < 100; round += 1) {
      const log = Array.from({ length: next(400) }, (_, index) => activity(index + 1, "run", next(9) === 0 ? "error" : "message", {}, START + next(1e6)));
      const columns = columnsOf(log, 50);
      expect(columns.length).toBe(Math.min(50, log.length));
      columns.forEach(({ first }, index) => {
        expect(first).toBe((columns[index - 1]?.last ?? 0) + 1);
      });
      expect(columns[columns.length - 1]?.last).toBe(log.length === 0 ? undefined : log.length);
      expect(columns.reduce((sum, { errors }) => sum + errors, 0)).toBe(log.filter(({ type }) => type === "error").length);
      expect(columns.every(({ perSecond }) => 0 < perSecond && Number.isFinite(perSecond))).toBe(true);
    }
  });

  it("marks where nothing came for long", () => {
    const log = [activity(1, "run", "message", {}, 0), activity(2, "run", "message", {}, 299_999), activity(3, "run", "message", {}, 700_000)];
    expect(columnsOf(log, 10).map(({ silent }) => silent)).toEqual([0, 0, 400_001]);
  });
});

describe("a waterfall", () => {
  const calls = (many: number): ReturnType<typeof activity>[] =>
    Array.from({ length: many }, (_, index) => [
      activity(index * 2 + 1, `r${(index % 2).toString()}`, "tool_call", { toolCallId: index.toString(), name: "bash" }, START + index * 1_000),
      activity(index * 2 + 2, `r${(index % 2).toString()}`, "tool_result", { toolCallId: index.toString() }, START + index * 1_000 + 500),
    ]).flat();
  const options = { invocation: undefined, zoom: undefined, horizon: START };

  it("draws the newest calls and sums up the rest", () => {
    const log = calls(MOST_ROWS + 20);
    const chart = chartOf(nested(spansOf(log)), log, options);
    expect([chart.rows.length, chart.left, chart.calls]).toEqual([MOST_ROWS, { calls: 20, millis: 10_000 }, MOST_ROWS + 20]);
  });

  it("shows one run, and the part of the time that is looked at", () => {
    const log = calls(20);
    const rows = nested(spansOf(log));
    expect(chartOf(rows, log, { ...options, invocation: "r1" }).calls).toBe(10);
    const zoomed = chartOf(rows, log, { ...options, zoom: { from: START + 3_000, to: START + 5_200 } });
    expect(zoomed.rows.map(({ span }) => span.offset)).toEqual([7, 9, 11]);
    expect([zoomed.axis.from, zoomed.axis.to]).toEqual([START + 3_000, START + 5_200]);
  });

  it("has ticks that do not overlap, however it is folded", () => {
    const log = calls(30).map((one) => (one.offset <= 30 ? one : { ...one, timestamp: one.timestamp + 3_600_000 }));
    const { axis } = chartOf(nested(spansOf(log)), log, options);
    expect(axis.gaps).toHaveLength(1);
    for (const width of [60, 200, 900]) {
      const ticks = ticksIn(axis, width);
      expect(ticks.length).toBeLessThanOrEqual(width / 50 + 1);
      ticks.forEach(({ x }, index) => {
        if (index !== 0) expect(x - (ticks[index - 1]?.x ?? 0)).toBeGreaterThanOrEqual(57);
      });
    }
  });
});
