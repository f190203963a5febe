import { describe, expect, it } from "vitest";
import { type Busy, foldGaps, FOLDING, roundStep, ticksOf } from "../src/model/gaps.ts";
import { numbers } from "./lanes-data.ts";

const at = (from: number, to = from): Busy => ({ from: from * 1_000, to: to * 1_000 });

describe("folding", () => {
  const table: readonly (readonly [what: string, busy: readonly Busy[], to: number, gaps: readonly Busy[]])[] = [
    ["nothing long", [at(0, 10), at(15, 30)], 30, []],
    ["a long gap", [at(0, 10), at(300, 310)], 310, [at(10, 300)]],
    ["not what is short by itself", [at(0, 1), at(19, 20)], 20, []],
    ["not what is short beside the rest", [at(0, 600), at(630, 1_200)], 1_200, []],
    ["not where a long call goes on", [at(0, 400), at(5), at(390)], 400, []],
    ["several, each with its length", [at(0, 5), at(100, 105), at(400, 410)], 410, [at(5, 100), at(105, 400)]],
    ["what lies before the first and after the last", [at(100, 110)], 300, [at(0, 100), at(110, 300)]],
    ["all of it, when there are moments only", [at(0), at(100)], 100, [at(0, 100)]],
  ];
  it.each(table)("%s", (_, busy, to, gaps) => {
    expect(foldGaps(busy, at(0, to)).gaps.map(({ from, to: until }) => ({ from, to: until }))).toEqual(gaps);
  });

  it("gives an axis without length one place for everything", () => {
    const axis = foldGaps([at(5)], at(5, 5));
    expect([axis.at(0), axis.at(5_000), axis.timeAt(0.5)]).toEqual([0, 0, 5_000]);
  });

  it("keeps order and sum, and finds times again, whatever was going on", () => {
    const next = numbers(7);
    for (let round = 0; round < 300; round += 1) {
      const span = 1 + next(5_000_000);
      const busy = Array.from({ length: next(40) }, () => {
        const from = next(span * 2) - span / 2;
        return { from, to: from + (next(3) === 0 ? next(200_000) : 0) };
      });
      const axis = foldGaps(busy, { from: 0, to: span });
      const { stretches } = axis;
      expect(stretches.reduce((sum, { from, to }) => sum + (to - from), 0)).toBe(span);
      expect(stretches[0]).toMatchObject({ from: 0, x0: 0 });
      expect(stretches[stretches.length - 1]?.x1).toBeCloseTo(1, 9);
      stretches.forEach((one, index) => {
        const before = stretches[index - 1];
        if (before) expect([before.to, before.x1]).toEqual([one.from, one.x0]);
        if (one.kind === "gap") expect(busy.some(({ from, to }) => from < one.to && one.from < to)).toBe(false);
      });
      const gaps = axis.gaps.reduce((sum, { x0, x1 }) => sum + (x1 - x0), 0);
      if (axis.gaps.length !== stretches.length) expect(gaps).toBeLessThanOrEqual(FOLDING.most + 1e-9);
      let last = -1;
      for (let step = 0; step <= 50; step += 1) {
        const time = (span * step) / 50;
        const x = axis.at(time);
        expect(last <= x && x <= 1).toBe(true);
        expect(Math.abs(axis.timeAt(x) - time)).toBeLessThan(1);
        last = x;
      }
    }
  });
});

describe("ticks", () => {
  it("are round, within, and bounded", () => {
    expect(roundStep(1_700)).toBe(2_000);
    expect(roundStep(86_400_000 * 2.5)).toBe(86_400_000 * 3);
    expect(ticksOf(900, 5_100, 2_000, 40)).toEqual([2_000, 4_000]);
    expect(ticksOf(0, 1e9, 1, 40)).toHaveLength(40);
  });
});
