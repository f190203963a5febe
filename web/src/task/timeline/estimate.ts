/** How high a row probably is before it has been on screen, so that the scroll bar tells the truth early. */
import type { Entry } from "../../model/entry.ts";
import { FOLDED } from "../../model/text.ts";
import { foldOf } from "./folding.ts";

const ROW_PX = 30;
const WORDS_LINE_PX = 21;
const OUTPUT_LINE_PX = 18;
const BLOCK_PX = 22;
/** An average character of running text, and what of the width is not text. */
const CHAR_PX = 7.2;
const ASIDE_PX = 170;

/** Texts are looked at no further than this. */
const LOOKED_AT = 4_000;

export function estimate(entry: Entry | undefined, width: number): number {
  if (!entry) return ROW_PX;
  switch (entry.kind) {
    case "message":
      return BLOCK_PX + WORDS_LINE_PX * wrapped(entry.text, width);
    case "output": {
      let lines = 0;
      for (const chunk of entry.chunks) {
        lines += breaks(chunk.text);
        if (FOLDED.lines < lines) break;
      }
      return BLOCK_PX + OUTPUT_LINE_PX * Math.min(FOLDED.lines + 2, Math.max(1, lines));
    }
    case "tool":
      return foldOf(entry)?.isOpen === true ? 6 * ROW_PX : ROW_PX;
    case "error":
      return 2 * ROW_PX;
    default:
      return ROW_PX;
  }
}

function wrapped(text: string, width: number): number {
  const perLine = Math.max(20, (width - ASIDE_PX) / CHAR_PX);
  let lines = 0;
  for (const line of text.slice(0, LOOKED_AT).split("\n", FOLDED.lines + 1)) lines += Math.max(1, Math.ceil(line.length / perLine));
  return Math.min(FOLDED.lines + 2, lines);
}

function breaks(text: string): number {
  let count = 0;
  for (let at = text.indexOf("\n"); 0 <= at && count <= FOLDED.lines; at = text.indexOf("\n", at + 1)) count += 1;
  return count;
}
