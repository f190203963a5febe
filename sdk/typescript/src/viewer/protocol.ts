/** The messages of `tasklight.v1`, read from text. Fields and messages that are not known are passed over. */
import type { Activity } from "../activity.js";
import type { TaskSummary } from "../task.js";

/** What a hub says about one task. */
export type TaskMessage =
  | {
      readonly op: "subscribed";
      readonly task: string;
      readonly epoch: string | null;
      readonly floor: number;
      readonly head: number;
      readonly after: string | null;
    }
  | { readonly op: "activity"; readonly task: string; readonly activity: Activity }
  | { readonly op: "live"; readonly task: string; readonly offset: number }
  | { readonly op: "cursor"; readonly task: string; readonly offset: number }
  | { readonly op: "truncated"; readonly task: string; readonly floor: number }
  | { readonly op: "reset"; readonly task: string; readonly epoch: string }
  | { readonly op: "unsubscribed"; readonly task: string; readonly reason: string };

/** What a hub says about the list of tasks. */
export type ListMessage =
  | { readonly op: "task"; readonly summary: TaskSummary }
  | { readonly op: "gone"; readonly taskId: string }
  | { readonly op: "listLive" };

/** What a hub says about the connection. */
export type LinkMessage =
  | { readonly op: "hello"; readonly heartbeatMs: number }
  | { readonly op: "heartbeat"; readonly heads: ReadonlyMap<string, number> }
  | { readonly op: "drain"; readonly reconnectAfterMs: number }
  | { readonly op: "pong" }
  | { readonly op: "error"; readonly code: string; readonly message: string; readonly task: string | undefined }
  | { readonly op: "unknown" };

export type Message = TaskMessage | ListMessage | LinkMessage;

/** The message is not what a hub says. */
export class Unreadable extends Error {}

type Raw = Readonly<Record<string, unknown>>;

/** Reads a message, or throws `Unreadable` naming the field. */
export function readMessage(text: string): Message {
  const raw = parse(text);
  switch (raw["op"]) {
    case "activity":
      return readActivity(raw);
    case "subscribed":
      return {
        op: "subscribed",
        task: string(raw, "task"),
        epoch: optional(raw, "epoch"),
        floor: offset(raw, "floor"),
        head: offset(raw, "head"),
        after: optional(raw, "after"),
      };
    case "live":
      return raw["list"] === undefined ? { op: "live", task: string(raw, "task"), offset: offset(raw, "offset") } : { op: "listLive" };
    case "cursor":
      return { op: "cursor", task: string(raw, "task"), offset: offset(raw, "offset") };
    case "truncated":
      return { op: "truncated", task: string(raw, "task"), floor: offset(raw, "floor") };
    case "reset":
      return { op: "reset", task: string(raw, "task"), epoch: string(raw, "epoch") };
    case "unsubscribed":
      return { op: "unsubscribed", task: string(raw, "task"), reason: string(raw, "reason") };
    case "task":
      return readTask(raw);
    case "hello":
      return { op: "hello", heartbeatMs: offset(raw, "heartbeatMs") };
    case "heartbeat":
      return { op: "heartbeat", heads: readHeads(raw["heads"]) };
    case "drain":
      return { op: "drain", reconnectAfterMs: offset(raw, "reconnectAfterMs") };
    case "pong":
      return { op: "pong" };
    case "error":
      return { op: "error", code: string(raw, "code"), message: string(raw, "message"), task: optional(raw, "task") ?? undefined };
    default:
      string(raw, "op");
      return { op: "unknown" };
  }
}

function parse(text: string): Raw {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new Unreadable("it is not JSON");
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw new Unreadable("it is not a JSON object");
  return value as Raw;
}

function readActivity(raw: Raw): Message {
  const { op: _, ...activity } = raw;
  for (const name of ["cursor", "invocationId", "eventId", "type"]) string(raw, name);
  for (const name of ["offset", "timestamp", "receivedAt"]) offset(raw, name);
  if (typeof raw["data"] !== "object" || raw["data"] === null) throw new Unreadable("data is not an object");
  return { op: "activity", task: string(raw, "taskId"), activity: activity as unknown as Activity };
}

function readTask(raw: Raw): Message {
  const taskId = string(raw, "taskId");
  if (raw["deleted"] === true) return { op: "gone", taskId };
  for (const name of ["head", "floor", "createdAt"]) offset(raw, name);
  const { op: _, ...summary } = raw;
  return { op: "task", summary: summary as unknown as TaskSummary };
}

function readHeads(value: unknown): ReadonlyMap<string, number> {
  if (typeof value !== "object" || value === null) throw new Unreadable("heads is not an object");
  return new Map(Object.keys(value).map((task) => [task, offset(value as Raw, task)]));
}

function string(raw: Raw, name: string): string {
  const value = raw[name];
  if (typeof value !== "string") throw new Unreadable(`${name} is not a string`);
  return value;
}

function optional(raw: Raw, name: string): string | null {
  return raw[name] === undefined || raw[name] === null ? null : string(raw, name);
}

/** Offsets and times: integers that a number holds exactly. */
function offset(raw: Raw, name: string): number {
  const value = raw[name];
  if (typeof value !== "number" || !Number.isSafeInteger(value) || value < 0) throw new Unreadable(`${name} is not an integer below 2^53`);
  return value;
}
