/**
 * A task's runs as they are now: what the hub told of them, and what their activities have said since. The hub's answer names the head that it was given at, so that what
 * is newer than it is known exactly.
 */
import type { Activity, Data, Status } from "tasklight/viewer";
import type { Invocation, TaskDetails } from "tasklight/rest";
import { textOf } from "./told.ts";
import { type HubWord, type Stall, stallOf } from "./stalled.ts";
import { type Figures, figuresOf } from "./usage.ts";

/** What is counted of a run, or of one of its sub-agents, in the activities that are held. */
export interface Counts {
  readonly activities: number;
  readonly tools: number;
  readonly errors: number;
}

/** Part of a run: what belongs to one sub-agent, or to the run as a whole. */
interface Part {
  readonly counts: Counts;
  /** When its activities that are held happened, in order of offsets. */
  readonly times: readonly number[];
  /** Offsets of the first and last of them; nothing if none is held. */
  readonly first: number | undefined;
  readonly last: number | undefined;
}

export interface SubAgent extends Part {
  /** Unique within its run. */
  readonly scope: string;
  /** The scope of the sub-agent that started it; nothing if the run's own agent did. */
  readonly parent: string | undefined;
  readonly agent: string | undefined;
  readonly title: string | undefined;
  /** `lost` if its run is over and its own end was never told. */
  readonly status: "running" | "completed" | "failed" | "lost";
  readonly startedAt: number;
  /** Nothing while it works. */
  readonly endedAt: number | undefined;
}

export interface Run extends Part {
  readonly id: string;
  readonly status: Status;
  readonly agent: string | undefined;
  readonly title: string | undefined;
  readonly reason: string | undefined;
  readonly exitCode: number | undefined;
  readonly startedAt: number;
  /** Nothing while it is not over. */
  readonly endedAt: number | undefined;
  /** When it was last heard of, by the hub's clock. */
  readonly lastAt: number;
  readonly backfilled: boolean;
  readonly usage: Figures | undefined;
  readonly subAgents: readonly SubAgent[];
  /** Why it stands still at `now`. */
  stallAt(now: number): Stall | undefined;
}

const OVER: ReadonlySet<Status> = new Set(["completed", "failed", "cancelled", "lost"]);
const FINAL: ReadonlySet<Status> = new Set(["completed", "failed", "cancelled"]);
const STATUSES: ReadonlySet<string> = new Set(["pending", "running", "completed", "failed", "cancelled", "lost"]);

export const isOver = (status: Status): boolean => OVER.has(status);

/** Whether the run may go from one status to the other: the hub's own rule. */
function mayBecome(from: Status, next: Status): boolean {
  if (from === next) return true;
  return !FINAL.has(from) && next !== "pending";
}

class PartDraft {
  activities = 0;
  tools = 0;
  errors = 0;
  readonly times: number[] = [];
  first: number | undefined;
  last: number | undefined;

  add({ type, data, offset, timestamp }: Activity): void {
    this.activities += 1;
    if (type === "tool_call") this.tools += 1;
    if (type === "error" || (type === "tool_result" && data["isError"] === true)) this.errors += 1;
    this.times.push(timestamp);
    this.first ??= offset;
    this.last = offset;
  }

  get part(): Part {
    const { activities, tools, errors, times, first, last } = this;
    return { counts: { activities, tools, errors }, times, first, last };
  }
}

class SubDraft extends PartDraft {
  agent: string | undefined;
  ended: { at: number; isError: boolean } | undefined;
}

class RunDraft extends PartDraft {
  readonly told: Invocation | undefined;
  status: Status;
  agent: string | undefined;
  title: string | undefined;
  reason: string | undefined;
  exitCode: number | undefined;
  startedAt: number | undefined;
  endedAt: number | undefined;
  lastAt: number;
  usage: Data | undefined;
  lastActivity: Activity | undefined;
  /** Something was said after the hub's answer. */
  isNewer = false;
  readonly subs = new Map<string, SubDraft>();
  readonly calls = new Map<string, { readonly call: Activity; result: Activity | undefined }>();

  constructor(told: Invocation | undefined) {
    super();
    this.told = told;
    this.status = told?.status ?? "running";
    this.agent = told?.agent ?? undefined;
    this.title = told?.title ?? undefined;
    this.reason = told?.reason ?? undefined;
    this.exitCode = told?.exitCode ?? undefined;
    this.startedAt = told?.startedAt ?? undefined;
    this.endedAt = told?.completedAt ?? undefined;
    this.lastAt = told?.lastActivityAt ?? 0;
    this.usage = told?.usage ?? undefined;
  }

  hear(activity: Activity, isNewer: boolean): void {
    this.add(activity);
    this.lastActivity = activity;
    if (isNewer) this.#change(activity);
    this.#nest(activity);
  }

  /** What the hub's answer does not say yet. */
  #change({ type, data, timestamp, receivedAt }: Activity): void {
    this.isNewer = true;
    this.lastAt = Math.max(this.lastAt, receivedAt);
    this.startedAt ??= timestamp;
    if (type === "usage") this.usage = data;
    if (type !== "status") {
      if (this.status === "pending" || this.status === "lost") this.#become("running", timestamp);
      return;
    }
    const status = textOf(data, "status") ?? "";
    this.agent = textOf(data, "agent") ?? this.agent;
    this.title = textOf(data, "title") ?? this.title;
    if (!STATUSES.has(status) || !mayBecome(this.status, status as Status)) return;
    this.#become(status as Status, timestamp);
    this.reason = textOf(data, "reason");
    if (typeof data["exitCode"] === "number") this.exitCode = data["exitCode"];
  }

  #become(status: Status, at: number): void {
    if (OVER.has(status)) this.endedAt ??= at;
    else this.endedAt = undefined;
    this.status = status;
  }

  #nest(activity: Activity): void {
    const { type, data } = activity;
    const id = textOf(data, "toolCallId");
    if (id !== undefined && type === "tool_call" && !this.calls.has(id)) this.calls.set(id, { call: activity, result: undefined });
    if (id !== undefined && type === "tool_result") {
      const call = this.calls.get(id);
      if (call) call.result ??= activity;
      const sub = this.subs.get(id);
      if (sub) sub.ended ??= { at: activity.timestamp, isError: data["isError"] === true };
    }
    const scope = scopeOf(data);
    if (scope === undefined) return;
    const sub = this.subs.get(scope) ?? new SubDraft();
    sub.add(activity);
    sub.agent ??= textOf(data, "agentType");
    this.subs.set(scope, sub);
  }

  #word(answeredAt: number): HubWord | undefined {
    const { told, isNewer } = this;
    if (!told || isNewer) return undefined;
    if (!told.stalled) return { kind: "fine", at: answeredAt };
    return { kind: "stalled", reason: told.stalledReason ?? "idle", since: told.stalledSince ?? told.lastActivityAt };
  }

  /** As it is, if the hub's answer came at that time. */
  run(answeredAt: number): Run {
    const { told, status, lastAt, lastActivity } = this;
    const word = this.#word(answeredAt);
    // What is held may end before the run's last activity: then it says nothing of now.
    const last = lastActivity && lastAt <= lastActivity.receivedAt ? lastActivity : undefined;
    const first = this.times[0] ?? told?.createdAt ?? 0;
    const endedAt = OVER.has(status) ? (this.endedAt ?? this.times[this.times.length - 1] ?? lastAt) : undefined;
    const backfilled = told?.backfilled === true;
    return {
      ...this.part,
      id: told?.invocationId ?? lastActivity?.invocationId ?? "",
      status,
      agent: this.agent,
      title: this.title,
      reason: this.reason,
      exitCode: this.exitCode,
      startedAt: this.startedAt ?? first,
      endedAt,
      lastAt,
      backfilled,
      usage: this.usage === undefined ? undefined : figuresOf(this.usage),
      subAgents: this.#subAgents(endedAt),
      stallAt: (now) => stallOf({ status, backfilled, lastAt, last, told: word }, now),
    };
  }

  #subAgents(runEnded: number | undefined): SubAgent[] {
    return [...this.subs].map(([scope, sub]) => {
      const call = this.calls.get(scope);
      const input = call?.call.data["input"];
      const about = typeof input === "object" && input !== null ? (input as Data) : undefined;
      const result = call?.result;
      const ended = sub.ended ?? (result ? { at: result.timestamp, isError: result.data["isError"] === true } : undefined);
      const startedAt = call?.call.timestamp ?? sub.times[0] ?? 0;
      const over = ended?.at ?? runEnded;
      return {
        ...sub.part,
        scope,
        parent: call ? scopeOf(call.call.data) : undefined,
        agent: textOf(about, "subagent_type") ?? sub.agent,
        title: textOf(about, "description") ?? textOf(about, "prompt") ?? textOf(call?.call.data, "name"),
        status: ended ? (ended.isError ? "failed" : "completed") : runEnded === undefined ? "running" : "lost",
        startedAt,
        endedAt: over === undefined ? undefined : Math.max(startedAt, over),
      };
    });
  }
}

/** Which sub-agent an activity is of; nothing for the run's own agent. */
export function scopeOf(data: Data): string | undefined {
  return textOf(data, "parentToolCallId") ?? textOf(data, "agentId");
}

/** Every run that the hub or the activities know of, newest first. `activities` are in order; `answeredAt` is when the hub gave `details`. */
export function runsOf(activities: readonly Activity[], details: TaskDetails | undefined, answeredAt = 0): readonly Run[] {
  const runs = new Map<string, RunDraft>();
  for (const told of details?.invocations ?? []) runs.set(told.invocationId, new RunDraft(told));
  const head = details?.head ?? 0;
  for (const activity of activities) {
    const known = runs.get(activity.invocationId);
    const run = known ?? new RunDraft(undefined);
    if (!known) runs.set(activity.invocationId, run);
    run.hear(activity, head < activity.offset || run.told === undefined);
  }
  return [...runs.values()].map((draft) => draft.run(answeredAt)).sort((one, other) => other.startedAt - one.startedAt || (other.id < one.id ? -1 : 1));
}
