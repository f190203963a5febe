/**
 * Whether a run that says it is at work stands still, by evidence: what it said last, and how long ago. The same rule as the hub's, so that the page
 * can tell it the moment it becomes true. The hub alone hears heartbeats, so that those have stopped is its word.
 */
import type { Activity, Status } from "tasklight/viewer";
import { textOf } from "./told.ts";

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

/** What the hub said of the run, if the run has said nothing since. */
export type HubWord =
  | { readonly kind: "stalled"; readonly reason: string; readonly since: number }
  /** It was asked at that time, and did not find the run stalled. Its thresholds may be others than these. */
  | { readonly kind: "fine"; readonly at: number };

/** What is known of a run. */
export interface Evidence {
  readonly status: Status;
  /** It was recorded after the fact: its silence means nothing. */
  readonly backfilled: boolean;
  /** The last thing that it said; nothing if that is not held, and then the hub's word is all that there is. */
  readonly last: Activity | undefined;
  /** When it was last heard of, by the hub's clock. */
  readonly lastAt: number;
  readonly told: HubWord | undefined;
}

/** What the hub's reasons are called on the page. Others are shown as they are. */
const HUB_REASONS: ReadonlyMap<string, string> = new Map([
  ["waiting", "waiting for a person"],
  ["tool", "a tool has not answered"],
  ["heartbeat", "heartbeats stopped"],
  ["idle", "no activity"],
]);

/** Why the run stands still at `now`; nothing if it does not. Of several reasons the worst: a person, a tool, heartbeats, silence. */
export function stallOf({ status, backfilled, last, lastAt, told }: Evidence, now: number): Stall | undefined {
  if (status !== "running" || backfilled) return undefined;
  const seen = last && judged(last, lastAt);
  if (told?.kind === "stalled" && (!seen || now < seen.due || seen.kind === "silence")) {
    return { kind: "hub", since: told.since, reason: HUB_REASONS.get(told.reason) ?? told.reason };
  }
  if (!seen || now < seen.due) return undefined;
  // No threshold makes a question to a person less of one.
  if (told?.kind === "fine" && seen.kind !== "approval" && seen.due <= told.at) return undefined;
  return { kind: seen.kind, since: lastAt, reason: seen.reason };
}

/** What the last thing that was said would mean, and from when on. */
function judged(last: Activity, at: number): { readonly kind: StallKind; readonly due: number; readonly reason: string } {
  if (last.type === "custom" && last.data["name"] === "needs_approval") return { kind: "approval", due: -Infinity, reason: asked(last) };
  if (last.type === "status" && last.data["reason"] === "waiting for a prompt") {
    return { kind: "prompt", due: at + SILENT_AFTER_MS, reason: "waiting for a person: the next prompt" };
  }
  if (last.type === "tool_call") {
    return { kind: "tool", due: at + TOOL_OPEN_AFTER_MS, reason: `the tool ${textOf(last.data, "name") ?? "it called"} has not answered` };
  }
  return { kind: "silence", due: at + SILENT_AFTER_MS, reason: "no activity" };
}

function asked(last: Activity): string {
  const tool = textOf(last.data, "tool");
  return tool === undefined ? "waiting for a person's approval" : `waiting for a person to approve ${tool}`;
}
