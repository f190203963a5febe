/**
 * What agents say, made fit to be read: control characters as symbols, invisible and direction-changing ones by their number, and links that are
 * nothing but http(s). Everything here gives text that goes into text nodes.
 */

/** ZWJ and ZWNJ mean something after these: parts of emoji, and letters of scripts that join. */
const JOINED = String.raw`(?<!\p{Extended_Pictographic}\ufe0f?|\p{Emoji_Modifier}|\p{Script=Arabic}|\p{Script=Devanagari}|\p{Script=Bengali}|\p{Mn})[\u200c\u200d]`;

/** Presentation selectors mean something after what has more than one form. */
const SELECTED = String.raw`(?<![\p{Emoji}\p{So}\p{Sm}])[\ufe0e\ufe0f]`;

/** Controls but tab and newline, what has no shape, what changes the direction, and halves of characters. */
const HIDDEN = new RegExp(
  String.raw`[\0-\x08\x0b-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\u3164` +
    String.raw`\ufe00-\ufe0d\ufeff\uffa0\ufff9-\ufffb\u{e0000}-\u{e0fff}\p{Cs}]|${JOINED}|${SELECTED}`,
  "gu",
);

/** A text in which everything can be seen. Line ends of Windows become plain ones. */
export function visible(text: string): string {
  return text.replaceAll("\r\n", "\n").replace(HIDDEN, shown);
}

function shown(char: string): string {
  const code = char.codePointAt(0) ?? 0;
  if (code < 0x20) return String.fromCodePoint(0x2400 + code);
  if (code === 0x7f) return "\u2421";
  return `\u27e8U+${code.toString(16).toUpperCase().padStart(4, "0")}\u27e9`;
}

/** A stretch of text; with an `href` it is a link. */
export interface Stretch {
  readonly text: string;
  readonly href?: string;
}

/** Longer addresses stay text. */
export const LONGEST_LINK = 2_048;

const ADDRESS = /\bhttps?:\/\/[^\s<>"'`\u27e8\u27e9\u2400-\u2421|\\^{}]+/giu;

/** The text apart into links and what is between them. Takes what `visible` gave, so that no link goes over something hidden. */
export function withLinks(text: string): readonly Stretch[] {
  const stretches: Stretch[] = [];
  let from = 0;
  for (const match of text.matchAll(ADDRESS)) {
    if (LONGEST_LINK < match[0].length) continue;
    const address = trimmed(match[0]);
    const href = safeAddress(address);
    if (href === undefined) continue;
    if (from < match.index) stretches.push({ text: text.slice(from, match.index) });
    stretches.push({ text: address, href });
    from = match.index + address.length;
  }
  if (from < text.length) stretches.push({ text: text.slice(from) });
  return stretches;
}

/** Without the punctuation that ends a sentence rather than an address. */
function trimmed(address: string): string {
  let end = address.length;
  for (; 0 < end; end -= 1) {
    const last = address.charAt(end - 1);
    if (".,;:!?*_~".includes(last)) continue;
    if (last === ")" && isUnpaired(address.slice(0, end), "(", ")")) continue;
    if (last === "]" && isUnpaired(address.slice(0, end), "[", "]")) continue;
    break;
  }
  return address.slice(0, end);
}

const isUnpaired = (address: string, open: string, close: string): boolean => address.split(open).length < address.split(close).length;

/** The address if following it is harmless: http or https, with a host and without a name or password, which make one host look like another. */
export function safeAddress(text: string): string | undefined {
  if (LONGEST_LINK < text.length || !URL.canParse(text)) return undefined;
  const url = new URL(text);
  const isWeb = url.protocol === "http:" || url.protocol === "https:";
  return isWeb && url.hostname !== "" && url.username === "" && url.password === "" ? url.href : undefined;
}

/** What of a long text is shown at once. */
export interface Window {
  /** The most lines, and the most characters. */
  readonly lines: number;
  readonly chars: number;
}

/** So much of a text is shown before somebody asks for all of it. */
export const FOLDED: Window = { lines: 24, chars: 4_000 };

/** So much of it is in the page at a time even then; the rest is leafed through. */
export const UNFOLDED: Window = { lines: 1_000, chars: 100_000 };

/** Parts of lines that keep to the window: `[from, to)` for each. A line longer than the window is a part of its own. */
export function parts(lengths: readonly number[], window: Window): readonly (readonly [number, number])[] {
  const found: (readonly [number, number])[] = [];
  let from = 0;
  let chars = 0;
  for (const [i, length] of lengths.entries()) {
    if (from < i && (window.lines <= i - from || window.chars < chars + length)) {
      found.push([from, i]);
      from = i;
      chars = 0;
    }
    chars += length;
  }
  if (from < lengths.length) found.push([from, lengths.length]);
  return found;
}

/** A line cut into pieces of at most so many characters, never through the middle of one. */
export function chopped(line: string, chars: number): readonly string[] {
  if (line.length <= chars) return [line];
  const pieces: string[] = [];
  for (let from = 0; from < line.length; ) {
    let to = Math.min(line.length, from + chars);
    const last = line.charCodeAt(to - 1);
    if (to < line.length && 0xd800 <= last && last <= 0xdbff) to += 1;
    pieces.push(line.slice(from, to));
    from = to;
  }
  return pieces;
}

/** The first line that says something, cut to so many characters. */
export function firstLine(text: string, chars: number): string {
  const line = /\S[^\n]*/u.exec(text.slice(0, 4 * chars + 1_000))?.[0].trimEnd() ?? "";
  const shortened = line.length <= chars ? line : `${chopped(line, chars - 1)[0] ?? ""}…`;
  return visible(shortened);
}
