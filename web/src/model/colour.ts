/** Colours of terminals, kept readable: whatever a program asks for, text has enough contrast with what is behind it. */

/** Red, green and blue, 0 to 255. */
export type Colour = readonly [number, number, number];

/** What the terminal block is drawn on; the lighter one of the two themes, which is the harder one. */
export const BEHIND: Colour = [0x16, 0x20, 0x2b];

/** Text without a colour of its own, and faint text. */
export const PLAIN: Colour = [0xd9, 0xe1, 0xea];

/** What WCAG asks of text (AA). */
export const LEAST_CONTRAST = 4.5;

/** The sixteen named colours, chosen for the dark block. */
const NAMED: readonly Colour[] = [
  [0x3b, 0x47, 0x54], [0xff, 0x7b, 0x6b], [0x4c, 0xc3, 0x8a], [0xe8, 0xb4, 0x4c],
  [0x7f, 0xb2, 0xe5], [0xd2, 0x9a, 0xe8], [0x56, 0xc4, 0xcf], [0xd9, 0xe1, 0xea],
  [0x6c, 0x7a, 0x89], [0xff, 0x9d, 0x90], [0x7f, 0xe0, 0xae], [0xff, 0xcf, 0x70],
  [0xa6, 0xcc, 0xf2], [0xe3, 0xbb, 0xf3], [0x86, 0xdd, 0xe6], [0xff, 0xff, 0xff],
];

const LEVELS = [0, 95, 135, 175, 215, 255] as const;

/** A colour of the palette of 256. */
export function ofPalette(index: number): Colour | undefined {
  if (index < 16) return NAMED[index];
  if (232 <= index && index < 256) {
    const grey = 8 + 10 * (index - 232);
    return [grey, grey, grey];
  }
  if (256 <= index || !Number.isInteger(index)) return undefined;
  const level = (step: number): number => LEVELS[Math.floor((index - 16) / step) % 6] ?? 0;
  return [level(36), level(6), level(1)];
}

/** `12, 34, 56` as a colour. */
export function ofTriple(text: string): Colour | undefined {
  const [r = Number.NaN, g = Number.NaN, b = Number.NaN, ...more] = text.split(",").map(Number);
  const fits = [r, g, b].every((part) => Number.isInteger(part) && 0 <= part && part <= 255);
  return fits && more.length === 0 ? [r, g, b] : undefined;
}

function luminance(colour: Colour): number {
  const linear = colour.map((part) => {
    const share = part / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * (linear[0] ?? 0) + 0.7152 * (linear[1] ?? 0) + 0.0722 * (linear[2] ?? 0);
}

export function contrast(one: Colour, other: Colour): number {
  const [high = 0, low = 0] = [luminance(one), luminance(other)].sort((a, b) => b - a);
  return (high + 0.05) / (low + 0.05);
}

/** So much of the way from one to the other, 0 to 1. */
export function between(from: Colour, to: Colour, share: number): Colour {
  const part = (i: 0 | 1 | 2): number => Math.round(from[i] + (to[i] - from[i]) * share);
  return [part(0), part(1), part(2)];
}

/** The colour, moved towards black or white as far as it must be to be read on this one. */
export function readable(colour: Colour, behind: Colour): Colour {
  const [black, white]: readonly [Colour, Colour] = [[0, 0, 0], [255, 255, 255]];
  const goal = contrast(black, behind) < contrast(white, behind) ? white : black;
  for (let share = 0; share < 1; share += 0.125) {
    const moved = between(colour, goal, share);
    if (LEAST_CONTRAST <= contrast(moved, behind)) return moved;
  }
  return goal;
}

export const hex = (colour: Colour): string => `#${colour.map((part) => part.toString(16).padStart(2, "0")).join("")}`;
