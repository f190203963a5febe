/**
 * Output as a terminal would leave it, as far as that is harmless: colours and weights (SGR), carriage return, backspace and "erase the line" within the line at hand.
 * Nothing else is obeyed. Movements and modes are passed over, what programs say to a terminal (titles, links, the clipboard) is named where it is
 * not mere decoration, and every other control character is shown.
 */
import Anser from "anser";
import { BEHIND, between, type Colour, hex, ofPalette, ofTriple, PLAIN, readable } from "./colour.ts";
import { visible } from "./text.ts";

/** How a stretch of text looks. Equal looks are one object. */
export interface Look {
  readonly color?: string;
  readonly background?: string;
  readonly bold?: true;
  readonly italic?: true;
  readonly underline?: true;
}

export interface Span {
  readonly text: string;
  readonly look: Look | undefined;
}

export interface Line {
  readonly spans: readonly Span[];
  readonly length: number;
  /** Something of it came on stderr. */
  readonly isError: boolean;
}

/** Longer lines are not written over: a carriage return begins a new one. */
export const LONGEST_REWRITTEN = 2_000;

/** A sequence that is longer is not waited for: it is shown. */
export const LONGEST_SEQUENCE = 4_096;

/** How many different looks are remembered. */
const MOST_LOOKS = 4_096;

const SPECIAL = /[\n\r\b\x1b]/g;

/** CSI, OSC and other strings with their end, and the short ones. */
const CSI = /\x1b\[([\x30-\x3f]*)([\x20-\x2f]*)([\x40-\x7e])/y;
const STRING = /\x1b([\]PX^_])([^\x07\x1b\n]*)(?:\x07|\x1b\\)/y;
const SHORT = /\x1b[\x20-\x2f]*[\x30-\x4f\x51-\x57\x59\x5a\x5c\x60-\x7e]/y;
const UNFINISHED = /\x1b(?:\[[\x30-\x3f]*[\x20-\x2f]*|[\]PX^_][^\x07\x1b\n]*\x1b?|[\x20-\x2f]*)$/y;

/** What terminals use for titles, folders, links, colours and marks of prompts: nothing is lost without it. */
const DECORATION = new Set(["0", "1", "2", "7", "8", "10", "11", "12", "104", "110", "111", "112", "133", "633"]);

export class Terminal {
  readonly #lines: Line[] = [];
  readonly #sgr = new Anser();
  readonly #looks = new Map<string, Look>();
  #chars: string[] = [];
  #worn: (Look | undefined)[] = [];
  #column = 0;
  #isError = false;
  #look: Look | undefined;
  #rest = "";

  /** Takes more of what came. */
  write(text: string, isError = false): void {
    const all = this.#rest + text;
    this.#rest = "";
    let from = 0;
    SPECIAL.lastIndex = 0;
    for (let match = SPECIAL.exec(all); match; match = SPECIAL.exec(all)) {
      this.#put(all.slice(from, match.index), isError);
      from = this.#special(all, match.index, isError);
      SPECIAL.lastIndex = from;
    }
    this.#put(all.slice(from), isError);
  }

  /** All lines so far; the last one may still grow. A sequence without its end is shown there. */
  lines(): readonly Line[] {
    const last = this.#rest === "" ? this.#line() : joined(this.#line(), visible(this.#rest));
    return last.length === 0 ? [...this.#lines] : [...this.#lines, last];
  }

  /** Does what stands at this place; gives where it ends. */
  #special(all: string, at: number, isError: boolean): number {
    switch (all.charAt(at)) {
      case "\n":
        this.#newLine();
        return at + 1;
      case "\r":
        if (LONGEST_REWRITTEN < this.#chars.length) this.#newLine();
        this.#column = 0;
        return at + 1;
      case "\b":
        this.#column = Math.max(0, this.#column - 1);
        return at + 1;
      default:
        return this.#escape(all, at, isError);
    }
  }

  #escape(all: string, at: number, isError: boolean): number {
    const csi = matchAt(CSI, all, at);
    if (csi) {
      this.#control(csi[1] ?? "", csi[2] ?? "", csi[3] ?? "");
      return at + csi[0].length;
    }
    const string = matchAt(STRING, all, at);
    if (string) {
      this.#put(named(string[1] ?? "", string[2] ?? ""), isError);
      return at + string[0].length;
    }
    const short = matchAt(SHORT, all, at);
    if (short) return at + short[0].length;
    if (all.length - at <= LONGEST_SEQUENCE && matchAt(UNFINISHED, all, at)) {
      this.#rest = all.slice(at);
      return all.length;
    }
    this.#put("\x1b", isError);
    return at + 1;
  }

  #control(parameters: string, middle: string, final: string): void {
    if (middle !== "" || /[<-?]/.test(parameters)) return;
    if (final === "m") this.#dress(parameters);
    else if (final === "K") this.#erase(parameters);
    else if (final === "G" && (parameters === "" || parameters === "0" || parameters === "1")) this.#column = 0;
  }

  #dress(parameters: string): void {
    // The colon form has an empty place for the colour space before red, green and blue.
    const codes = parameters.replace(/([34]8):2:[0-9]*:([0-9]+:[0-9]+:[0-9]+)/g, "$1:2:$2").replaceAll(/4:0(?![0-9])/g, "24").replaceAll(":", ";");
    const state = this.#sgr.processChunkJson(`${codes}m`, { json: true, use_classes: true }, true);
    const worn = this.#sgr as unknown as { decorations: string[] };
    worn.decorations = [...new Set(worn.decorations)];
    const look = lookOf(state);
    const name = JSON.stringify(look);
    const known = name === "{}" ? undefined : (this.#looks.get(name) ?? look);
    if (known && this.#looks.size < MOST_LOOKS) this.#looks.set(name, known);
    this.#look = known;
  }

  #erase(parameters: string): void {
    if (parameters === "" || parameters === "0") this.#chars.length = this.#worn.length = Math.min(this.#column, this.#chars.length);
    else if (parameters === "2") {
      this.#chars = [];
      this.#worn = [];
    } else if (parameters === "1") {
      for (let i = 0; i < Math.min(this.#column, this.#chars.length); i += 1) [this.#chars[i], this.#worn[i]] = [" ", undefined];
    }
  }

  #put(text: string, isError: boolean): void {
    if (text === "") return;
    this.#isError ||= isError;
    for (let i = this.#chars.length; i < this.#column; i += 1) [this.#chars[i], this.#worn[i]] = [" ", undefined];
    for (const char of visible(text)) {
      this.#chars[this.#column] = char;
      this.#worn[this.#column] = this.#look;
      this.#column += 1;
    }
  }

  #newLine(): void {
    this.#lines.push(this.#line());
    this.#chars = [];
    this.#worn = [];
    this.#column = 0;
    this.#isError = false;
  }

  #line(): Line {
    const spans: Span[] = [];
    let from = 0;
    for (let i = 1; i <= this.#chars.length; i += 1) {
      if (i < this.#chars.length && this.#worn[i] === this.#worn[from]) continue;
      spans.push({ text: this.#chars.slice(from, i).join(""), look: this.#worn[from] });
      from = i;
    }
    return { spans, length: this.#chars.length, isError: this.#isError };
  }
}

function matchAt(pattern: RegExp, text: string, at: number): RegExpExecArray | null {
  pattern.lastIndex = at;
  return pattern.exec(text);
}

function joined(line: Line, more: string): Line {
  return { ...line, spans: [...line.spans, { text: more, look: undefined }], length: line.length + more.length };
}

/** What stands for a string that was meant for the terminal. */
function named(opener: string, content: string): string {
  if (opener !== "]") return opener === "P" ? "\u27e8DCS\u27e9" : "\u27e8control string\u27e9";
  const code = /^[0-9]{1,5}(?=;|$)/.exec(content)?.[0] ?? "";
  return DECORATION.has(code) ? "" : `\u27e8OSC${code === "" ? "" : ` ${code}`}\u27e9`;
}

interface Sgr {
  readonly fg: string | null;
  readonly bg: string | null;
  readonly fg_truecolor: string | null;
  readonly bg_truecolor: string | null;
  readonly decorations: readonly string[];
}

function lookOf(sgr: Sgr): Look {
  const has = new Set(sgr.decorations);
  let front = colourOf(sgr.fg, sgr.fg_truecolor);
  let back = colourOf(sgr.bg, sgr.bg_truecolor);
  if (has.has("reverse")) [front, back] = [back ?? BEHIND, front ?? PLAIN];
  const behind = back ?? BEHIND;
  // Hidden text is shown like any other.
  if (has.has("dim")) front = between(front ?? PLAIN, behind, 0.35);
  const isPlain = front === undefined && back === undefined;
  return {
    ...(!isPlain && { color: hex(readable(front ?? PLAIN, behind)) }),
    ...(back && { background: hex(back) }),
    ...(has.has("bold") && { bold: true as const }),
    ...(has.has("italic") && { italic: true as const }),
    ...(has.has("underline") && { underline: true as const }),
  };
}

const CLASSES = ["black", "red", "green", "yellow", "blue", "magenta", "cyan", "white"];

function colourOf(name: string | null, triple: string | null): Colour | undefined {
  if (name === null) return undefined;
  if (name === "ansi-truecolor") return triple === null ? undefined : ofTriple(triple);
  const palette = /^ansi-palette-([0-9]+)$/.exec(name)?.[1];
  if (palette !== undefined) return ofPalette(Number(palette));
  const [, bright, colour = ""] = /^ansi-(bright-)?([a-z]+)$/.exec(name) ?? [];
  const index = CLASSES.indexOf(colour);
  return index < 0 ? undefined : ofPalette(index + (bright === undefined ? 0 : 8));
}
