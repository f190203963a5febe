/** What stands in a row, by the kind of its entry. */
import { type Component, Match, Show, Switch } from "solid-js";
import type { Activity } from "tasklight/viewer";
import type { Entry, SingleEntry, TextEntry } from "../../model/entry.ts";
import { firstLine, visible } from "../../model/text.ts";
import { CustomBody, ErrorBody, ProgressBody, StatusBody, UsageBody } from "./facts.tsx";
import { Fold } from "./fold.tsx";
import { foldOf, restFold, rowFold } from "./folding.ts";
import { OutputBody } from "./output.tsx";
import { useRendering } from "./rendering.ts";
import { ToolBody } from "./tool.tsx";
import { Whole } from "./whole.tsx";
import { Words } from "./words.tsx";

const LONGEST_THOUGHT = 200;

export const Body: Component<{ entry: Entry }> = (props) => {
  const as = <K extends Entry["kind"]>(kind: K): Extract<Entry, { kind: K }> | undefined =>
    props.entry.kind === kind ? (props.entry as Extract<Entry, { kind: K }>) : undefined;
  const single = (kind: SingleEntry["kind"]): SingleEntry | undefined => (props.entry.kind === kind ? props.entry : undefined);
  const text = (kind: TextEntry["kind"]): TextEntry | undefined => (props.entry.kind === kind ? props.entry : undefined);
  return (
    <>
      <Show when={props.entry.parent}>{(parent) => <SubAgent call={parent()} />}</Show>
      <Switch>
        <Match when={text("message")}>{(entry) => <MessageBody entry={entry()} />}</Match>
        <Match when={text("thinking")}>{(entry) => <ThinkingBody entry={entry()} />}</Match>
        <Match when={as("tool")}>{(entry) => <ToolBody entry={entry()} />}</Match>
        <Match when={as("output")}>{(entry) => <OutputBody entry={entry()} name={restFold(entry().key)} />}</Match>
        <Match when={single("status")}>{(entry) => <StatusBody activity={entry().activity} />}</Match>
        <Match when={single("progress")}>{(entry) => <ProgressBody data={entry().activity.data} />}</Match>
        <Match when={single("error")}>{(entry) => <ErrorBody activity={entry().activity} name={restFold(entry().key)} />}</Match>
        <Match when={single("usage")}>{(entry) => <UsageBody data={entry().activity.data} />}</Match>
        <Match when={single("custom")}>{(entry) => <CustomBody entry={entry()} />}</Match>
        <Match when={as("hole")}>{(entry) => <p class="tl-hole">{visible(entry().text)}</p>}</Match>
      </Switch>
    </>
  );
};

/** The text as its pieces have come, or the whole one that was asked for. */
const textOf = (entry: TextEntry, activity: Activity): string => {
  const whole = activity === entry.activity ? undefined : activity.data["text"];
  return typeof whole === "string" ? whole : entry.text;
};

/** Whose work it is, if a sub-agent's. */
const SubAgent: Component<{ call: string }> = (props) => {
  const rendering = useRendering();
  return <span class="tl-sub">{visible(rendering.nameOf(props.call) ?? "sub-agent")}</span>;
};

const MessageBody: Component<{ entry: TextEntry }> = (props) => (
  <div class="tl-message" data-role={props.entry.role === "user" ? "user" : "other"}>
    <span class="tl-role">{visible(props.entry.role ?? "message")}</span>
    <Whole activity={props.entry.activity}>
      {(activity) => (
        <Words
          name={restFold(props.entry.key)}
          text={textOf(props.entry, activity())}
          isGrowing={props.entry.open}
        />
      )}
    </Whole>
    <Show when={props.entry.open}>
      <span class="tl-typing" aria-label="still writing" />
    </Show>
  </div>
);

const ThinkingBody: Component<{ entry: TextEntry }> = (props) => (
  <Fold
    name={rowFold(props.entry.key)}
    of={foldOf(props.entry) ?? { kind: "thinking", isOpen: false }}
    head={
      <>
        <span class="tl-label">thinking</span>
        <span class="tl-note tl-thought">{firstLine(props.entry.open ? props.entry.text.slice(-LONGEST_THOUGHT) : props.entry.text, LONGEST_THOUGHT)}</span>
      </>
    }
  >
    <Whole activity={props.entry.activity}>
      {(activity) => <Words name={restFold(props.entry.key)} text={textOf(props.entry, activity())} />}
    </Whole>
  </Fold>
);
