import { render } from "solid-js/web";
import { For } from "solid-js";
import type { Activity } from "tasklight/viewer";
import { describe, expect, it } from "vitest";
import { Entries } from "../src/model/entries.ts";
import { escaped, rendered } from "../src/task/export/file.tsx";
import { Body } from "../src/task/timeline/body.tsx";
import { Folds, foldOf } from "../src/task/timeline/folding.ts";
import { RenderingContext } from "../src/task/timeline/rendering.ts";

const HOSTILE = [
  "<img src=x onerror=alert(1)>",
  "<script>alert(1)</script></script><style>*{display:none}</style>",
  "</pre></details></article><iframe srcdoc='<script>alert(1)</script>'>",
  "javascript:alert(1)",
  "[click](javascript:alert(1)) <a href=\"javascript:alert(1)\">x</a>",
  "https://user:password@evil.test/ http://evil.test\" onmouseover=\"alert(1)",
  "a\u202etxt.exe \u2066x\u2069 \u200b\ufeff \ud800 \udc00",
  "\x1b]8;;javascript:alert(1)\x1b\\click\x1b]8;;\x1b\\",
  "\x1b]52;c;ZXZpbA==\x07\x1b]0;title\x07\x1b[?1049h\x1b[2J\x1b[H\x1b[31mred",
  "\x1b[38;2;1;2;3;url(https://evil.test)m x",
  "\"><svg onload=alert(1)>",
  "&lt;b&gt; &#x202e; &amp;",
  "x".repeat(30_000),
  `${"y".repeat(50)}\n`.repeat(500),
  "\0\x07\x1b\r\b",
  "```\n<b>code</b>\n```\n`<i>`",
  "",
];

const CASES = HOSTILE.map((text, i) => [i, text] as const);

const ELEMENTS = new Set(["A", "ARTICLE", "B", "BUTTON", "CODE", "DETAILS", "DIV", "LI", "P", "PRE", "PROGRESS", "SPAN", "SUMMARY", "SVG", "CIRCLE", "PATH", "UL"]);
const STYLES = new Set(["color", "background-color", "font-weight", "font-style", "text-decoration"]);
/** Attributes, and what they may say: nothing that comes from an agent but the addresses of links. */
const ATTRIBUTES: Readonly<Record<string, RegExp>> = {
  class: /^[a-z -]*$/,
  dir: /^auto$/,
  href: /^(?:https?:\/\/|#\d+$)/,
  id: /^\d+$/,
  max: /^100$/,
  open: /^(?:|true)$/,
  rel: /^noopener noreferrer$/,
  style: /^(?:[a-z-]+:\s*(?:#[0-9a-f]{6}|rgb\([\d, ]+\)|650|italic|underline);?\s*)*$/,
  tabindex: /^-1$/,
  target: /^_blank$/,
  title: /^#\d+ · [\w ,.:+-]+$|^(?:pending|running|completed|failed|cancelled|lost)$/,
  type: /^button$/,
  value: /^[\d.]+$/,
  viewBox: /^0 0 16 16$/,
};

let offset = 0;
function activity(type: string, data: Readonly<Record<string, unknown>>, invocationId = "run-1"): Activity {
  offset += 1;
  const at = 1_764_000_000_000 + offset;
  return { taskId: "t", offset, cursor: `00000000-${offset.toString()}`, invocationId, eventId: "", timestamp: at, receivedAt: at, type, data };
}

/** Every type with the text wherever a text can be. */
function corpus(text: string): Activity[] {
  const id = `call-${offset.toString()}`;
  const whole = { text, name: text, role: text, message: text, code: text, status: text, agent: text, title: text, reason: text, tool: text, percent: text, [text]: text };
  return [
    activity("message", whole),
    activity("thinking", whole),
    activity("status", whole),
    activity("status", { status: "failed", reason: text, title: text, agent: text }),
    activity("progress", { ...whole, percent: 50 }),
    activity("error", whole),
    activity("usage", { ...whole, inputTokens: 5, costUsd: 1, durationMs: 5 }),
    activity("custom", whole),
    activity("custom", { name: "needs_approval", tool: text, input: { command: text } }),
    activity("custom", { name: "plan", items: [{ text, completed: true }] }),
    activity("unheard_of", whole),
    activity("output", { stream: "stdout", text }),
    activity("output", { stream: "stderr", text }),
    activity("tool_call", { toolCallId: id, name: text, input: { command: text, description: text, cwd: text } }),
    activity("tool_result", { toolCallId: id, output: text, isError: true }),
    activity("tool_call", { toolCallId: `${id}e`, name: "Edit", input: { file_path: text, old_string: text, new_string: `${text}!` }, parentToolCallId: id }),
    activity("tool_result", { toolCallId: `${id}e`, output: [{ type: "text", text }], parentToolCallId: id }),
    activity("tool_call", { toolCallId: `${id}p`, name: "apply_patch", input: `*** Begin Patch\n*** Update File: ${text}\n@@\n-${text}\n+x\n*** End Patch` }),
    activity("tool_call", { toolCallId: `${id}t`, name: "TodoWrite", input: { todos: [{ content: text, status: text }] } }),
    activity("tool_call", { toolCallId: `${id}o`, name: text, input: { [text]: text, a: `${text}\n${text}` } }, text.slice(0, 100)),
  ];
}

function check(root: Element): void {
  for (const element of root.querySelectorAll("*")) {
    expect(ELEMENTS).toContain(element.tagName.toUpperCase());
    for (const { name, value } of Array.from(element.attributes)) {
      const isOwn = /^(?:data|aria)-[a-z]+$/.test(name) ? /^[\w ,-]*$/ : element.closest("svg") ? /^[\w .,-]*$/ : ATTRIBUTES[name];
      expect(isOwn, `${element.tagName} ${name}="${value}"`).toBeDefined();
      expect(value, `${element.tagName} ${name}`).toMatch(isOwn ?? /$^/);
    }
    for (const property of Array.from((element as HTMLElement).style as Iterable<string>)) expect(STYLES).toContain(property);
  }
}

describe("renderers", () => {
  const entriesOf = (activities: readonly Activity[]): Entries["list"] => {
    const entries = new Entries();
    entries.append(activities);
    return entries.list;
  };

  it.each(CASES)("make text of hostile text %i, and nothing else", (_, text) => {
    const list = entriesOf(corpus(text));
    const folds = new Folds();
    for (const entry of list) {
      const fold = foldOf(entry);
      if (fold) folds.setKind(fold.kind, true);
    }
    const place = document.createElement("div");
    const dispose = render(
      () => (
        <RenderingContext.Provider value={{ isStatic: false, folds, isFollowing: () => false, nameOf: () => text, isCut: () => true, full: () => Promise.reject(new Error("none")) }}>
          <For each={list}>{(entry) => <Body entry={entry} />}</For>
        </RenderingContext.Provider>
      ),
      place,
    );
    check(place);
    expect(place.querySelectorAll("button[aria-expanded=true]").length).toBeGreaterThan(5);
    expect(place.textContent).not.toMatch(/[\0-\x08\x0b-\x1f\u200b\u202a-\u202e\u2066-\u2069\ufeff]/);
    dispose();
  });

  it.each(CASES)("make a file of hostile text %i in which it is text, and nothing else", (_, text) => {
    const html = rendered(corpus(text));
    const parsed = new DOMParser().parseFromString(`<!doctype html><body><main>${html}</main></body>`, "text/html");
    const main = parsed.querySelector("main");
    if (!main) throw new Error("the file has no place for rows");
    check(main);
    expect(parsed.querySelectorAll("main > article").length).toBe(entriesOf(corpus(text)).length);
  });

  it("keep what of a huge text is in the page within bounds, folded and unfolded", () => {
    const text = "a line of text\n".repeat(50_000);
    const list = entriesOf([activity("message", { role: "assistant", text }), activity("output", { stream: "stdout", text })]);
    const folds = new Folds();
    const place = document.createElement("div");
    document.body.append(place);
    const dispose = render(
      () => (
        <RenderingContext.Provider value={{ isStatic: false, folds, isFollowing: () => false, nameOf: () => undefined, isCut: () => false, full: () => Promise.reject(new Error("none")) }}>
          <For each={list}>{(entry) => <Body entry={entry} />}</For>
        </RenderingContext.Provider>
      ),
      place,
    );
    expect(place.textContent.length).toBeLessThan(2_000);
    for (const button of place.querySelectorAll<HTMLButtonElement>("button[aria-expanded]")) button.click();
    expect(place.querySelectorAll("*").length).toBeLessThan(3_000);
    expect(place.textContent.length).toBeLessThan(250_000);
    const next = Array.from(place.querySelectorAll("button")).find((button) => button.textContent === "next");
    next?.click();
    expect(place.querySelector(".tl-leaf")?.textContent).toBe("1,001 to 2,000");
    dispose();
    place.remove();
  });

  it("escape what is written into a file by hand", () => {
    expect(escaped(`<a href="x">&'\u202e`)).toBe("&lt;a href=&quot;x&quot;&gt;&amp;&#39;⟨U+202E⟩");
  });
});
