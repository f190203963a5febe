import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";

const CSS = readFileSync(join(import.meta.dirname, "../src/style/theme.css"), "utf8");


/** What a token is in light and in dark. */
function token(name: string): { light: string; dark: string } {
  const value = new RegExp(`--${name}: ([^;]+);`).exec(CSS)?.[1] ?? "";
  const [, light, dark] = /^light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\)$/.exec(value) ?? [];
  if (light !== undefined && dark !== undefined) return { light, dark };
  if (/^#[0-9a-f]{6}$/.test(value)) return { light: value, dark: value };
  throw new Error(`--${name} is no colour: ${value}`);
}

type Colour = readonly [number, number, number];
const colour = (hex: string): Colour => [1, 3, 5].map((at) => Number.parseInt(hex.slice(at, at + 2), 16)) as unknown as Colour;
const mix = (one: Colour, other: Colour, share: number): Colour => one.map((part, n) => part * share + (other[n] ?? 0) * (1 - share)) as unknown as Colour;

/** WCAG 2.2, relative luminance and contrast ratio. */
function luminance(parts: Colour): number {
  const [red = 0, green = 0, blue = 0] = parts.map((part) => (part / 255 <= 0.04045 ? part / 255 / 12.92 : ((part / 255 + 0.055) / 1.055) ** 2.4));
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

function contrast(one: Colour, other: Colour): number {
  const [low = 0, high = 0] = [luminance(one), luminance(other)].sort((a, b) => a - b);
  return (high + 0.05) / (low + 0.05);
}

const GROUNDS = ["paper", "card", "raised", "chosen"];
const TEXTS = ["ink", "faint", "good", "bad", "busy", "calm"];
const PAIRS: readonly (readonly [text: string, ground: string])[] = [
  ...TEXTS.flatMap((text) => GROUNDS.map((ground) => [text, ground] as const)),
  ...["term-ink", "term-faint"].map((text) => [text, "term"] as const),
  ...["add", "del", "mark"].map((ground) => ["ink", ground] as const),
  // A button that stands out.
  ["paper", "ink"],
];

describe.each(["light", "dark"] as const)("in %s", (theme) => {
  const of = (name: string): Colour => colour(token(name)[theme]);

  it.each(PAIRS)("%s can be read on %s", (text, ground) => {
    expect(contrast(of(text), of(ground))).toBeGreaterThanOrEqual(4.5);
  });

  it.each(["good", "busy", "bad"])("the badge's %s can be read on its own tint", (tone) => {
    expect(contrast(of(tone), mix(of(tone), of("paper"), 0.08))).toBeGreaterThanOrEqual(4.5);
  });

  it.each(["good", "bad", "busy", "calm", "focus"])("a mark or line of %s can be seen", (name) => {
    for (const ground of GROUNDS) expect(contrast(of(name), of(ground))).toBeGreaterThanOrEqual(3);
  });
});

it("knows black from white", () => {
  expect(contrast([0, 0, 0], [255, 255, 255])).toBeCloseTo(21);
});
