/** Where in a timeline an activity is shown. */
import type { Entry } from "./entry.ts";

/** The index of the entry that shows this activity, or else of the one nearest before it; -1 if there are none. */
export function indexOfOffset(entries: readonly Entry[], offset: number): number {
  let nearest = entries.length === 0 ? -1 : 0;
  let around = -1;
  for (const [index, entry] of entries.entries()) {
    if (offset < entry.key) continue;
    nearest = index;
    if (offset <= entry.last && shows(entry, offset)) return index;
    if (offset <= entry.last && entry.kind !== "tool") around = index;
  }
  return around === -1 ? nearest : around;
}

function shows(entry: Entry, offset: number): boolean {
  switch (entry.kind) {
    case "tool":
      return entry.call?.offset === offset || entry.result?.offset === offset;
    case "output":
      return entry.chunks.some((chunk) => chunk.offset === offset);
    default:
      return entry.key === offset || entry.last === offset;
  }
}

/** The activities that an entry shows, as far as it holds them whole. */
export function activitiesOf(entry: Entry): readonly number[] {
  switch (entry.kind) {
    case "tool":
      return [entry.call?.offset, entry.result?.offset].filter((offset) => offset !== undefined);
    case "output":
      return entry.chunks.map((chunk) => chunk.offset);
    case "hole":
      return [];
    default:
      return [entry.activity.offset];
  }
}

/** What an entry says, as plain text. */
export function plainText(entry: Entry): string {
  switch (entry.kind) {
    case "message":
    case "thinking":
    case "hole":
      return entry.text;
    case "output":
      return entry.chunks.map((chunk) => chunk.text).join("");
    case "tool":
      return [entry.name, asText(entry.call?.data["input"]), asText(entry.result?.data["output"])].filter((part) => part !== "").join("\n");
    default: {
      const { data } = entry.activity;
      const said = data["message"] ?? data["text"];
      return typeof said === "string" ? said : asText(data);
    }
  }
}

function asText(value: unknown): string {
  if (value === undefined || value === null) return "";
  return typeof value === "string" ? value : JSON.stringify(value, null, 2);
}
