/** What an edit changes, line by line: worked out from both texts, or read from a patch. Bounded: what is too large is said to be, and shown as plain text. */
import { structuredPatch } from "diff";

export interface DiffLine {
  readonly kind: "same" | "added" | "removed" | "note";
  readonly text: string;
  /** Its number in the old and in the new text, where known. */
  readonly before: number | undefined;
  readonly after: number | undefined;
  /** What of the line differs from its counterpart: from where, and how long. */
  readonly mark: readonly [number, number] | undefined;
}

export interface FileDiff {
  readonly path: string | undefined;
  readonly change: "edited" | "created" | "deleted" | "moved";
  /** Where it was before it moved. */
  readonly from: string | undefined;
  readonly lines: readonly DiffLine[];
  readonly added: number;
  readonly removed: number;
  /** The texts were too large, or too different, to be compared. */
  readonly isTooLarge: boolean;
}

/** Longer texts (characters, both together) are not compared. */
export const LONGEST_COMPARED = 400_000;

/** Texts that differ in more lines are not compared further. */
export const MOST_EDITS = 3_000;

/** Comparing two texts takes no longer than this. */
export const COMPARE_MS = 80;

/** Of texts that were not compared, so many lines are listed of each. */
export const MOST_UNCOMPARED = 2_000;

/** Longer lines get no marks within them. */
const LONGEST_MARKED = 2_000;

const CONTEXT_LINES = 3;

/** What changes between two texts. */
export function compare(path: string | undefined, before: string, after: string): FileDiff {
  const change = before === "" ? "created" : "edited";
  if (LONGEST_COMPARED < before.length + after.length) return uncompared(path, before, after);
  if (before === "") return file(path, change, linesOf(after).map((text, i) => line("added", text, undefined, i + 1)));
  const options = { context: CONTEXT_LINES, maxEditLength: MOST_EDITS, timeout: COMPARE_MS };
  const patch = structuredPatch("", "", before, after, undefined, undefined, options);
  if (!patch) return uncompared(path, before, after);
  const lines: DiffLine[] = [];
  for (const [i, hunk] of patch.hunks.entries()) {
    if (0 < i) lines.push(line("note", "⋯"));
    // What is compared is mostly a part of a file: that it ends without a newline says nothing.
    numbered(hunk.lines.filter((one) => !one.startsWith("\\")), hunk.oldStart, hunk.newStart, lines);
  }
  return file(path, change, lines);
}

function uncompared(path: string | undefined, before: string, after: string): FileDiff {
  const some = (text: string, kind: "added" | "removed"): DiffLine[] => {
    const all = linesOf(text);
    const shown = all.slice(0, MOST_UNCOMPARED).map((one) => line(kind, one));
    return all.length <= MOST_UNCOMPARED ? shown : [...shown, line("note", `⋯ ${(all.length - MOST_UNCOMPARED).toString()} more lines`)];
  };
  return { ...file(path, "edited", [...some(before, "removed"), ...some(after, "added")]), isTooLarge: true };
}

/**
 * A patch in the form of `diff -u` or git, or of Codex's `apply_patch`. Takes what it can read: lines that are part of nothing become notes. Gives nothing if
 * there is not one change in it.
 */
export function readPatch(text: string, path?: string): readonly FileDiff[] {
  const files: Draft[] = [];
  let at: Draft | undefined = path === undefined ? undefined : begin(files, path, "edited");
  let hunk: string[] | undefined;
  let from: readonly [number, number] | undefined;
  const close = (): void => {
    if (at && hunk && 0 < hunk.length) {
      if (0 < at.lines.length) at.lines.push(line("note", "⋯"));
      numbered(hunk, from?.[0], from?.[1], at.lines);
    }
    hunk = undefined;
    from = undefined;
  };
  for (const one of linesOf(text)) {
    const named = /^\*\*\* (Add|Update|Delete) File: (.+)$/.exec(one);
    if (named) {
      close();
      at = begin(files, named[2] ?? "", named[1] === "Add" ? "created" : named[1] === "Delete" ? "deleted" : "edited");
      if (at.change === "created") hunk = [];
      continue;
    }
    const moved = /^(?:\*\*\* Move to|rename to):? (.+)$/.exec(one)?.[1];
    if (moved !== undefined && at) {
      [at.from, at.path, at.change] = [at.path, moved, "moved"];
      continue;
    }
    if (/^\*\*\* (?:Begin|End) Patch|^\*\*\* End of File/.test(one)) {
      close();
      continue;
    }
    const git = /^diff --git a\/(.+) b\/(.+)$/.exec(one);
    if (git) {
      close();
      at = begin(files, git[2] ?? "", "edited");
      continue;
    }
    const header = hunk !== undefined && !isFull(hunk, from, one) ? null : /^(---|\+\+\+) (.+)$/.exec(one);
    if (header) {
      close();
      at = headed(files, at, header[1] === "---", (header[2] ?? "").split("\t", 1)[0] ?? "");
      continue;
    }
    const start = /^@@(?: -(\d+)(?:,\d+)? \+(\d+)(?:,\d+)? @@)?/.exec(one);
    if (start) {
      close();
      at ??= begin(files, undefined, "edited");
      hunk = [];
      from = start[1] === undefined ? undefined : [Number(start[1]), Number(start[2])];
      continue;
    }
    if (hunk && (/^[ +\-\\]/.test(one) || one === "")) hunk.push(one === "" ? " " : one);
    else if (at && !hunk && /^[+-]/.test(one)) hunk = [one];
    else if (/^new file/.test(one) && at) at.change = "created";
    else if (/^deleted file/.test(one) && at) at.change = "deleted";
  }
  close();
  const found = files.filter((one) => 0 < one.lines.length || one.change !== "edited");
  return found.map((one) => ({ ...file(one.path, one.change, one.lines), from: one.from }));
}

interface Draft {
  path: string | undefined;
  from: string | undefined;
  change: FileDiff["change"];
  readonly lines: DiffLine[];
}

function begin(files: Draft[], path: string | undefined, change: FileDiff["change"]): Draft {
  const made: Draft = { path, from: undefined, change, lines: [] };
  files.push(made);
  return made;
}

/** `--- a` and `+++ b` say which file it is, or were said already by the line before. */
function headed(files: Draft[], at: Draft | undefined, isOld: boolean, name: string): Draft {
  const path = name === "/dev/null" ? undefined : name.replace(/^[ab]\//, "");
  const made = at?.lines.length === 0 ? at : begin(files, undefined, "edited");
  if (path === undefined) made.change = isOld ? "created" : "deleted";
  else made.path ??= path;
  return made;
}

/** Whether `---` can only be a header here: a removed line that begins with `--` looks the same. */
function isFull(hunk: readonly string[], from: readonly [number, number] | undefined, one: string): boolean {
  return from !== undefined && 0 < hunk.length && /^--- (?:a\/|\/dev\/null)/.test(one);
}

function linesOf(text: string): string[] {
  const lines = text.replaceAll("\r\n", "\n").split("\n");
  if (lines.at(-1) === "") lines.pop();
  return lines;
}

function line(kind: DiffLine["kind"], text: string, before?: number, after?: number, mark?: readonly [number, number]): DiffLine {
  return { kind, text, before, after, mark };
}

/** Lines with their first character telling what they are, numbered on from here. */
function numbered(hunk: readonly string[], before: number | undefined, after: number | undefined, into: DiffLine[]): void {
  const start = into.length;
  let [old, now] = [before, after];
  const next = (number: number | undefined): number | undefined => (number === undefined ? undefined : number + 1);
  for (const one of hunk) {
    const text = one.slice(1);
    if (one.startsWith("+")) {
      into.push(line("added", text, undefined, now));
      now = next(now);
    } else if (one.startsWith("-")) {
      into.push(line("removed", text, old));
      old = next(old);
    } else if (one.startsWith("\\")) into.push(line("note", text.trim()));
    else {
      into.push(line("same", text, old, now));
      [old, now] = [next(old), next(now)];
    }
  }
  markPairs(into, start);
}

/** Where as many lines were removed as were added, what differs within each pair is marked. */
function markPairs(lines: DiffLine[], start: number): void {
  for (let i = start; i < lines.length; ) {
    let removed = i;
    while (lines[removed]?.kind === "removed") removed += 1;
    let added = removed;
    while (lines[added]?.kind === "added") added += 1;
    if (i < removed && removed - i === added - removed) {
      for (let k = 0; k < removed - i; k += 1) markPair(lines, i + k, removed + k);
    }
    i = Math.max(i + 1, added);
  }
}

function markPair(lines: DiffLine[], one: number, other: number): void {
  const [old, now] = [lines[one], lines[other]];
  if (!old || !now || LONGEST_MARKED < old.text.length || LONGEST_MARKED < now.text.length) return;
  const shorter = Math.min(old.text.length, now.text.length);
  let head = 0;
  while (head < shorter && old.text[head] === now.text[head]) head += 1;
  let tail = 0;
  while (tail < shorter - head && old.text.at(-1 - tail) === now.text.at(-1 - tail)) tail += 1;
  // Pairs that have little in common are two different lines.
  if (head + tail < shorter / 3) return;
  lines[one] = { ...old, mark: [head, old.text.length - tail - head] };
  lines[other] = { ...now, mark: [head, now.text.length - tail - head] };
}

function file(path: string | undefined, change: FileDiff["change"], lines: readonly DiffLine[]): FileDiff {
  const count = (kind: DiffLine["kind"]): number => lines.filter((one) => one.kind === kind).length;
  return { path, change, from: undefined, lines, added: count("added"), removed: count("removed"), isTooLarge: false };
}
