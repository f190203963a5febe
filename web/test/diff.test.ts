import { describe, expect, it } from "vitest";
import { compare, LONGEST_COMPARED, MOST_UNCOMPARED, readPatch } from "../src/model/diff.ts";
import { outputText, telling, toolView } from "../src/model/tool.ts";

const shown = (lines: readonly { kind: string; text: string }[]): string[] =>
  lines.map(({ kind, text }) => (kind === "added" ? "+" : kind === "removed" ? "-" : kind === "note" ? "·" : " ") + text);

describe("comparing", () => {
  it("says which lines changed, with numbers and marks", () => {
    const diff = compare("a.rs", "one\ntwo\nthree\n", "one\n2wo\nthree\nfour\n");
    expect(shown(diff.lines)).toEqual([" one", "-two", "+2wo", " three", "+four"]);
    expect([diff.added, diff.removed]).toEqual([2, 1]);
    expect(diff.lines.map((line) => [line.before, line.after])).toEqual([[1, 1], [2, undefined], [undefined, 2], [3, 3], [undefined, 4]]);
    expect(diff.lines[1]?.mark).toEqual([0, 1]);
  });

  it("of nothing is a new file", () => {
    expect(compare("a", "", "x\n")).toMatchObject({ change: "created", added: 1, removed: 0 });
  });

  it("gives up on texts that are too large, or too different, and says so", () => {
    const began = performance.now();
    const large = compare("a", "a\n".repeat(500_000), "b\n".repeat(500_000));
    expect(large.isTooLarge).toBe(true);
    expect(large.lines.length).toBeLessThanOrEqual(2 * (MOST_UNCOMPARED + 1));
    const noise = (seed: number): string => Array.from({ length: 20_000 }, (_, i) => ((i * seed) % 9_973).toString()).join("\n");
    expect(compare("a", noise(7_919), noise(104_729)).isTooLarge).toBe(true);
    expect(performance.now() - began).toBeLessThan(2_000);
    expect(compare("a", "x".repeat(LONGEST_COMPARED / 2), "y".repeat(LONGEST_COMPARED / 2)).isTooLarge).toBe(false);
  });
});

describe("patches", () => {
  it("of diff -u and git are read", () => {
    const text = "diff --git a/x.ts b/x.ts\nindex 1..2 100644\n--- a/x.ts\n+++ b/x.ts\n@@ -10,2 +10,3 @@ function f\n a\n-b\n+c\n+d\n@@ -30 +31 @@\n-e\n+f\n";
    const [file] = readPatch(text);
    expect(file).toMatchObject({ path: "x.ts", change: "edited", added: 3, removed: 2 });
    expect(shown(file?.lines ?? [])).toEqual([" a", "-b", "+c", "+d", "·⋯", "-e", "+f"]);
    expect(file?.lines[1]?.before).toBe(11);
  });

  it("of Codex are read", () => {
    const text = "*** Begin Patch\n*** Add File: new.txt\n+hello\n*** Update File: old.txt\n*** Move to: moved.txt\n@@ def f\n-a\n+b\n*** Delete File: gone.txt\n*** End Patch";
    expect(readPatch(text).map(({ path, change, from, added, removed }) => ({ path, change, from, added, removed }))).toEqual([
      { path: "new.txt", change: "created", from: undefined, added: 1, removed: 0 },
      { path: "moved.txt", change: "moved", from: "old.txt", added: 1, removed: 1 },
      { path: "gone.txt", change: "deleted", from: undefined, added: 0, removed: 0 },
    ]);
  });

  it("of new and deleted files, and lines that look like headers", () => {
    expect(readPatch("--- /dev/null\n+++ b/n\n@@ -0,0 +1 @@\n+x\n")[0]).toMatchObject({ path: "n", change: "created" });
    expect(readPatch("--- a/n\n+++ /dev/null\n@@ -1 +0,0 @@\n-x\n")[0]).toMatchObject({ path: "n", change: "deleted" });
    const sql = readPatch("--- a/q.sql\n+++ b/q.sql\n@@ -1,2 +1,1 @@\n--- a comment\n keep\n");
    expect(shown(sql[0]?.lines ?? [])).toEqual(["--- a comment", " keep"]);
  });

  it.each(["", "hello", "@@", "+++", "*** Begin Patch", "\0\u202e", "--- a\n"])("%j is none", (text) => {
    expect(readPatch(text)).toEqual([]);
  });
});

describe("tools", () => {
  it.each<[string, unknown, string, string]>([
    ["Bash", { command: "make", description: "Build" }, "command", "make"],
    ["shell", { command: ["bash", "-lc", "ls -1"] }, "command", "ls -1"],
    ["shell", { command: ["git", "log", "a b"] }, "command", "git log 'a b'"],
    ["Edit", { file_path: "a.rs", old_string: "x", new_string: "y" }, "edit", "a.rs"],
    ["MultiEdit", { file_path: "a.rs", edits: [{ old_string: "x", new_string: "y" }] }, "edit", "a.rs"],
    ["Write", { file_path: "a.rs", content: "x" }, "edit", "a.rs"],
    ["edit", { changes: [{ path: "t.txt", diff: "@@ -1 +1 @@\n-old\n+new\n", kind: { type: "update" } }] }, "edit", "t.txt"],
    ["apply_patch", { input: "*** Begin Patch\n*** Update File: z\n@@\n-a\n+b\n*** End Patch" }, "edit", "z"],
    ["shell", { command: ["apply_patch", "*** Begin Patch\n*** Add File: q\n+b\n*** End Patch"] }, "edit", "q"],
    ["str_replace_based_edit_tool", { command: "str_replace", path: "p", old_str: "a", new_str: "b" }, "edit", "p"],
    ["Read", { file_path: "a.rs", offset: 10, limit: 5 }, "read", "a.rs 10–14"],
    ["TodoWrite", { todos: [{ content: "a", status: "completed" }, { content: "b", status: "in_progress" }] }, "checklist", "1 of 2 done"],
    ["Grep", { pattern: "fn main", path: "src" }, "other", "fn main in src"],
    ["web_search", { query: "x" }, "other", "x"],
    ["mcp.strange", { a: 1 }, "other", ""],
    ["mcp.strange", "text", "other", "text"],
    ["mcp.strange", null, "other", ""],
    ["TodoWrite", { todos: "no list" }, "other", "no list"],
  ])("%s of %j is a %s: %s", (name, input, view, line) => {
    const found = toolView(name, { input });
    expect(found.view).toBe(view);
    expect(telling(found)).toBe(line);
    if (found.view === "edit") expect(found.files().reduce((sum, file) => sum + file.added, 0)).toBe(1);
  });

  it.each<[unknown, string]>([
    ["x", "x"],
    [undefined, ""],
    [[{ type: "text", text: "a" }, { type: "text", text: "b" }], "a\nb"],
    [{ stdout: "o", stderr: "e" }, "o\ne"],
    [{ a: 1 }, '{\n  "a": 1\n}'],
    [[1], "[\n  1\n]"],
  ])("give %j as %j", (output, text) => {
    expect(outputText(output)).toBe(text);
  });
});
