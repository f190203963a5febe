/** What a timeline shows: one thing for each activity, or for several that belong together. */
import type { Activity } from "tasklight/viewer";

interface Common {
  /** The offset of its first activity; it stays the same while more is added, and is what a link names. */
  readonly key: number;
  /** The offset of its last activity. */
  readonly last: number;
  readonly invocationId: string;
  /** The tool call that the sub-agent works for whose entry this is; nothing for the agent itself. */
  readonly parent: string | undefined;
  /** When its first activity happened, in epoch milliseconds. */
  readonly timestamp: number;
  /** Counts changes: the same entry with the same number looks the same. */
  readonly version: number;
}

/** A text in one piece, or as far as its pieces have come. */
export interface TextEntry extends Common {
  readonly kind: "message" | "thinking";
  readonly role: string | undefined;
  readonly text: string;
  /** Pieces still come. */
  readonly open: boolean;
  readonly activity: Activity;
}

/** A call of a tool with its result. A result whose call is not loaded has no `call`. */
export interface ToolEntry extends Common {
  readonly kind: "tool";
  readonly toolCallId: string | undefined;
  readonly name: string;
  readonly call: Activity | undefined;
  readonly result: Activity | undefined;
  readonly isError: boolean;
  /** When the result came, if it has. */
  readonly endedAt: number | undefined;
}

/** Consecutive output of one invocation, as a terminal shows it: both streams in order. */
export interface OutputEntry extends Common {
  readonly kind: "output";
  readonly chunks: readonly { readonly stream: "stdout" | "stderr"; readonly text: string; readonly offset: number }[];
}

/** Anything else: one activity. `kind` is its type if the page knows it. */
export interface SingleEntry extends Common {
  readonly kind: "status" | "progress" | "error" | "usage" | "custom";
  readonly activity: Activity;
}

/** Activities that are no longer kept, or were left out because the log began anew. */
export interface HoleEntry extends Common {
  readonly kind: "hole";
  readonly reason: "truncated" | "reset" | "deleted" | "skipped";
  readonly text: string;
}

export type Entry = TextEntry | ToolEntry | OutputEntry | SingleEntry | HoleEntry;
