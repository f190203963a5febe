import { describe, expect, it } from "vitest";
import { chopped, firstLine, parts, safeAddress, visible, withLinks } from "../src/model/text.ts";

describe("visible", () => {
  it.each([
    ["plain text\n\twith tabs", "plain text\n\twith tabs"],
    ["a\r\nb", "a\nb"],
    ["a\rb", "a␍b"],
    ["\x1b[31mred", "␛[31mred"],
    ["\0\x07\x7f", "␀␇␡"],
    ["\x9b31m", "⟨U+009B⟩31m"],
    ["admin\u202etxt.exe", "admin⟨U+202E⟩txt.exe"],
    ["\u2066a\u2069", "⟨U+2066⟩a⟨U+2069⟩"],
    ["pay\u200bpal\ufeff", "pay⟨U+200B⟩pal⟨U+FEFF⟩"],
    ["a\ud800b", "a⟨U+D800⟩b"],
    ["\udc00", "⟨U+DC00⟩"],
    ["\u{e0041}", "⟨U+E0041⟩"],
    ["x\u200dy", "x⟨U+200D⟩y"],
    ["👩‍👩‍👧‍👦 ❤️ 👍🏽‍💻", "👩‍👩‍👧‍👦 ❤️ 👍🏽‍💻"],
    ["می‌خواهم", "می‌خواهم"],
    ["a\ufe0f", "a⟨U+FE0F⟩"],
    ["<b onclick=alert(1)>", "<b onclick=alert(1)>"],
  ])("%j is shown as %j", (text, shown) => {
    expect(visible(text)).toBe(shown);
  });

  it("leaves nothing of what it hides in any text", () => {
    for (let code = 0; code < 0x2100; code += 1) {
      const shown = visible(`x${String.fromCodePoint(code)}y`);
      expect(shown).not.toMatch(/[\0-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u2069]/);
    }
  });
});

describe("links", () => {
  it.each([
    ["see https://a.test/x.", ["https://a.test/x"]],
    ["(http://a.test/b_(c))", ["http://a.test/b_(c)"]],
    ["https://a.test, https://b.test", ["https://a.test", "https://b.test"]],
    ["javascript:alert(1)", []],
    ["JaVaScRiPt:alert(1)//https:", []],
    ["data:text/html,<script>", []],
    ["file:///etc/passwd ftp://a.test", []],
    ["https://user:pw@a.test/", []],
    ["https://google.com@evil.test/", []],
    ["https://", []],
    ["xhttps://a.test", []],
    ["https://a.test/\u202ecod.exe", ["https://a.test/"]],
    ['<a href="https://a.test/">', ["https://a.test/"]],
    [`https://a.test/${"x".repeat(3_000)}`, []],
  ])("in %j: %j", (text, links) => {
    const stretches = withLinks(visible(text));
    expect(stretches.filter((one) => one.href !== undefined).map((one) => one.text)).toEqual(links);
    expect(stretches.map((one) => one.text).join("")).toBe(visible(text));
  });

  it.each(["javascript:alert(1)", " javascript:alert(1)", "vbscript:x", "blob:https://a.test/1", "//a.test", "https://a@b.test", ""])("%j is not followed", (text) => {
    expect(safeAddress(text)).toBeUndefined();
  });
});

describe("windows over long texts", () => {
  it("part lines by their number and their length, and lose none", () => {
    const lengths = Array.from({ length: 2_500 }, (_, i) => (i * 7_919) % 301);
    const found = parts(lengths, { lines: 100, chars: 5_000 });
    expect(found[0]?.[0]).toBe(0);
    expect(found.at(-1)?.[1]).toBe(2_500);
    for (const [i, [from, to]] of found.entries()) {
      if (0 < i) expect(found[i - 1]?.[1]).toBe(from);
      expect(to - from).toBeLessThanOrEqual(100);
      expect(lengths.slice(from, to).reduce((sum, one) => sum + one, 0)).toBeLessThanOrEqual(5_000);
    }
  });

  it("cut a line between characters only", () => {
    const line = "a😀".repeat(100);
    const pieces = chopped(line, 2);
    expect(pieces.join("")).toBe(line);
    for (const piece of pieces) expect(piece).not.toMatch(/[\ud800-\udbff]$/);
  });

  it.each([
    ["\n\n  hello \nworld", 20, "hello"],
    ["abcdefgh", 5, "abcd…"],
    ["", 5, ""],
  ])("the first line of %j in %i characters is %j", (text, chars, line) => {
    expect(firstLine(text, chars)).toBe(line);
  });
});
