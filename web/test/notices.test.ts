import { describe, expect, it } from "vitest";
import { isTold, MOST_TOLD, type Notice, Notices } from "../src/model/notices.ts";
import type { Summary } from "../src/model/tasks.ts";
import { NOON, summary } from "./summary.ts";

const waiting = (since: number): Partial<Summary> => ({ stalled: { count: 1, reason: "waiting", since, invocationId: "r" } });
const idle: Partial<Summary> = { stalled: { count: 1, reason: "idle", since: NOON, invocationId: "r" } };
const failed = (count = 1): Partial<Summary> => ({ status: "failed", invocationCounts: { failed: count } });

describe("what is worth telling", () => {
  it.each<[string, Partial<Summary> | undefined, Partial<Summary>, Notice["kind"] | undefined]>([
    ["a failure", {}, failed(), "failed"],
    ["a loss", {}, { status: "lost", invocationCounts: { lost: 1 } }, "lost"],
    ["somebody is needed", {}, waiting(NOON), "waiting"],
    ["somebody is needed by what only stood still", idle, waiting(NOON), "waiting"],
    ["a good end is not", {}, { status: "completed" }, undefined],
    ["silence is not", {}, idle, undefined],
    ["more of the same is not", failed(), { ...failed(), head: 9 }, undefined],
    ["a task that was not known is not", undefined, failed(), undefined],
    ["another life of a task is not", { epoch: "e0" }, failed(), undefined],
    ["the end of waiting is not", waiting(NOON), {}, undefined],
  ])("%s", (_, before, after, kind) => {
    const notice = new Notices().hear(before && summary("a", before), summary("a", after));
    expect(notice?.kind).toBe(kind);
  });

  it("is told once, and again when it happens again", () => {
    const notices = new Notices();
    const hear = (before: Partial<Summary>, after: Partial<Summary>): boolean => notices.hear(summary("a", before), summary("a", after)) !== undefined;
    expect(hear({}, failed(1))).toBe(true);
    expect(hear({}, failed(1))).toBe(false);
    expect(hear({}, failed(2))).toBe(true);
    expect(hear({}, waiting(NOON))).toBe(true);
    expect(hear({}, waiting(NOON))).toBe(false);
    expect(hear({}, waiting(NOON + 1))).toBe(true);
  });

  it("works with a hub that says nothing of stalls", () => {
    const { stalled: _, ...old } = summary("a");
    expect(new Notices().hear(old, { ...old, status: "failed" })?.title).toBe("a failed");
  });

  it("remembers a bounded number of events", () => {
    const notices = new Notices();
    const hear = (id: string): boolean => notices.hear(summary(id), summary(id, failed())) !== undefined;
    for (let n = 0; n <= MOST_TOLD; n += 1) hear(`t${n.toString()}`);
    expect(hear(`t${MOST_TOLD.toString()}`)).toBe(false);
    expect(hear("t0")).toBe(true);
  });
});

describe("whether somebody is told", () => {
  const notice = new Notices().hear(summary("a"), summary("a", failed())) as Notice;
  it.each([
    [true, "a", true],
    [false, "a", false],
    [false, "b", true],
    [false, undefined, true],
  ])("hidden %s, looking at %s: %s", (hidden, task, told) => {
    expect(isTold(notice, { hidden, task })).toBe(told);
  });
});
