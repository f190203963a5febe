/** How large activities are, and the beginnings that are kept of large ones. */
import type { Activity, Data } from "tasklight/viewer";
import { LONGEST_PAYLOAD } from "./log.ts";

/** About what an activity takes beside its payload. */
const ENVELOPE_CHARS = 200;

/** What a string that was cut ends with. */
export const CUT_MARK = "…";

/** The lengths that strings are cut to, and the most parts of a list or an object, one after the other until the payload fits. */
const CUTS = [
  { chars: 12 * 1024, parts: 2_000 },
  { chars: 4 * 1024, parts: 500 },
  { chars: 1024, parts: 100 },
  { chars: 256, parts: 25 },
  { chars: 64, parts: 8 },
] as const;

/** Deeper parts are left out of a payload that is cut. */
const DEPTH = 12;

/** Fields that say what an activity belongs to: never cut, as they are short. */
const WHOLE_CHARS = 512;
const WHOLE: ReadonlySet<string> = new Set(["toolCallId", "parentToolCallId", "seriesId", "name", "role", "stream"]);

/** About how many characters an activity takes. */
export const charsOf = (activity: Activity): number => ENVELOPE_CHARS + payloadChars(activity.data);

/** About how many characters a payload has as JSON. */
export function payloadChars(value: unknown): number {
  if (typeof value === "string") return value.length + 2;
  if (typeof value !== "object" || value === null) return 6;
  let chars = 2;
  if (Array.isArray(value)) for (const one of value) chars += 1 + payloadChars(one);
  else for (const [name, one] of Object.entries(value)) chars += name.length + 4 + payloadChars(one);
  return chars;
}

/** The activity with the beginning of its payload, if that is too long; else the same one. */
export function shortened(activity: Activity): Activity {
  if (payloadChars(activity.data) <= LONGEST_PAYLOAD) return activity;
  let data: unknown = {};
  for (const cut of CUTS) {
    data = beginning(activity.data, cut, 0);
    if (payloadChars(data) <= LONGEST_PAYLOAD) break;
  }
  if (LONGEST_PAYLOAD < payloadChars(data)) data = {};
  // A slice of a string keeps all of it in memory: what is parsed anew does not.
  return { ...activity, data: JSON.parse(JSON.stringify(data)) as Data };
}

function beginning(value: unknown, cut: (typeof CUTS)[number], depth: number): unknown {
  if (typeof value === "string") return value.length <= cut.chars ? value : cutText(value, cut.chars);
  if (typeof value !== "object" || value === null) return value;
  if (DEPTH <= depth) return CUT_MARK;
  if (Array.isArray(value)) return value.slice(0, cut.parts).map((one) => beginning(one, cut, depth + 1));
  const parts = Object.entries(value).slice(0, cut.parts);
  return Object.fromEntries(parts.map(([name, one]) => [cutText(name, cut.chars), isWhole(name, one) ? one : beginning(one, cut, depth + 1)]));
}

const isWhole = (name: string, value: unknown): boolean => WHOLE.has(name) && typeof value === "string" && value.length <= WHOLE_CHARS;

/** At most so many characters of a text and the mark, never half of a pair. */
function cutText(text: string, chars: number): string {
  if (text.length <= chars) return text;
  const last = text.charCodeAt(chars - 1);
  const isHalf = 0xd800 <= last && last <= 0xdbff;
  return text.slice(0, isHalf ? chars - 1 : chars) + CUT_MARK;
}
