/** One entry while it grows: the activities that it is made of, and the rule by which an activity goes on with it. */
import type { Activity } from "tasklight/viewer";
import type { Entry, HoleEntry, OutputEntry, SingleEntry, TextEntry, ToolEntry } from "../entry.ts";

/** The most chunks of an entry of output. */
export const MOST_CHUNKS = 200;

/** About the most characters of an entry of output; one chunk may exceed it. */
export const OUTPUT_CHARS = 64 * 1024;

/** Output that comes so many activities later begins a new entry, so that the end of a log grows at its end. */
export const OUTPUT_REACH = 50;

export type Kind = "text" | "tool" | "output" | "single" | "hole";

/** What is known of an activity without looking at others. */
export interface Sort {
  readonly kind: Kind;
  /** Names the activities that may belong together: a series, or a call with its result. */
  readonly chain: string | undefined;
}

export function sortOf({ type, data, invocationId }: Activity): Sort {
  const chain = (id: unknown): string | undefined => (typeof id === "string" ? `${type}\n${invocationId}\n${id}` : undefined);
  switch (type) {
    case "message":
    case "thinking":
      return { kind: "text", chain: chain(data["seriesId"]) };
    case "output":
      return { kind: "output", chain: chain(data["seriesId"]) };
    case "tool_call":
    case "tool_result": {
      const id = data["toolCallId"];
      return { kind: "tool", chain: typeof id === "string" ? `tool\n${invocationId}\n${id}` : undefined };
    }
    default:
      return { kind: "single", chain: undefined };
  }
}

const isFinal = ({ data }: Activity): boolean => data["final"] === true;

export class Node {
  readonly kind: Kind;
  readonly chain: string | undefined;
  /** In order, never none but for a hole. */
  members: Activity[];
  /** It belongs to another one now, or nothing of it is held. */
  isGone = false;
  #version = 0;
  #entry: Entry | undefined;
  /** About the characters of its texts, for the bounds of output. */
  #chars = 0;
  /** Its series is complete. */
  #closed = false;
  /** The texts of so many members are in `#text`. */
  #joined = 0;
  #text = "";

  constructor({ kind, chain }: Sort, first: Activity | HoleEntry) {
    this.kind = kind;
    this.chain = chain;
    if ("kind" in first) {
      this.members = [];
      this.#entry = first;
    } else {
      this.members = [];
      this.#count(first);
    }
  }

  get key(): number {
    return this.members[0]?.offset ?? this.#entry?.key ?? 0;
  }

  get last(): number {
    return this.members.at(-1)?.offset ?? this.#entry?.last ?? 0;
  }

  /** As it is shown; the same object as long as nothing changes. */
  get entry(): Entry {
    this.#entry ??= this.#make();
    return this.#entry;
  }

  /** Whether the activity, the next one of the same chain or the next of output of the same invocation, goes on with this. */
  takes(activity: Activity): boolean {
    if (this.kind === "tool") return activity.type === "tool_result" && this.members.length === 1 && this.members[0]?.type === "tool_call";
    if (this.chain !== undefined) return !this.#closed;
    const isNear = activity.offset - this.last <= OUTPUT_REACH;
    return isNear && this.members.length < MOST_CHUNKS && this.#chars + textOf(activity).length <= OUTPUT_CHARS;
  }

  push(activity: Activity): void {
    this.#count(activity);
    this.#version += 1;
    this.#entry = undefined;
  }

  /** Takes over the members of one that began later. */
  absorb(other: Node): void {
    for (const activity of other.members) this.push(activity);
    this.#version = Math.max(this.#version, other.#version + 1);
    other.isGone = true;
  }

  /** Keeps only what is from one offset up to another. */
  keep(from: number, to: number): void {
    const kept = this.members.filter(({ offset }) => from <= offset && offset <= to);
    this.members = [];
    this.#chars = this.#joined = 0;
    this.#text = "";
    this.#closed = false;
    for (const activity of kept) this.push(activity);
    this.isGone = kept.length === 0;
  }

  #count(activity: Activity): void {
    this.members.push(activity);
    this.#chars += textOf(activity).length;
    this.#closed ||= isFinal(activity);
  }

  #make(): Entry {
    const [first] = this.members;
    if (!first) throw new RangeError("an entry of nothing");
    const parent = first.data["parentToolCallId"];
    const common = {
      key: first.offset,
      last: this.last,
      invocationId: first.invocationId,
      parent: typeof parent === "string" ? parent : undefined,
      timestamp: first.timestamp,
      version: this.#version,
    };
    switch (this.kind) {
      case "text":
        return this.#makeText(common, first);
      case "tool":
        return this.#makeTool(common, first);
      case "output":
        return this.#makeOutput(common);
      case "single":
      case "hole":
        return { ...common, kind: singleKind(first.type), activity: first };
    }
  }

  #makeText(common: Omit<TextEntry, "kind" | "role" | "text" | "open" | "activity">, first: Activity): TextEntry {
    const final = this.members.find(isFinal);
    const role = (final ?? first).data["role"] ?? first.data["role"];
    for (; this.#joined < this.members.length; this.#joined += 1) {
      const member = this.members[this.#joined];
      if (member) this.#text += textOf(member);
    }
    return {
      ...common,
      kind: first.type === "thinking" ? "thinking" : "message",
      role: typeof role === "string" ? role : undefined,
      text: final ? textOf(final) : this.#text,
      open: this.chain !== undefined && !final,
      activity: final ?? first,
    };
  }

  #makeTool(common: Omit<ToolEntry, "kind" | "toolCallId" | "name" | "call" | "result" | "isError" | "endedAt">, first: Activity): ToolEntry {
    const call = this.members.find(({ type }) => type === "tool_call");
    const result = this.members.find(({ type }) => type === "tool_result");
    const { toolCallId, name } = first.data;
    return {
      ...common,
      kind: "tool",
      toolCallId: typeof toolCallId === "string" ? toolCallId : undefined,
      name: typeof name === "string" ? name : "tool",
      call,
      result,
      isError: result?.data["isError"] === true,
      endedAt: result?.timestamp,
    };
  }

  #makeOutput(common: Omit<OutputEntry, "kind" | "chunks">): OutputEntry {
    const whole = this.chain === undefined ? undefined : this.members.find(isFinal);
    const chunks = (whole ? [whole] : this.members).map((member) => ({
      stream: member.data["stream"] === "stderr" ? ("stderr" as const) : ("stdout" as const),
      text: textOf(member),
      offset: member.offset,
    }));
    return { ...common, kind: "output", chunks };
  }
}

function textOf({ data }: Activity): string {
  const { text } = data;
  return typeof text === "string" ? text : text === undefined || text === null ? "" : JSON.stringify(text);
}

function singleKind(type: string): SingleEntry["kind"] {
  switch (type) {
    case "status":
    case "progress":
    case "error":
    case "usage":
      return type;
    default:
      return "custom";
  }
}
