import { describe, expect, it } from "vitest";
import { BEHIND, type Colour, contrast, LEAST_CONTRAST } from "../src/model/colour.ts";
import { type Line, LONGEST_SEQUENCE, Terminal } from "../src/model/terminal.ts";

const E = "\x1b";

function written(...chunks: readonly string[]): readonly Line[] {
  const terminal = new Terminal();
  for (const chunk of chunks) terminal.write(chunk);
  return terminal.lines();
}

const texts = (...chunks: readonly string[]): string[] => written(...chunks).map((line) => line.spans.map((span) => span.text).join(""));

const triple = (text: string): Colour => [1, 3, 5].map((at) => Number.parseInt(text.slice(at, at + 2), 16)) as unknown as Colour;

describe("a terminal's text", () => {
  it.each<[string, string[]]>([
    ["a\nb\n", ["a", "b"]],
    ["a\r\nb", ["a", "b"]],
    ["10%\r20%\r100%\n", ["100%"]],
    ["abcdef\rX", ["Xbcdef"]],
    [`downloading${E}[2K\rdone\n`, ["done"]],
    [`abcdef\rXY${E}[K`, ["XY"]],
    ["ab\bc", ["ac"]],
    ["\b\b\bx", ["x"]],
    [`${E}[1Gx`, ["x"]],
    [`${E}[2J${E}[H${E}[?25l${E}[?1049h${E}[10;10Hx`, ["x"]],
    [`${E}]0;evil title\x07x`, ["x"]],
    [`${E}]8;;javascript:alert(1)${E}\\click${E}]8;;${E}\\`, ["click"]],
    [`${E}]52;c;ZXZpbA==\x07x`, ["⟨OSC 52⟩x"]],
    [`${E}]1337;File=inline=1:AAAA\x07x`, ["⟨OSC 1337⟩x"]],
    [`${E}P+q544e${E}\\x`, ["⟨DCS⟩x"]],
    [`${E}_app${E}\\x`, ["⟨control string⟩x"]],
    [`${E}(B${E}=${E}>${E}7${E}8${E}cx`, ["x"]],
    ["\x07bell\x00", ["␇bell␀"]],
    ["\x9b31mx", ["⟨U+009B⟩31mx"]],
    ["a\u202eb", ["a⟨U+202E⟩b"]],
    ["<img src=x onerror=alert(1)>", ["<img src=x onerror=alert(1)>"]],
    [`${E}]0;never ended\nx`, [`␛]0;never ended`, "x"]],
    ["", []],
  ])("of %j is %j", (text, lines) => {
    expect(texts(text)).toEqual(lines);
  });

  it("is the same however it is cut", () => {
    const whole = `plain ${E}[1;31mred${E}[0m ${E}]0;title${E}\\after\r\n10%\r20%${E}[K\n${E}[38;5;200mpink${E}[48;2;1;2;3mx${E}[m end\x07 \u202e`;
    const expected = written(whole);
    for (let at = 1; at < whole.length; at += 1) expect(written(whole.slice(0, at), whole.slice(at))).toEqual(expected);
    expect(written(...Array.from(whole))).toEqual(expected);
  });

  it("shows a sequence that has not ended", () => {
    expect(texts(`a${E}]0;tit`)).toEqual(["a␛]0;tit"]);
    expect(texts(`a${E}]0;${"x".repeat(LONGEST_SEQUENCE)}`)[0]).toMatch(/^a␛\]0;x+$/);
  });

  it("takes a line that is written over many times, and one that is huge", () => {
    const began = performance.now();
    expect(texts("x".repeat(100_000) + "\ry".repeat(20_000)).at(-1)).toBe("y");
    expect(texts(`${E}[1m`.repeat(50_000) + "x")).toEqual(["x"]);
    expect(performance.now() - began).toBeLessThan(5_000);
  });

  it("tells lines with something from stderr", () => {
    const terminal = new Terminal();
    terminal.write("out\n");
    terminal.write("err\n", true);
    expect(terminal.lines().map((line) => line.isError)).toEqual([false, true]);
  });
});

describe("a terminal's colours", () => {
  const look = (codes: string): unknown => written(`${E}[${codes}mx`)[0]?.spans[0]?.look;

  it.each([
    ["1", { bold: true }],
    ["3;4", { italic: true, underline: true }],
    ["1;22", undefined],
    ["31;39", undefined],
    ["5", undefined],
    ["8", undefined],
    ["999", undefined],
    ["", undefined],
  ])("%j looks like %j", (codes, expected) => {
    expect(look(codes)).toEqual(expected);
  });

  it("are the same in the colon form", () => {
    expect(look("38:2::200:100:50")).toEqual(look("38;2;200;100;50"));
    expect(look("38:5:99")).toEqual(look("38;5;99"));
    expect(look("38;5;99")).not.toEqual(look("38;5;100"));
  });

  it("can be read, whatever is asked for", () => {
    for (let front = 0; front < 256; front += 1) {
      for (const rest of ["", ";2", ";7", `;48;5;${front.toString()}`, `;48;5;${(255 - front).toString()};2`, `;48;2;${front.toString()};0;0`]) {
        const worn = look(`38;5;${front.toString()}${rest}`) as { color: string; background?: string };
        const behind = worn.background === undefined ? BEHIND : triple(worn.background);
        expect(contrast(triple(worn.color), behind), `${front.toString()}${rest}`).toBeGreaterThanOrEqual(LEAST_CONTRAST);
      }
    }
  });

  it("are nothing but six hexadecimal digits", () => {
    for (const codes of ["31", "38;5;1", "38;2;1;2;3", "7", "2", "48;2;255;255;255"]) {
      for (const value of Object.values(look(codes) as Record<string, unknown>)) if (value !== true) expect(value).toMatch(/^#[0-9a-f]{6}$/);
    }
  });
});
