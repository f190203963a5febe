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
  ["nothing of it is held", undefined, SILENT_AFTER_MS, "silence"],
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
    const run = { status: "running" as const, backfilled: false, last: call, lastAt: START };
    expect(stallOf({ ...run, told: { reason: "heartbeats_stopped", since: 5 } }, START)).toEqual({ kind: "hub", since: 5, reason: "heartbeats stopped" });
    expect(stallOf({ ...run, told: { reason: "something new", since: 5 } }, START)?.reason).toBe("something new");
  });

  it("names the tool that is to be approved", () => {
    expect(stallOf({ status: "running", backfilled: false, last: asks, lastAt: START, told: undefined }, START)?.reason).toContain("Bash");
  });
});
