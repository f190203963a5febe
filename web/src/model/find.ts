/** Looks for text in activities as the hub does: in the texts and numbers of payloads, whatever their case. */
import type { SearchHit } from "tasklight/rest";
import type { Activity } from "tasklight/viewer";

/** A place where the text was found. */
export type Hit = Omit<SearchHit, "cursor" | "type"> & { readonly type: string };

/** The most characters of an excerpt, and how many of them are before the place. */
const EXCERPT = 160;
const BEFORE = 40;

/** Deeper parts of payloads are not looked at; the hub takes none that nest deeper. */
const DEPTH = 64;

/** Where the activity has the text first; nothing if it has not. `wanted` is in lower case. */
export function findIn(activity: Activity, wanted: string): Hit | undefined {
  const place = search(activity.data, wanted, 0);
  if (!place) return undefined;
  const { text, at } = place;
  const from = Math.max(0, at - BEFORE);
  const { offset, invocationId, type, timestamp } = activity;
  return { offset, invocationId, type, timestamp, excerpt: text.slice(from, from + EXCERPT), at: [at - from, wanted.length] };
}

function search(value: unknown, wanted: string, depth: number): { readonly text: string; readonly at: number } | undefined {
  if (typeof value === "string" || typeof value === "number") {
    const text = String(value);
    const at = text.toLowerCase().indexOf(wanted);
    return at < 0 ? undefined : { text, at };
  }
  if (typeof value !== "object" || value === null || DEPTH <= depth) return undefined;
  for (const part of Object.values(value) as unknown[]) {
    const found = search(part, wanted, depth + 1);
    if (found) return found;
  }
  return undefined;
}

/** Both lists in order of offsets, each offset once. */
export function merged(one: readonly Hit[], other: readonly Hit[]): readonly Hit[] {
  const all = new Map([...other, ...one].map((hit) => [hit.offset, hit]));
  return [...all.values()].sort((a, b) => a.offset - b.offset);
}
