/** What an edit changes. */
import { type Component, createMemo, For, type JSX, Show } from "solid-js";
import type { DiffLine, FileDiff } from "../../model/diff.ts";
import { visible } from "../../model/text.ts";
import { Long } from "./long.tsx";

const SIGNS: Readonly<Record<DiffLine["kind"], string>> = { same: " ", added: "+", removed: "-", note: " " };

export const DiffView: Component<{ files: readonly FileDiff[]; name: string }> = (props) => (
  <For each={props.files}>
    {(file, index) => (
      <div class="tl-diff">
        <div class="tl-diff-head">
          <span class="tl-path">{file.from === undefined ? visible(file.path ?? "") : `${visible(file.from)} → ${visible(file.path ?? "")}`}</span>
          <Show when={file.change !== "edited"}>
            <span class="tl-tag">{file.change}</span>
          </Show>
          <Show when={file.isTooLarge}>
            <span class="tl-tag">too large to compare: both texts are listed</span>
          </Show>
          <Show when={0 < file.added + file.removed}>
            <Count added={file.added} removed={file.removed} />
          </Show>
        </div>
        <FileLines file={file} name={`${props.name}:${index().toString()}`} />
      </div>
    )}
  </For>
);

export const Count: Component<{ added: number; removed: number }> = (props) => (
  <span class="tl-count" aria-label={`${props.added.toString()} lines added, ${props.removed.toString()} removed`}>
    <span class="tl-plus">+{props.added}</span> <span class="tl-minus">−{props.removed}</span>
  </span>
);

const FileLines: Component<{ file: FileDiff; name: string }> = (props) => {
  const lengths = createMemo(() => props.file.lines.map((line) => line.text.length));
  const isNumbered = createMemo(() => props.file.lines.some((line) => line.before !== undefined || line.after !== undefined));
  return (
    <Long name={props.name} lengths={lengths()}>
      {(from, to) => (
        <div class="tl-diff-lines" classList={{ "tl-numbered": isNumbered() }}>
          <For each={props.file.lines.slice(from, to)}>
            {(line) => (
              <div class="tl-diff-line" data-kind={line.kind}>
                <Show when={isNumbered()}>
                  <span class="tl-number" aria-hidden="true">
                    {line.after ?? line.before ?? ""}
                  </span>
                </Show>
                <span class="tl-sign">{SIGNS[line.kind]}</span>
                <span class="tl-diff-text">{marked(line)}</span>
              </div>
            )}
          </For>
        </div>
      )}
    </Long>
  );
};

function marked(line: DiffLine): JSX.Element {
  const { text, mark } = line;
  if (mark === undefined || mark[1] === 0) return visible(text);
  const [from, length] = mark;
  return [visible(text.slice(0, from)), <span class="tl-changed">{visible(text.slice(from, from + length))}</span>, visible(text.slice(from + length))];
}
