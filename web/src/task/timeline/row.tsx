/** A row: when and whose, what happened, and what can be done with it. Its element is used again for other entries; what stands in it is made anew. */
import { type Component, createEffect, createMemo, Show } from "solid-js";
import type { Entry } from "../../model/entry.ts";
import { visible } from "../../model/text.ts";
import { clockTime } from "../../ui/badge.ts";
import { taskAddress } from "../../ui/route.ts";
import { exact, iso } from "../../ui/time.tsx";
import { Body } from "./body.tsx";
import { copyJson, copyLink, copyWords } from "./copying.ts";
import type { Slot } from "./rows.ts";
import { colourOf, type RunName } from "./run-names.ts";
import type { TaskView } from "./view.ts";

interface RowProps {
  readonly slot: Slot;
  readonly entry: Entry | undefined;
  readonly view: TaskView;
  /** Whose it is, where there is more than one. */
  readonly run: RunName | undefined;
  /** The row before it is of the same run. */
  readonly isSameRun: boolean;
  readonly count: number;
  readonly isMarked: boolean;
  readonly measure: (element: HTMLElement) => void;
}

export const Row: Component<RowProps> = (props) => {
  let element: HTMLElement | undefined;
  createEffect(() => {
    // Another row is another height, and another index another place for it.
    props.slot.key();
    props.slot.index();
    if (element) props.measure(element);
  });
  const entry = createMemo(() => props.entry);
  const isFocused = (): boolean => props.view.focused() === props.slot.key();
  const name = (): string => `tl-${props.slot.key().toString()}`;
  return (
    <article
      ref={element}
      class="tl-row"
      data-index={props.slot.index()}
      data-key={props.slot.key()}
      data-offset={entry()?.key}
      data-kind={entry()?.kind}
      data-marked={props.isMarked ? "" : undefined}
      data-focused={isFocused() ? "" : undefined}
      data-run={props.run?.colour}
      data-sub={subColour(entry())}
      aria-posinset={props.slot.index() + 1}
      aria-setsize={props.count}
      aria-labelledby={name()}
      tabindex={isFocused() ? 0 : -1}
      style={{ transform: `translateY(${props.slot.start().toString()}px)` }}
      onFocusIn={() => {
        props.view.focus(props.slot.key());
      }}
    >
      <Show when={props.slot.key()} keyed>
        <Show when={entry()}>
          {(one) => (
            <>
              <a
                id={name()}
                class="tl-time"
                tabindex="-1"
                href={taskAddress(props.view.log.task, one().key)}
                title={`#${one().key.toString()} · ${exact(one().timestamp)}`}
                onClick={(event) => {
                  if (event.ctrlKey || event.metaKey || event.shiftKey) return;
                  event.preventDefault();
                  void copyLink(props.view, one());
                }}
              >
                <time datetime={iso(one().timestamp)}>{clockTime(one().timestamp)}</time>
                <span class="visually-hidden">, #{one().key}, {KINDS[one().kind]}</span>
              </a>
              <Show when={props.run}>{(run) => <Who run={run()} id={one().invocationId} isSame={props.isSameRun} />}</Show>
              <div class="tl-body">
                <Body entry={one()} />
              </div>
              <Show when={one().kind !== "hole"}>
                <Actions view={props.view} entry={one()} />
              </Show>
            </>
          )}
        </Show>
      </Show>
    </article>
  );
};

/** The run's short name, and the whole id for whoever points at it. */
const Who: Component<{ run: RunName; id: string; isSame: boolean }> = (props) => (
  <span class="tl-who" data-same={props.isSame ? "" : undefined}>
    <span class="tl-who-short">{props.run.name}</span>
    <Show when={props.run.name !== props.id}>
      <span class="tl-who-whole" aria-hidden="true">{visible(props.id)}</span>
    </Show>
  </span>
);

const KINDS: Readonly<Record<Entry["kind"], string>> = {
  message: "message", thinking: "thinking", tool: "tool call", output: "output", status: "status", progress: "progress", error: "error",
  usage: "usage", custom: "activity", hole: "notice",
};

const subColour = (entry: Entry | undefined): number | undefined => (entry?.parent === undefined ? undefined : colourOf(entry.parent));

const Actions: Component<{ view: TaskView; entry: Entry }> = (props) => (
  <div class="tl-actions" role="group" aria-label={`#${props.entry.key.toString()}`}>
    <button type="button" tabindex="-1" title="Copy the link (y)" aria-label="Copy the link" onClick={() => void copyLink(props.view, props.entry)}>
      #{props.entry.key}
    </button>
    <button type="button" tabindex="-1" title="Copy the text (c)" aria-label="Copy the text" onClick={() => void copyWords(props.view, props.entry)}>
      text
    </button>
    <button type="button" tabindex="-1" title="Copy as JSON (Shift+C)" aria-label="Copy as JSON" onClick={() => void copyJson(props.view, props.entry)}>
      JSON
    </button>
  </div>
);
