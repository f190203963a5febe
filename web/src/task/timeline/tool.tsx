/** A call of a tool and what came back: one line that tells, and everything else below it. */
import { type Component, createMemo, For, Match, type JSX, Show, Switch } from "solid-js";
import type { Activity } from "tasklight/viewer";
import { durationText } from "../../model/duration.ts";
import type { ToolEntry } from "../../model/entry.ts";
import { firstLine, visible } from "../../model/text.ts";
import { asFields, type CheckItem, outputText, telling, toolView, type ToolView } from "../../model/tool.ts";
import { useClock } from "../../ui/clock.ts";
import { DiffView } from "./diff.tsx";
import { Fold } from "./fold.tsx";
import { foldOf, rowFold, viewOf } from "./folding.ts";
import { TerminalText } from "./output.tsx";
import { useRendering } from "./rendering.ts";
import { Whole } from "./whole.tsx";
import { Words } from "./words.tsx";

/** The most characters of the telling part. */
const LONGEST_TELLING = 300;

/** How often the time of a call that has not ended is looked at. */
const TICK_MS = 1_000;

export const ToolBody: Component<{ entry: ToolEntry }> = (props) => {
  const fold = createMemo(() => foldOf(props.entry) ?? { kind: "tool calls", isOpen: false }, undefined, { equals: (a, b) => a.isOpen === b.isOpen });
  const view = (): ToolView => viewOf(props.entry);
  return (
    <Fold name={rowFold(props.entry.key)} of={fold()} head={<ToolHead entry={props.entry} view={view()} />}>
      <Show when={props.entry.call} fallback={<p class="tl-rest">The call is not held here.</p>}>
        {(call) => <Whole activity={call()}>{(activity) => <Input activity={activity()} name={props.entry.name} id={rowFold(props.entry.key)} />}</Whole>}
      </Show>
      <Show when={props.entry.result}>
        {(result) => <Whole activity={result()}>{(activity) => <Result activity={activity()} view={view()} isError={props.entry.isError} id={rowFold(props.entry.key)} />}</Whole>}
      </Show>
    </Fold>
  );
};

const ToolHead: Component<{ entry: ToolEntry; view: ToolView }> = (props) => {
  const isOpen = (): boolean => props.entry.endedAt === undefined;
  return (
    <>
      <span class="tl-mark" data-state={props.entry.isError ? "error" : isOpen() ? "open" : "done"} aria-hidden="true" />
      <b class="tl-tool">{visible(props.entry.name)}</b>
      <span class="tl-telling">{firstLine(telling(props.view), LONGEST_TELLING)}</span>
      <Show when={props.view.view === "command" ? props.view.about : undefined}>{(about) => <span class="tl-about">{firstLine(about(), 120)}</span>}</Show>
      <Show when={props.entry.isError}>
        <span class="tl-failed">failed</span>
      </Show>
      <Show when={props.entry.endedAt} fallback={<Elapsed since={props.entry.timestamp} />}>
        {(endedAt) => <span class="tl-took">{durationText(endedAt() - props.entry.timestamp)}</span>}
      </Show>
    </>
  );
};

/** A call that has not ended: how long it has been going on. In a file it has no clock. */
const Elapsed: Component<{ since: number }> = (props) => {
  const now = useRendering().isStatic ? undefined : useClock(TICK_MS);
  const seconds = (at: number): number => Math.floor(Math.max(0, at - props.since) / TICK_MS);
  return (
    <Show when={now} fallback={<span class="tl-took">no result</span>}>
      {(clock) => <span class="tl-took tl-open">{durationText(seconds(clock()()) * TICK_MS)}</span>}
    </Show>
  );
};

const Input: Component<{ activity: Activity; name: string; id: string }> = (props) => {
  const view = createMemo(() => toolView(props.name, props.activity.data));
  return (
    <Switch fallback={<Json value={props.activity.data["input"]} name={`${props.id}:in`} />}>
      <Match when={asView(view(), "command")}>
        {(command) => (
          <>
            <pre class="tl-command">
              <Show when={command().folder}>{(folder) => <span class="tl-faint">{visible(folder())} </span>}</Show>
              <span class="tl-faint">$ </span>
              {visible(command().command)}
            </pre>
          </>
        )}
      </Match>
      <Match when={asView(view(), "edit")}>{(edit) => <DiffView files={edit().files()} name={`${props.id}:diff`} />}</Match>
      <Match when={asView(view(), "checklist")}>{(list) => <Checklist items={list().items} />}</Match>
      <Match when={asView(view(), "read")}>{(read) => <p class="tl-path">{visible(telling(read()))}</p>}</Match>
    </Switch>
  );
};

const asView = <V extends ToolView["view"]>(view: ToolView, name: V): Extract<ToolView, { view: V }> | undefined =>
  isView(view, name) ? view : undefined;

const isView = <V extends ToolView["view"]>(view: ToolView, name: V): view is Extract<ToolView, { view: V }> => view.view === name;

const Result: Component<{ activity: Activity; view: ToolView; isError: boolean; id: string }> = (props) => {
  const text = (): string => outputText(props.activity.data["output"]);
  const exit = (): unknown => props.activity.data["exitCode"];
  const isSaid = (): boolean => props.view.view === "edit" && !props.isError && text().length < 400;
  return (
    <>
      <Show when={text().trim() !== "" && !isSaid()}>
        <TerminalText text={text()} name={`${props.id}:out`} isError={props.isError} />
      </Show>
      <Show when={text().trim() === ""}>
        <p class="tl-rest">{props.isError ? "failed without output" : "no output"}</p>
      </Show>
      <Show when={typeof exit() === "number" && exit() !== 0}>
        <p class="tl-rest">exit code {String(exit())}</p>
      </Show>
    </>
  );
};

export const Checklist: Component<{ items: readonly CheckItem[] }> = (props) => (
  <ul class="tl-checklist">
    <For each={props.items}>
      {(item) => (
        <li data-state={item.state}>
          <span class="tl-check" aria-hidden="true" />
          <span class="visually-hidden">{item.state}: </span>
          {visible(item.text)}
        </li>
      )}
    </For>
  </ul>
);

/** Any value. Its texts of several lines are shown as such, because nobody reads `\n`. */
export const Json: Component<{ value: unknown; name: string }> = (props): JSX.Element => {
  const fields = createMemo(() => Object.entries(asFields(props.value)));
  const isFlat = createMemo(() => 0 < fields().length && fields().length <= 12 && fields().some(([, value]) => typeof value === "string" && value.includes("\n")));
  const all = (): string => (typeof props.value === "string" ? props.value : props.value === undefined ? "" : JSON.stringify(props.value, null, 2));
  return (
    <Show
      when={isFlat()}
      fallback={
        <div class="tl-json">
          <Words name={props.name} text={all()} isPlain />
        </div>
      }
    >
      <div class="tl-json">
        <For each={fields()}>
          {([field, value]) => (
            <div class="tl-field">
              <span class="tl-faint">{visible(field)} </span>
              <Words name={`${props.name}:${field}`} text={typeof value === "string" ? value : JSON.stringify(value)} isPlain />
            </div>
          )}
        </For>
      </div>
    </Show>
  );
};

