/** Output as a terminal shows it. */
import { type Component, createMemo, For, type JSX } from "solid-js";
import type { OutputEntry } from "../../model/entry.ts";
import { type Line, type Look, Terminal } from "../../model/terminal.ts";
import { Long } from "./long.tsx";

interface Read {
  readonly terminal: Terminal;
  readonly first: number | undefined;
  readonly chunks: number;
}

/** The output of a run. What comes is added to what was read; colours go on from piece to piece. */
export const OutputBody: Component<{ entry: OutputEntry; name: string }> = (props) => {
  const read = createMemo<Read>(
    (before) => {
      const { chunks } = props.entry;
      const first = chunks[0]?.offset;
      const isMore = before.first === first && before.chunks <= chunks.length;
      const terminal = isMore ? before.terminal : new Terminal();
      for (const chunk of chunks.slice(isMore ? before.chunks : 0)) terminal.write(chunk.text, chunk.stream === "stderr");
      return { terminal, first, chunks: chunks.length };
    },
    { terminal: new Terminal(), first: undefined, chunks: 0 },
  );
  const lines = createMemo(() => read().terminal.lines());
  return <Screen lines={lines()} name={props.name} isGrowing />;
};

/** A text from a tool, as a terminal shows it. */
export const TerminalText: Component<{ text: string; name: string; isError?: boolean }> = (props) => {
  const lines = createMemo(() => {
    const terminal = new Terminal();
    terminal.write(props.text, props.isError === true);
    return terminal.lines();
  });
  return <Screen lines={lines()} name={props.name} />;
};

const Screen: Component<{ lines: readonly Line[]; name: string; isGrowing?: boolean }> = (props) => {
  const lengths = createMemo(() => props.lines.map((line) => line.length));
  return (
    <div class="tl-screen">
      <Long name={props.name} lengths={lengths()} isGrowing={props.isGrowing === true}>
        {(from, to) => (
          <pre class="tl-term">
            <For each={props.lines.slice(from, to)}>{(line) => <TermLine line={line} />}</For>
          </pre>
        )}
      </Long>
    </div>
  );
};

const TermLine: Component<{ line: Line }> = (props) => (
  <div class="tl-term-line" classList={{ "tl-stderr": props.line.isError }}>
    <For each={props.line.spans}>
      {(span): JSX.Element => (span.look === undefined ? span.text : <span style={styleOf(span.look)}>{span.text}</span>)}
    </For>
    {"\n"}
  </div>
);

/** Only what the look names, and only values that we made. */
function styleOf(look: Look): JSX.CSSProperties {
  return {
    ...(look.color !== undefined && { color: look.color }),
    ...(look.background !== undefined && { "background-color": look.background }),
    ...(look.bold === true && { "font-weight": "650" }),
    ...(look.italic === true && { "font-style": "italic" }),
    ...(look.underline === true && { "text-decoration": "underline" }),
  };
}
