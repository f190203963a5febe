// Terminal text made safe: colours by an allow-list of SGR codes (ECMA-48), every other control made visible, nothing obeyed.

const SGR = /\x1b\[([0-9;:]*)m/g;
const HIDDEN = /[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff]/g;

/** Control characters as symbols, invisible and direction-changing ones by their number. */
export function visible(text) {
  return text.replace(HIDDEN, (char) => {
    const code = char.codePointAt(0);
    if (code < 0x20) return String.fromCodePoint(0x2400 + code);
    if (code === 0x7f) return "\u2421";
    return `\u27e8U+${code.toString(16).toUpperCase().padStart(4, "0")}\u27e9`;
  });
}

/** What a terminal would leave of each line: a carriage return starts the line again. */
function lastOfLine(text) {
  if (!text.includes("\r")) return text;
  return text
    .split("\n")
    .map((line) => line.replace(/\r+$/, "").split("\r").at(-1))
    .join("\n");
}

/** Appends the text to `into` as spans with classes; gives the style that goes on. */
export function appendTerminal(into, text, style = {}) {
  const plain = lastOfLine(text);
  let from = 0;
  for (const match of plain.matchAll(SGR)) {
    appendSpan(into, plain.slice(from, match.index), style);
    style = apply(style, match[1]);
    from = match.index + match[0].length;
  }
  appendSpan(into, plain.slice(from), style);
  return style;
}

function appendSpan(into, text, style) {
  if (text === "") return;
  const classes = Object.values(style).filter(Boolean);
  if (classes.length === 0) {
    into.append(visible(text));
    return;
  }
  const span = document.createElement("span");
  span.className = classes.join(" ");
  span.append(visible(text));
  into.append(span);
}

function apply(style, codes) {
  const next = { ...style };
  const list = codes === "" ? [0] : codes.split(/[;:]/).map(Number);
  for (let i = 0; i < list.length; i += 1) {
    const code = list[i];
    if (code === 0) for (const key of Object.keys(next)) delete next[key];
    else if (code === 1) next.bold = "b";
    else if (code === 2) next.faint = "faint";
    else if (code === 3) next.italic = "i";
    else if (code === 4) next.under = "u";
    else if (code === 22) { delete next.bold; delete next.faint; }
    else if (code === 23) delete next.italic;
    else if (code === 24) delete next.under;
    else if (code >= 30 && code <= 37) next.fg = `fg${code - 30}`;
    else if (code >= 90 && code <= 97) next.fg = `fg${code - 90} b`;
    else if (code === 39) delete next.fg;
    // 256 and true colours: told apart from what follows, and left out.
    else if (code === 38 || code === 48) i += list[i + 1] === 5 ? 2 : 4;
  }
  return next;
}
