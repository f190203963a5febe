/**
 * Whether a run that says it is at work stands still, by evidence: what it said last, and how long ago. The same rule as the hub's, so that the page
 * can tell it the moment it becomes true. The hub alone hears heartbeats, so that those have stopped is its word.
 */
import type { Activity, Status } from "tasklight/viewer";
import { textOf } from "./fields.ts";

/** Nothing was heard of a run for so long. */
export const SILENT_AFTER_MS = 300_000;

/** A tool that was called has not answered for so long. Tools may well be silent for longer than agents. */
export const TOOL_OPEN_AFTER_MS = 600_000;

/** What a run waits for, as far as that is known. */
export type StallKind = "approval" | "prompt" | "tool" | "silence" | "hub";

export interface Stall {
  readonly kind: StallKind;
  /** Since when, in epoch milliseconds. */
  readonly since: number;
  /** What to tell a person, without the time. */
  readonly reason: string;
}

/** What is known of a run. */
export interface Evidence {
  readonly status: Status;
  /** It was recorded after the fact: its silence means nothing. */
  readonly backfilled: boolean;
  /** The last thing that it said, if that is held. */
  readonly last: Activity | undefined;
  /** When it was last heard of, by the hub's clock. */
  readonly lastAt: number;
  /** The hub's own word, if nothing was said since. */
  readonly told: { readonly reason: string; readonly since: number } | undefined;
}

/** What the hub's reasons are called on the page. Others are shown as they are. */
const HUB_REASONS: ReadonlyMap<string, string> = new Map([
  ["waiting", "waiting for a person"],
  ["waiting_for_person", "waiting for a person"],
  ["waitingForPerson", "waiting for a person"],
  ["tool_open", "a tool has not answered"],
  ["toolOpen", "a tool has not answered"],
  ["heartbeats_stopped", "heartbeats stopped"],
  ["heartbeatsStopped", "heartbeats stopped"],
  ["no_activity", "no activity"],
  ["noActivity", "no activity"],
]);

/** Why the run stands still at `now`; nothing if it does not. */
export function stallOf(run: Evidence, now: number): Stall | undefined {
  if (run.status !== "running" || run.backfilled) return undefined;
  const { last, lastAt, told } = run;
  const silent = now - lastAt;
  const custom = last?.type === "custom" ? textOf(last.data, "name") : undefined;
  if (custom === "needs_approval") return { kind: "approval", since: lastAt, reason: asked(last) };
  if (last?.type === "status" && textOf(last.data, "reason") === "waiting for a prompt") {
    return SILENT_AFTER_MS <= silent ? { kind: "prompt", since: lastAt, reason: "waiting for a person: the next prompt" } : undefined;
  }
  if (told) return { kind: "hub", since: told.since, reason: HUB_REASONS.get(told.reason) ?? told.reason };
  if (last?.type === "tool_call") {
    if (silent < TOOL_OPEN_AFTER_MS) return undefined;
    return { kind: "tool", since: lastAt, reason: `the tool ${textOf(last.data, "name") ?? "it called"} has not answered` };
  }
  return SILENT_AFTER_MS <= silent ? { kind: "silence", since: lastAt, reason: "no activity" } : undefined;
}

function asked(last: Activity | undefined): string {
  const tool = textOf(last?.data, "tool");
  return tool === undefined ? "waiting for a person's approval" : `waiting for a person to approve ${tool}`;
}
