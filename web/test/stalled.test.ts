import { describe, expect, it } from "vitest";
import type { Status } from "tasklight/viewer";
import { SILENT_AFTER_MS, type StallKind, stallOf, TOOL_OPEN_AFTER_MS } from "../src/model/stalled.ts";
import { activity, START } from "./lanes-data.ts";

const call = activity(1, "run", "tool_call", { name: "bash" }, START);
const said = activity(1, "run", "message", { text: "hi" }, START);
const asks = activity(1, "run", "custom", { name: "needs_approval", tool: "Bash" }, START);
const waits = activity(1, "run", "status", { status: "running", reason: "waiting for a prompt" }, START);
const other = activity(1, "run", "custom", { name: "plan" }, START);

const TABLE: readonly (readonly [what: string, last: typeof call | undefined, silent: number, kind: StallKind | undefined])[] = [
  ["a person is waited for at once", asks, 0, "approval"],
  ["and for as long as nothing comes", asks, SILENT_AFTER_MS * 10, "approval"],
  ["a prompt may take its time", waits, SILENT_AFTER_MS - 1, undefined],
  ["but not for ever", waits, SILENT_AFTER_MS, "prompt"],
  ["a tool may be silent for longer than an agent", call, SILENT_AFTER_MS, undefined],
  ["up to its own limit", call, TOOL_OPEN_AFTER_MS - 1, undefined],
  ["a tool that is open for too long", call, TOOL_OPEN_AFTER_MS, "tool"],
  ["an agent that says nothing for a while", said, SILENT_AFTER_MS - 1, undefined],
  ["an agent that says nothing for long", said, SILENT_AFTER_MS, "silence"],
  ["a custom activity of another name is no question", other, 0, undefined],
  ["nothing of it is held", undefined, SILENT_AFTER_MS * 10, undefined],
];

describe("whether a run stands still", () => {
  it.each(TABLE)("%s", (_, last, silent, kind) => {
    const run = { status: "running" as const, backfilled: false, last, lastAt: START, told: undefined };
    expect(stallOf(run, START + silent)?.kind).toBe(kind);
  });

  it.each(["pending", "completed", "failed", "cancelled", "lost"] satisfies Status[])("is not asked of one that is %s", (status) => {
    expect(stallOf({ status, backfilled: false, last: asks, lastAt: START, told: undefined }, START + 1e9)).toBeUndefined();
  });

  it("is not asked of what was recorded after the fact", () => {
    expect(stallOf({ status: "running", backfilled: true, last: asks, lastAt: START, told: undefined }, START + 1e9)).toBeUndefined();
  });

  it("takes the hub's word for what it alone can know, in words, and shows a new one as it is", () => {
    const word = (reason: string) => ({ kind: "stalled" as const, reason, since: 5 });
    const run = { status: "running" as const, backfilled: false, last: call, lastAt: START };
    expect(stallOf({ ...run, told: word("heartbeat") }, START)).toEqual({ kind: "hub", since: 5, reason: "heartbeats stopped" });
    expect(stallOf({ ...run, told: word("something new") }, START)?.reason).toBe("something new");
    expect(stallOf({ ...run, last: undefined, told: word("idle") }, START)?.reason).toBe("no activity");
  });

  it.each([
    ["approval", asks, 0],
    ["prompt", waits, SILENT_AFTER_MS],
    ["tool", call, TOOL_OPEN_AFTER_MS],
    ["hub", said, SILENT_AFTER_MS],
  ] as const)("tells the worst of its reasons beside stopped heartbeats: %s", (kind, last, silent) => {
    const told = { kind: "stalled" as const, reason: "heartbeat", since: START };
    expect(stallOf({ status: "running", backfilled: false, last, lastAt: START, told }, START + silent)?.kind).toBe(kind);
  });

  it("believes a hub that has looked at it since and thinks otherwise, because its thresholds may be others", () => {
    const run = { status: "running" as const, backfilled: false, last: said, lastAt: START };
    const fine = (at: number) => ({ ...run, told: { kind: "fine" as const, at: START + at } });
    expect(stallOf(fine(SILENT_AFTER_MS), START + SILENT_AFTER_MS * 2)).toBeUndefined();
    expect(stallOf(fine(SILENT_AFTER_MS - 1), START + SILENT_AFTER_MS * 2)?.kind).toBe("silence");
    expect(stallOf({ ...fine(SILENT_AFTER_MS), last: asks }, START)?.kind).toBe("approval");
  });

  it("names the tool that is to be approved", () => {
    expect(stallOf({ status: "running", backfilled: false, last: asks, lastAt: START, told: undefined }, START)?.reason).toContain("Bash");
  });
});
