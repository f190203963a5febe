/**
 * Tool calls with their results as spans of time, and how they nest: a sub-agent's calls lie within the call that started it. Made of whatever part of a log is held: calls
 * without results, results without calls, ids used twice and clocks that go backwards are all shown as what they are.
 */
import type { Activity, Data } from "tasklight/viewer";
import { numberOf, textOf } from "./told.ts";
import { visible } from "./text.ts";

/** How a call stands. `unanswered` is one that nobody waits for any more. */
export type Outcome = "open" | "done" | "error" | "unanswered";

export interface Span {
  /** The offset of the call, or of its result if the call is not held. */
  readonly offset: number;
  /** The offset of the result, if there is one. */
  readonly resultOffset: number | undefined;
  readonly invocationId: string;
  readonly toolCallId: string | undefined;
  /** The call that its sub-agent works for. */
  readonly parent: string | undefined;
  readonly name: string;
  /** When it was called; when it ended if the call is not held. */
  readonly start: number;
  /** When it ended, never before its start; nothing while it is open. */
  readonly end: number | undefined;
  readonly outcome: Outcome;
  /** The call itself is held, so that its beginning and input are known. */
  readonly hasCall: boolean;
  readonly input: unknown;
  /** How long it took by the agent's own clock, if that is told. */
  readonly ownMillis: number | undefined;
}

type Draft = { -readonly [Name in keyof Span]: Span[Name] } & { sourceStart: number | undefined };

/** The statuses after which nobody answers. */
const OVER: ReadonlySet<string> = new Set(["completed", "failed", "cancelled", "lost"]);

/** The calls among the activities, in order of their offsets. */
export function spansOf(activities: readonly Activity[]): readonly Span[] {
  const spans: Draft[] = [];
  const pairs = new Pairs();
  for (const activity of activities) {
    const { type, data } = activity;
    if (type === "tool_call") call(activity, spans, pairs);
    else if (type === "tool_result") result(activity, spans, pairs);
    else if (type === "custom" && data["name"] === "no_result") giveUp(pairs.open(activity), activity);
    else if (type === "status" && OVER.has(textOf(data, "status") ?? "")) {
      for (const open of pairs.allOpen(activity.invocationId)) giveUp(open, activity);
    }
  }
  return spans.sort((one, other) => one.offset - other.offset);
}

/** The drafts by their ids, and those that are open by their runs. */
class Pairs {
  readonly #latest = new Map<string, Draft>();
  readonly #byRun = new Map<string, Set<Draft>>();

  /** The call that has this id in its run, whether or not it is open. One without an id is the latest without one. */
  latest(activity: Activity): Draft | undefined {
    return this.#latest.get(key(activity));
  }

  open(activity: Activity): Draft | undefined {
    const draft = this.latest(activity);
    return draft?.outcome === "open" ? draft : undefined;
  }

  allOpen(invocation: string): readonly Draft[] {
    return [...(this.#byRun.get(invocation) ?? [])].filter(({ outcome }) => outcome === "open");
  }

  add(activity: Activity, draft: Draft): void {
    this.#latest.set(key(activity), draft);
    const run = this.#byRun.get(activity.invocationId);
    if (run) run.add(draft);
    else this.#byRun.set(activity.invocationId, new Set([draft]));
  }

  ended(draft: Draft): void {
    this.#byRun.get(draft.invocationId)?.delete(draft);
  }
}

const key = ({ invocationId, data }: Activity): string => `${invocationId}\n${textOf(data, "toolCallId") ?? ""}`;

function call(activity: Activity, spans: Draft[], pairs: Pairs): void {
  const before = pairs.latest(activity);
  const start = activity.timestamp;
  if (before && !before.hasCall && before.toolCallId !== undefined) {
    // Its result came first: then this is where it began, if the clocks agree.
    before.start = Math.min(start, before.end ?? start);
    before.hasCall = true;
    before.name = textOf(activity.data, "name") ?? before.name;
    before.input = activity.data["input"];
    before.parent ??= textOf(activity.data, "parentToolCallId");
    return;
  }
  if (before) giveUp(before, activity);
  const draft: Draft = {
    ...drafted(activity),
    end: undefined,
    resultOffset: undefined,
    outcome: "open",
    hasCall: true,
    input: activity.data["input"],
    sourceStart: numberOf(activity.data, "sourceTimestamp"),
  };
  spans.push(draft);
  pairs.add(activity, draft);
}

function result(activity: Activity, spans: Draft[], pairs: Pairs): void {
  const { data, offset, timestamp } = activity;
  const outcome: Outcome = data["isError"] === true ? "error" : "done";
  const draft = pairs.latest(activity);
  if (!draft || draft.resultOffset !== undefined) {
    // Of a second result the first stays: nothing waits for another.
    if (draft?.toolCallId !== undefined) return;
    const alone: Draft = { ...drafted(activity), end: timestamp, resultOffset: offset, outcome, hasCall: false, input: undefined, sourceStart: undefined };
    spans.push(alone);
    pairs.add(activity, alone);
    pairs.ended(alone);
    return;
  }
  draft.end = Math.max(draft.start, timestamp);
  draft.resultOffset = offset;
  draft.outcome = outcome;
  const sourceEnd = numberOf(data, "sourceTimestamp");
  if (sourceEnd !== undefined && draft.sourceStart !== undefined && draft.sourceStart <= sourceEnd) draft.ownMillis = sourceEnd - draft.sourceStart;
  pairs.ended(draft);
}

function drafted({ offset, invocationId, timestamp, data }: Activity): Pick<Draft, "offset" | "invocationId" | "toolCallId" | "parent" | "name" | "start" | "ownMillis"> {
  return {
    offset,
    invocationId,
    toolCallId: textOf(data, "toolCallId"),
    parent: textOf(data, "parentToolCallId"),
    name: textOf(data, "name") ?? "tool",
    start: timestamp,
    ownMillis: undefined,
  };
}

/** Nobody answers it any more. A result that comes all the same is taken. */
function giveUp(draft: Draft | undefined, at: Activity): void {
  if (draft?.outcome !== "open") return;
  draft.outcome = "unanswered";
  draft.end = Math.max(draft.start, at.timestamp);
}

/** A span and how deep it lies within others. */
export interface Row {
  readonly span: Span;
  readonly depth: number;
  /** How many spans lie within it, at any depth. */
  readonly below: number;
}

/** Deeper nesting is shown at this depth. */
export const DEEPEST = 6;

/** Every span once, each before those within it, and otherwise in order of offsets. A parent that is not held, or lies within its own child, is none. */
export function nested(spans: readonly Span[]): readonly Row[] {
  const byId = new Map<string, Span>();
  for (const span of spans) if (span.toolCallId !== undefined) byId.set(`${span.invocationId}\n${span.toolCallId}`, span);
  const children = new Map<Span, Span[]>();
  const roots: Span[] = [];
  for (const span of spans) {
    const parent = span.parent === undefined ? undefined : byId.get(`${span.invocationId}\n${span.parent}`);
    const among = parent && children.get(parent);
    if (!parent || parent === span) roots.push(span);
    else if (among) among.push(span);
    else children.set(parent, [span]);
  }
  const rows: { span: Span; depth: number; below: number }[] = [];
  const seen = new Set<Span>();
  const put = (span: Span, depth: number): number => {
    if (seen.has(span)) return 0;
    seen.add(span);
    const row = { span, depth, below: 0 };
    rows.push(row);
    for (const child of children.get(span) ?? []) row.below += put(child, Math.min(DEEPEST, depth + 1));
    return row.below + 1;
  };
  for (const root of roots) put(root, 0);
  // What is left lies within itself, over however many others.
  for (const span of spans) put(span, 0);
  return rows;
}

/** The fields of an input that tell best what a call is about, in this order. */
const TELLING = ["command", "cmd", "file_path", "filePath", "path", "pattern", "query", "q", "url", "description", "prompt", "name"];

/** The longest text that is looked at. */
const LONGEST_TELLING = 300;

/** The part of a call's input that tells what it is about; nothing if no field does. */
export function tellingPart(input: unknown): string | undefined {
  if (typeof input === "string") return oneLine(input);
  if (typeof input !== "object" || input === null) return undefined;
  const data = input as Data;
  for (const name of TELLING) {
    const value = data[name];
    if (typeof value === "string" && value !== "") return oneLine(value);
    if (Array.isArray(value) && value.length !== 0 && value.every((part) => typeof part === "string")) return oneLine(String(value[value.length - 1]));
  }
  const first = Object.entries(data).find(([, value]) => typeof value === "string" && value !== "");
  return first ? oneLine(String(first[1])) : undefined;
}

const oneLine = (text: string): string => visible(text.slice(0, LONGEST_TELLING).replace(/\s+/g, " ").trim());
