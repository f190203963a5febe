import { describe, expect, it } from "vitest";
import type { Activity } from "tasklight/viewer";
import { type Run, runsOf } from "../src/model/runs.ts";
import { lanesOf, SHOWN_OVER } from "../src/model/lanes.ts";
import { activity, details, invocation, numbers, START } from "./lanes-data.ts";

const status = (offset: number, name: string, more: object = {}, run = "run"): Activity => activity(offset, run, "status", { status: name, ...more });
const message = (offset: number, run = "run"): Activity => activity(offset, run, "message", { text: "hi" });
const only = (runs: readonly Run[]): Run => {
  const [run] = runs;
  if (!run || runs.length !== 1) throw new Error(`${runs.length.toString()} runs`);
  return run;
};
const second = (offset: number): number => START + offset * 1_000;

describe("a run as the hub and its activities tell it", () => {
  it("is what the hub says where nothing is newer", () => {
    const told = invocation("run", { status: "failed", agent: "claude", title: "T", reason: "broken", completedAt: second(9), usage: { inputTokens: 5 } });
    const run = only(runsOf([status(1, "running"), message(2)], details(2, [told])));
    expect(run).toMatchObject({ status: "failed", agent: "claude", title: "T", reason: "broken", endedAt: second(9), counts: { activities: 2 }, first: 1, last: 2 });
    expect(run.usage?.input).toBe(5);
  });

  it("is never older than its activities", () => {
    const told = invocation("run", { lastActivityAt: second(1) });
    const log = [message(2), activity(3, "run", "usage", { inputTokens: 9 }), status(4, "completed", { title: "New", exitCode: 0 })];
    const run = only(runsOf(log, details(1, [told])));
    expect(run).toMatchObject({ status: "completed", title: "New", exitCode: 0, endedAt: second(4), lastAt: second(4) });
    expect(run.usage?.input).toBe(9);
  });

  it("does not go back to what was before the hub's answer", () => {
    const told = invocation("run", { status: "completed", completedAt: second(3), usage: { inputTokens: 9 } });
    const log = [status(1, "running", { reason: "old" }), activity(2, "run", "usage", { inputTokens: 1 }), status(3, "completed")];
    expect(only(runsOf(log, details(3, [told])))).toMatchObject({ status: "completed", reason: undefined, usage: { input: 9 } });
  });

  const moves: readonly (readonly [from: "pending" | "running" | "completed" | "lost", said: readonly Activity[], to: string, over: boolean])[] = [
    ["pending", [message(2)], "running", false],
    ["lost", [message(2)], "running", false],
    ["lost", [status(2, "completed")], "completed", true],
    ["running", [status(2, "pending")], "running", false],
    ["running", [status(2, "nonsense")], "running", false],
    ["completed", [status(2, "running")], "completed", true],
    ["completed", [message(2)], "completed", true],
    ["running", [status(2, "lost"), message(3)], "running", false],
  ];
  it.each(moves)("from %s", (from, said, to, over) => {
    const run = only(runsOf(said, details(1, [invocation("run", { status: from, completedAt: from === "completed" || from === "lost" ? second(1) : null })])));
    expect([run.status, run.endedAt !== undefined]).toEqual([to, over]);
  });

  it("is known from its activities alone", () => {
    const run = only(runsOf([status(5, "running", { agent: "codex", title: "T" }), message(6)], undefined));
    expect(run).toMatchObject({ id: "run", status: "running", agent: "codex", title: "T", startedAt: second(5), endedAt: undefined });
  });

  it("stands still by the hub's word only until it says something", () => {
    const told = invocation("run", { stalled: true, stalledReason: "heartbeat", stalledSince: START, lastActivityAt: second(1) });
    expect(only(runsOf([message(1)], details(1, [told]))).stallAt(second(2))?.kind).toBe("hub");
    expect(only(runsOf([message(1), message(2)], details(1, [told]))).stallAt(second(2))).toBeUndefined();
  });

  it("is judged by the hub alone where its last activity is not held", () => {
    const told = invocation("run", { lastActivityAt: second(50) });
    const run = only(runsOf([activity(1, "run", "custom", { name: "needs_approval" })], details(50, [told])));
    expect(run.stallAt(START + 1e9)).toBeUndefined();
  });

  it("never stands still if it was recorded after the fact", () => {
    expect(only(runsOf([message(1)], details(1, [invocation("run", { backfilled: true })]))).stallAt(START + 1e9)).toBeUndefined();
  });

  it("counts every activity in one run", () => {
    const next = numbers(5);
    const types = ["message", "tool_call", "tool_result", "error", "status", "usage", "custom"] as const;
    for (let round = 0; round < 100; round += 1) {
      const log = Array.from({ length: next(80) }, (_, index) => activity(index + 1, `r${next(4).toString()}`, types[next(types.length)] ?? "message", { status: "running", parentToolCallId: next(2) === 0 ? `c${next(3).toString()}` : "" }));
      const runs = runsOf(log, next(2) === 0 ? undefined : details(next(80), [invocation("r1"), invocation("quiet")]));
      expect(runs.reduce((sum, { counts }) => sum + counts.activities, 0)).toBe(log.length);
      for (const { counts, subAgents } of runs) expect(subAgents.reduce((sum, sub) => sum + sub.counts.activities, 0)).toBeLessThanOrEqual(counts.activities);
    }
  });
});

const started = (offset: number, id: string, more: object = {}, run = "run"): Activity =>
  activity(offset, run, "tool_call", { toolCallId: id, name: "Task", input: { subagent_type: "Explore", description: `Do ${id}` }, ...more });
const within = (offset: number, parent: string, run = "run"): Activity => activity(offset, run, "message", { text: "x", parentToolCallId: parent });
const ended = (offset: number, id: string, more: object = {}): Activity => activity(offset, "run", "tool_result", { toolCallId: id, ...more });

describe("sub-agents", () => {
  it("have the name, times and end of the call that started them", () => {
    const run = only(runsOf([started(1, "t"), within(2, "t"), within(3, "t"), ended(6, "t", { isError: true })], undefined));
    expect(run.subAgents).toMatchObject([{ scope: "t", agent: "Explore", title: "Do t", status: "failed", startedAt: second(1), endedAt: second(6), counts: { activities: 2 }, first: 2, last: 3 }]);
  });

  it.each([
    ["running", [], undefined],
    ["lost", [status(9, "failed")], second(9)],
  ] as const)("without an end are %s", (expected, more, endedAt) => {
    expect(only(runsOf([started(1, "t"), within(2, "t"), ...more], undefined)).subAgents).toMatchObject([{ status: expected, endedAt }]);
  });

  it("are told apart by their own name where no call is named", () => {
    const log = [activity(1, "run", "tool_call", { name: "Bash", agentId: "a1", agentType: "Plan" }), activity(2, "run", "tool_call", { name: "Bash" })];
    expect(only(runsOf(log, undefined)).subAgents).toMatchObject([{ scope: "a1", agent: "Plan", counts: { tools: 1 } }]);
  });
});

const choice = { text: "", all: false, selected: undefined, turned: new Set<string>() };
const shape = (runs: readonly Run[], more: Partial<typeof choice> = {}): string[] =>
  lanesOf(runs, { ...choice, ...more }).lanes.map(({ id, depth }) => `${id.replace("\n", "/")}@${depth.toString()}`);

describe("lanes", () => {
  it("put what works first, and sub-agents below what started them", () => {
    const log = [status(1, "completed", {}, "old"), started(2, "t"), started(3, "u", { parentToolCallId: "t" }), within(4, "u"), message(5, "young"), status(6, "completed", {}, "young")];
    expect(shape(runsOf(log, undefined))).toEqual(["run@0", "run/t@1", "run/u@2", "young@0", "old@0"]);
  });

  it("fold sub-agents, and show those of a long run that is over when asked to", () => {
    const log = [started(1, "t"), started(2, "u", { parentToolCallId: "t" }), within(3, "u")];
    expect(shape(runsOf(log, undefined), { turned: new Set(["run\nt"]) })).toEqual(["run@0", "run/t@1"]);
    const many = [...[1, 2, 3, 4, 5].map((one) => within(one, `c${one.toString()}`)), status(9, "completed")];
    expect(shape(runsOf(many, undefined))).toEqual(["run@0"]);
    expect(shape(runsOf(many, undefined), { turned: new Set(["run"]) })).toHaveLength(6);
  });

  it("show sub-agents that lie in a circle", () => {
    const log = [started(1, "t", { parentToolCallId: "u" }), started(2, "u", { parentToolCallId: "t" })];
    expect(shape(runsOf(log, undefined))).toEqual(["run@0", "run/u@1", "run/t@1"]);
  });

  it("put the runs of imported sub-agents below their session", () => {
    expect(shape(runsOf([message(1, "s1"), message(2, "s1/agent-7"), message(3, "gone/agent-8")], undefined))).toEqual(["gone/agent-8@0", "s1@0", "s1/agent-7@1"]);
  });

  it("fold what is over beyond the first few, but not what is selected, looked for, or at work", () => {
    const log = Array.from({ length: 40 }, (_, index) => status(index + 1, index < 30 ? "completed" : "running", {}, `r${index.toString()}`));
    const runs = runsOf(log, undefined);
    expect(lanesOf(runs, choice)).toMatchObject({ lanes: { length: 10 + SHOWN_OVER }, folded: 30 - SHOWN_OVER });
    expect(shape(runs, { selected: "r0" as never })).toContain("r0@0");
    expect(lanesOf(runs, { ...choice, all: true })).toMatchObject({ lanes: { length: 40 }, folded: 0 });
    expect(lanesOf(runs, { ...choice, text: " R2 " })).toMatchObject({ lanes: { length: 11 }, folded: 0, filtered: 29 });
  });
});
