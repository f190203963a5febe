/** What a tool is asked to do, recognized by the form of its input: agents name the same tools differently. */
import type { Data } from "tasklight/viewer";
import { compare, type FileDiff, readPatch } from "./diff.ts";

export interface CheckItem {
  readonly text: string;
  readonly state: "open" | "busy" | "done";
}

export type ToolView =
  | { readonly view: "command"; readonly command: string; readonly about: string | undefined; readonly folder: string | undefined }
  | { readonly view: "edit"; readonly path: string | undefined; readonly files: () => readonly FileDiff[] }
  | { readonly view: "read"; readonly path: string; readonly range: string | undefined }
  | { readonly view: "checklist"; readonly items: readonly CheckItem[] }
  | { readonly view: "other"; readonly telling: string };

/** The most items of a checklist that are shown. */
const MOST_ITEMS = 200;

type Fields = Readonly<Record<string, unknown>>;

export const asFields = (value: unknown): Fields => (typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Fields) : {});

/** The first of these fields that holds a text. */
export function textOf(fields: Fields, ...names: readonly string[]): string | undefined {
  for (const name of names) {
    const value = fields[name];
    if (typeof value === "string" && value !== "") return value;
  }
  return undefined;
}

const PATHS = ["file_path", "path", "filePath", "absolute_path", "notebook_path", "filename", "target_file"] as const;
const TELLING = ["pattern", "query", "q", "url", "description", "title", "name", "skill", "prompt", "text", "question", ...PATHS] as const;

/** How a call is shown. `files` compares only when asked. */
export function toolView(name: string, data: Data | undefined): ToolView {
  const given = data?.["input"];
  const input = asFields(given);
  const short = name.toLowerCase().replace(/^.*[./:]/, "");
  const command = commandOf(input, short);
  const patch = patchOf(given, input, short, command);
  if (patch) return patch;
  if (command !== undefined) return { view: "command", command, about: textOf(input, "description"), folder: textOf(input, "cwd", "workdir", "dir_path") };
  const items = checklist(input["todos"] ?? input["plan"] ?? input["items"]);
  if (items) return { view: "checklist", items };
  const path = textOf(input, ...PATHS);
  if (path !== undefined && /^(?:read|view|open|cat)/.test(short)) return { view: "read", path, range: rangeOf(input) };
  return { view: "other", telling: tellingOf(given, input) };
}

/** One line that tells what it is about. */
export function telling(view: ToolView): string {
  switch (view.view) {
    case "command":
      return view.command;
    case "edit":
      return view.path ?? "";
    case "read":
      return view.range === undefined ? view.path : `${view.path} ${view.range}`;
    case "checklist":
      return `${view.items.filter((item) => item.state === "done").length.toString()} of ${view.items.length.toString()} done`;
    case "other":
      return view.telling;
  }
}

function commandOf(input: Fields, short: string): string | undefined {
  if (/^str_replace/.test(short)) return undefined;
  const value = input["command"] ?? input["cmd"];
  if (typeof value === "string" && value !== "") return value;
  if (!Array.isArray(value) || !value.every((part) => typeof part === "string")) return undefined;
  const parts = value as readonly string[];
  if (parts[0] === "apply_patch" && parts.length === 2) return parts[1];
  const isShell = parts.length === 3 && /(?:^|\/)(?:ba|z|da)?sh$/.test(parts[0] ?? "") && /^-l?c$/.test(parts[1] ?? "");
  return isShell ? parts[2] : parts.map((part) => (/^[\w@%+=:,./-]+$/.test(part) ? part : `'${part.replaceAll("'", String.raw`'\''`)}'`)).join(" ");
}

function patchOf(given: unknown, input: Fields, short: string, command: string | undefined): ToolView | undefined {
  const path = textOf(input, ...PATHS);
  const whole = wholePatch(given, input, command);
  if (whole !== undefined) return { view: "edit", path: path ?? firstPath(whole), files: () => readPatch(whole) };
  const changes = input["changes"];
  if (typeof changes === "object" && changes !== null) return changed(changes);
  if (Array.isArray(input["edits"])) {
    const edits = (input["edits"] as readonly unknown[]).map(asFields);
    return { view: "edit", path, files: () => edits.map((edit) => compare(path, oldOf(edit), newOf(edit))) };
  }
  if (typeof (input["old_string"] ?? input["old_str"] ?? input["oldString"]) === "string") {
    return { view: "edit", path, files: () => [compare(path, oldOf(input), newOf(input))] };
  }
  const content = textOf(input, "content", "contents", "file_text", "new_source");
  if (path !== undefined && content !== undefined && (/write|create|save|edit/.test(short) || "file_text" in input)) {
    return { view: "edit", path, files: () => [compare(path, "", content)] };
  }
  return undefined;
}

/** The text of a patch, wherever the agent puts it. */
function wholePatch(given: unknown, input: Fields, command: string | undefined): string | undefined {
  // A command may have any patch in it; only Codex's own is the command itself.
  const own = command !== undefined && /^\s*(?:apply_patch\b|\*\*\* Begin Patch)/.test(command) ? command : undefined;
  const texts = [given, input["patch"], input["input"], input["diff"], own];
  const isPatch = (text: unknown): text is string => typeof text === "string" && /^\*\*\* Begin Patch|^diff --git |^--- .*\n\+\+\+ /m.test(text);
  const found = texts.find(isPatch);
  return found?.slice(Math.max(0, found.indexOf("*** Begin Patch")));
}

const firstPath = (patch: string): string | undefined => /^(?:\*\*\* (?:Add|Update|Delete) File: |\+\+\+ (?:b\/)?)(.+)$/m.exec(patch)?.[1];

/** Codex's two forms: a list of changes with paths, or changes by path. */
function changed(changes: object): ToolView {
  const list = Array.isArray(changes) ? (changes as readonly unknown[]).map(asFields) : Object.entries(changes).map(([path, change]) => ({ path, ...asFields(change) }));
  const first = list[0] ? textOf(list[0], "path") : undefined;
  const more = list.length <= 1 ? "" : ` and ${(list.length - 1).toString()} more`;
  return { view: "edit", path: first === undefined ? undefined : first + more, files: () => list.flatMap(oneChange) };
}

function oneChange(change: Fields): readonly FileDiff[] {
  const path = textOf(change, "path");
  const inner = { ...asFields(change["add"]), ...asFields(change["update"]), ...change };
  const diff = textOf(inner, "diff", "unified_diff");
  const kind = textOf(change, "kind", "type") ?? textOf(asFields(change["kind"]), "type");
  const made: FileDiff["change"] = kind === "add" ? "created" : kind === "delete" ? "deleted" : "edited";
  const read = diff === undefined ? [] : readPatch(diff, path);
  if (0 < read.length) return read.map((file) => ({ ...file, path: path ?? file.path, change: made }));
  const content = textOf(inner, "content") ?? (made === "created" ? diff : undefined);
  return [{ ...compare(path, "", content ?? ""), change: made }];
}

const oldOf = (edit: Fields): string => textOf(edit, "old_string", "old_str", "oldString", "oldText") ?? "";
const newOf = (edit: Fields): string => textOf(edit, "new_string", "new_str", "newString", "newText") ?? "";

function rangeOf(input: Fields): string | undefined {
  const [offset, limit] = [input["offset"], input["limit"]];
  if (typeof offset === "number" && typeof limit === "number") return `${offset.toString()}–${(offset + limit - 1).toString()}`;
  return typeof offset === "number" ? `from ${offset.toString()}` : undefined;
}

/** A list of things to do in any of the forms that agents use. */
export function checklist(value: unknown): readonly CheckItem[] | undefined {
  if (!Array.isArray(value) || value.length === 0) return undefined;
  const items: CheckItem[] = [];
  for (const one of (value as readonly unknown[]).slice(0, MOST_ITEMS)) {
    const fields = asFields(one);
    const text = textOf(fields, "content", "text", "step", "title", "description");
    if (text === undefined || !("status" in fields || "completed" in fields)) return undefined;
    const isDone = fields["completed"] === true || fields["status"] === "completed" || fields["status"] === "done";
    items.push({ text, state: isDone ? "done" : fields["status"] === "in_progress" ? "busy" : "open" });
  }
  return items;
}

function tellingOf(given: unknown, input: Fields): string {
  if (typeof given === "string") return given;
  const known = TELLING.find((name) => typeof input[name] === "string" && input[name] !== "");
  const where = known !== undefined && !(PATHS as readonly string[]).includes(known) ? textOf(input, ...PATHS) : undefined;
  if (known !== undefined) return where === undefined ? String(input[known]) : `${String(input[known])} in ${where}`;
  const any = Object.values(input).find((value) => typeof value === "string" && value !== "");
  return typeof any === "string" ? any : "";
}

/** What came back, as text. */
export function outputText(output: unknown): string {
  if (typeof output === "string") return output;
  if (output === undefined || output === null) return "";
  if (Array.isArray(output)) {
    const texts = (output as readonly unknown[]).map((part) => textOf(asFields(part), "text"));
    if (0 < texts.length && texts.every((text) => text !== undefined)) return texts.join("\n");
  }
  const fields = asFields(output);
  const streams = [fields["stdout"], fields["stderr"]].filter((text) => typeof text === "string" && text !== "");
  if (0 < streams.length) return streams.join("\n");
  return textOf(fields, "output", "text", "content") ?? JSON.stringify(output, null, 2);
}
