/** Running text: what was said or thought, as it was written. Links can be followed, code is set as code; nothing of the text is left out. */
import { type Component, createMemo, For, type JSX } from "solid-js";
import { chopped, UNFOLDED, visible, withLinks } from "../../model/text.ts";
import { Long } from "./long.tsx";

/** A line longer than a part of a text is cut into pieces of this. */
const PIECE = UNFOLDED.chars / 4;

interface Prepared {
  readonly lines: readonly string[];
  readonly lengths: readonly number[];
  /** Lines within fences, and the fences. */
  readonly isCode: readonly boolean[];
}

export const Words: Component<{ name: string; text: string; isPlain?: boolean; isGrowing?: boolean }> = (props) => {
  const prepared = createMemo(() => prepare(props.text, props.isPlain === true));
  return (
    <div class="tl-words" dir="auto">
      <Long name={props.name} lengths={prepared().lengths} isGrowing={props.isGrowing === true}>
        {(from, to) => <For each={stretches(prepared(), from, to)}>{(one) => (one.isCode ? <code class="tl-code">{one.text}</code> : <Inline text={one.text} />)}</For>}
      </Long>
    </div>
  );
};

/** Text within a line: links, and code between backticks. */
export const Inline: Component<{ text: string }> = (props) => {
  const pieces = createMemo(() => props.text.split(/(`[^`\n]{1,400}`)/));
  return (
    <For each={pieces()}>
      {(piece): JSX.Element => (piece.length > 2 && piece.startsWith("`") && piece.endsWith("`") ? <code>{piece}</code> : <Linked text={piece} />)}
    </For>
  );
};

export const Linked: Component<{ text: string }> = (props) => (
  <For each={withLinks(props.text)}>
    {(stretch): JSX.Element =>
      stretch.href === undefined ? (
        stretch.text
      ) : (
        <a href={stretch.href} target="_blank" rel="noopener noreferrer" tabindex="-1">
          {stretch.text}
        </a>
      )
    }
  </For>
);

function prepare(text: string, isPlain: boolean): Prepared {
  const lines = visible(text)
    .replace(/\s+$/, "")
    .split("\n")
    .flatMap((line) => chopped(line, PIECE));
  const isCode: boolean[] = [];
  let isInside = false;
  for (const line of lines) {
    const isFence = !isPlain && /^\s*(?:```|~~~)/.test(line);
    isCode.push(isInside || isFence);
    if (isFence) isInside = !isInside;
  }
  return { lines, isCode, lengths: lines.map((line) => line.length) };
}

function stretches({ lines, isCode }: Prepared, from: number, to: number): readonly { readonly text: string; readonly isCode: boolean }[] {
  const found: { text: string; isCode: boolean }[] = [];
  for (let i = from; i < to; i += 1) {
    const last = found.at(-1);
    const [line, code] = [lines[i] ?? "", isCode[i] ?? false];
    if (last?.isCode === code) last.text += `\n${line}`;
    else found.push({ text: line, isCode: code });
  }
  return found;
}
