import { describe, expect, it } from "vitest";
import { barsPath, BUCKET_MS, BUCKETS, levelOf, Pulses, pulseWords } from "../src/model/sparkline.ts";
import { NOON } from "./summary.ts";

const MINUTE = BUCKET_MS;
const history = (until: number, ...last: number[]): { until: number; bucketMs: number; counts: number[] } => ({
  until,
  bucketMs: MINUTE,
  counts: [...Array.from({ length: BUCKETS - last.length }, () => 0), ...last],
});

describe("activity by the minute", () => {
  it("is nothing for a task that nobody counted", () => {
    expect(new Pulses().counts("a", NOON)).toEqual(Array.from({ length: BUCKETS }, () => 0));
  });

  it("counts each minute apart, the running one last", () => {
    const pulses = new Pulses();
    pulses.add("a", 2, NOON - MINUTE);
    pulses.add("a", 3, NOON);
    pulses.add("a", 4, NOON + MINUTE - 1);
    pulses.add("b", 9, NOON);
    expect(pulses.counts("a", NOON).slice(-3)).toEqual([0, 2, 7]);
    expect(pulses.counts("a", NOON + 2 * MINUTE).slice(-4)).toEqual([2, 7, 0, 0]);
  });

  it("forgets what is older than it shows, also after a long silence", () => {
    const pulses = new Pulses();
    pulses.add("a", 5, NOON);
    expect(pulses.counts("a", NOON + (BUCKETS - 1) * MINUTE)[0]).toBe(5);
    expect(pulses.counts("a", NOON + BUCKETS * MINUTE).every((count) => count === 0)).toBe(true);
    pulses.add("a", 1, NOON + 100 * MINUTE);
    expect(pulses.counts("a", NOON + 100 * MINUTE)).toEqual([...Array.from({ length: BUCKETS - 1 }, () => 0), 1]);
    pulses.add("a", 7, NOON);
    expect(pulses.counts("a", NOON + 100 * MINUTE).at(-1)).toBe(1);
  });

  it("puts what comes late into its own minute", () => {
    const pulses = new Pulses();
    pulses.add("a", 1, NOON);
    pulses.add("a", 6, NOON - 2 * MINUTE);
    expect(pulses.counts("a", NOON).slice(-3)).toEqual([6, 0, 1]);
  });

  it("goes on where the hub's memory ends, and counts nothing twice", () => {
    const pulses = new Pulses();
    pulses.add("a", 4, NOON);
    // The hub has the same four and one from before this page, in the minute that runs.
    pulses.remember("a", history(NOON + MINUTE, 8, 5));
    expect(pulses.counts("a", NOON).slice(-2)).toEqual([8, 5]);
    pulses.add("a", 10, NOON + MINUTE);
    expect(pulses.counts("a", NOON + MINUTE).slice(-3)).toEqual([8, 5, 10]);
    pulses.remember("a", history(NOON + 2 * MINUTE, 9));
    expect(pulses.counts("a", NOON + MINUTE).slice(-3)).toEqual([0, 4, 10]);
  });

  it("forgets a task", () => {
    const pulses = new Pulses();
    pulses.add("a", 4, NOON);
    pulses.remember("a", history(NOON + MINUTE, 8));
    pulses.forget("a");
    expect(Math.max(...pulses.counts("a", NOON))).toBe(0);
  });
});

describe("a sparkline", () => {
  const last = (...counts: number[]): number[] => [...Array.from({ length: BUCKETS - counts.length }, () => 0), ...counts];

  it("says in words what the last five minutes had", () => {
    expect(pulseWords(last(100, 1, 2, 3, 4, 5))).toBe("15 activities in the last 5 min");
    expect(pulseWords(last(1))).toBe("1 activity in the last 5 min");
    expect(pulseWords(last(100, 0, 0, 0, 0, 0))).toBe("0 activities in the last 5 min");
  });

  it.each([[last(9, 0, 0, 0, 0, 0), "idle"], [last(1), "some"], [last(600), "much"]] as const)("is coloured by them", (counts, level) => {
    expect(levelOf(counts)).toBe(level);
  });

  it("has a bar for each minute with something in it, within its box", () => {
    expect(barsPath(last(), 96, 22)).toBe("");
    const path = barsPath(last(1_000_000, 0, 1), 96, 22);
    const bars = [...path.matchAll(/M([\d.]+) 22v-([\d.]+)h([\d.]+)v\2z/g)].map(([, x, tall, wide]) => [x, tall, wide].map(Number));
    expect(bars).toHaveLength(2);
    for (const [x = Number.NaN, tall = Number.NaN, wide = Number.NaN] of bars) {
      expect(x + wide).toBeLessThanOrEqual(96);
      expect(tall).toBeGreaterThan(1);
      expect(tall).toBeLessThanOrEqual(22);
    }
    expect(bars[0]?.[1]).toBe(22);
  });
});
