/** What entries say, in a form in which those made step by step and those made at once are the same; and the rules written down once more, plainly. */
import type { Activity } from "tasklight/viewer";
import type { Entry } from "../src/model/entry.ts";

const textOf = ({ data }: Activity): string => (typeof data["text"] === "string" ? data["text"] : "");

/** One line for each entry but those of output, which are told by their chunks. */
export function tellEntries(entries: readonly Entry[]): string[] {
  return entries.flatMap((entry) => {
    const common = [entry.key, entry.last, entry.invocationId, entry.parent ?? "-", entry.timestamp].join(" ");
    switch (entry.kind) {
      case "message":
      case "thinking":
        return [`${common} ${entry.kind} ${entry.role ?? "-"} ${entry.open ? "open" : "closed"} ${entry.text}`];
      case "tool": {
        const { toolCallId, name, call, result, isError, endedAt } = entry;
        return [`${common} tool ${toolCallId ?? "-"} ${name} ${String(call?.offset)} ${String(result?.offset)} ${String(isError)} ${String(endedAt)}`];
      }
      case "output":
        return [];
      case "hole":
        return [`${entry.key.toString()} hole ${entry.reason} ${entry.text}`];
      default:
        return [`${common} ${entry.kind} ${entry.activity.offset.toString()}`];
    }
  });
}

/** Every chunk of output in the order of offsets. */
export const tellOutput = (entries: readonly Entry[]): string[] =>
  entries
    .flatMap((entry) => (entry.kind === "output" ? entry.chunks.map((chunk) => ({ ...chunk, invocationId: entry.invocationId })) : []))
    .sort((one, other) => one.offset - other.offset)
    .map(({ offset, invocationId, stream, text }) => `${offset.toString()} ${invocationId} ${stream} ${text}`);

/** The same lines, made from the log by looking at all of it for each activity. Slow, and plain to see. */
export function plainEntries(log: readonly Activity[]): string[] {
  const lines: { readonly key: number; readonly line: string }[] = [];
  const taken = new Set<Activity>();
  for (const [index, first] of log.entries()) {
    if (taken.has(first) || first.type === "output") continue;
    const later = log.slice(index + 1).filter((one) => !taken.has(one) && one.invocationId === first.invocationId);
    const parent = first.data["parentToolCallId"];
    const tell = (members: readonly Activity[], rest: string): void => {
      for (const member of members) taken.add(member);
      const common = [first.offset, members.at(-1)?.offset, first.invocationId, parent ?? "-", first.timestamp].map(String).join(" ");
      lines.push({ key: first.offset, line: `${common} ${rest}` });
    };
    if (first.type === "tool_call" || first.type === "tool_result") tellTool(first, later, tell);
    else if (first.type === "message" || first.type === "thinking") tellText(first, later, tell);
    else {
      const kind = ["status", "progress", "error", "usage"].includes(first.type) ? first.type : "custom";
      tell([first], `${kind} ${first.offset.toString()}`);
    }
  }
  return lines.map(({ line }) => line);
}

type Tell = (members: readonly Activity[], rest: string) => void;

function tellTool(first: Activity, later: readonly Activity[], tell: Tell): void {
  const { toolCallId: id, name = "tool" } = first.data;
  // The result of a call is the next word about that call, if it is a result.
  const next = id === undefined ? undefined : later.find(({ type, data }) => type.startsWith("tool_") && data["toolCallId"] === id);
  const [call, result] = first.type === "tool_result" ? [undefined, first] : [first, next?.type === "tool_result" ? next : undefined];
  const rest = [id ?? "-", name, call?.offset, result?.offset, result?.data["isError"] === true, result?.timestamp].map(String).join(" ");
  tell([call, result].filter((one) => one !== undefined), `tool ${rest}`);
}

function tellText(first: Activity, later: readonly Activity[], tell: Tell): void {
  const { seriesId } = first.data;
  const members = [first];
  let final = seriesId !== undefined && first.data["final"] === true ? first : undefined;
  for (const one of seriesId === undefined ? [] : later) {
    if (final) break;
    if (one.type !== first.type || one.data["seriesId"] !== seriesId) continue;
    members.push(one);
    if (one.data["final"] === true) final = one;
  }
  const roleOf = ({ data }: Activity): string | undefined => (typeof data["role"] === "string" ? data["role"] : undefined);
  const role = roleOf(final ?? first) ?? roleOf(first) ?? "-";
  const open = seriesId !== undefined && !final ? "open" : "closed";
  tell(members, `${first.type} ${role} ${open} ${final ? textOf(final) : members.map(textOf).join("")}`);
}
