/** Single activities: how a run stands, how far it has come, errors, figures, and whatever agents tell under names of their own. */
import { type Component, Match, Show, Switch } from "solid-js";
import type { Activity, Data, Status } from "tasklight/viewer";
import { durationText } from "../../model/duration.ts";
import type { SingleEntry } from "../../model/entry.ts";
import { numberOf, objectOf, textOf } from "../../model/told.ts";
import { firstLine, visible } from "../../model/text.ts";
import { asFields, checklist, telling, toolView } from "../../model/tool.ts";
import { costText, countText, figuresOf } from "../../model/usage.ts";
import { StatusMark } from "../../ui/status.tsx";
import { Fold } from "./fold.tsx";
import { foldOf, rowFold } from "./folding.ts";
import { Checklist, Json } from "./tool.tsx";
import { Whole } from "./whole.tsx";
import { Words } from "./words.tsx";

const STATUSES: ReadonlySet<string> = new Set<Status>(["pending", "running", "completed", "failed", "cancelled", "lost"]);

/** The most characters of a note beside a name. */
const LONGEST_NOTE = 240;

export const StatusBody: Component<{ activity: Activity }> = (props) => {
  const field = (name: string): string | undefined => textOf(props.activity.data, name);
  const status = (): string => field("status") ?? "";
  const exit = (): number | undefined => numberOf(props.activity.data, "exitCode");
  return (
    <div class="tl-line tl-status">
      <Show when={STATUSES.has(status())} fallback={<b>{visible(status())}</b>}>
        <StatusMark status={status() as Status} />
      </Show>
      <Show when={field("agent")}>{(agent) => <b>{visible(agent())}</b>}</Show>
      <Show when={field("title")}>{(title) => <span class="tl-note">{firstLine(title(), LONGEST_NOTE)}</span>}</Show>
      <Show when={exit() !== undefined}>
        <span class="tl-tag">exit {exit()}</span>
      </Show>
      <Show when={field("reason")}>{(reason) => <span class="tl-reason">{firstLine(reason(), 2 * LONGEST_NOTE)}</span>}</Show>
    </div>
  );
};

export const ProgressBody: Component<{ data: Data }> = (props) => {
  const share = (): number | undefined => {
    const [percent, current, total] = [numberOf(props.data, "percent"), numberOf(props.data, "current"), numberOf(props.data, "total")];
    const found = percent ?? (current !== undefined && total !== undefined && 0 < total ? (100 * current) / total : undefined);
    return found === undefined ? undefined : Math.min(100, Math.max(0, found));
  };
  const counted = (): string | undefined => {
    const [current, total] = [numberOf(props.data, "current"), numberOf(props.data, "total")];
    return current === undefined || total === undefined ? undefined : `${current.toLocaleString("en")} of ${total.toLocaleString("en")}`;
  };
  return (
    <div class="tl-line tl-progress">
      <Show when={share() !== undefined}>
        <progress class="tl-bar" max="100" value={share()} aria-label="progress" />
        <span class="tl-figure">{Math.round(share() ?? 0)} %</span>
      </Show>
      <Show when={counted()}>{(text) => <span class="tl-faint">{text()}</span>}</Show>
      <span class="tl-note">{firstLine(textOf(props.data, "text") ?? "", LONGEST_NOTE)}</span>
    </div>
  );
};

export const ErrorBody: Component<{ activity: Activity; name: string }> = (props) => (
  <div class="tl-error">
    <span class="tl-error-head">
      <b>Error</b>
      <Show when={textOf(props.activity.data, "code")}>{(code) => <span class="tl-tag">{visible(code())}</span>}</Show>
    </span>
    <Whole activity={props.activity}>
      {(activity) => <Words name={props.name} text={textOf(activity().data, "message") ?? JSON.stringify(activity().data)} />}
    </Whole>
  </div>
);

export const UsageBody: Component<{ data: Data }> = (props) => {
  const figures = (): ReturnType<typeof figuresOf> => figuresOf(props.data);
  const took = (): number | undefined => numberOf(props.data, "durationMs");
  return (
    <div class="tl-line tl-usage">
      <span class="tl-label">usage</span>
      <Figure label="in" value={figures().input} />
      <Figure label="out" value={figures().output} />
      <Figure label="from cache" value={figures().cacheRead} />
      <Show when={figures().costUsd}>{(cost) => <span class="tl-figure">{costText(cost())}</span>}</Show>
      <Show when={took()}>{(ms) => <span class="tl-faint">{durationText(ms())}</span>}</Show>
      <Show when={figures().estimated}>
        <span class="tl-tag">estimated</span>
      </Show>
    </div>
  );
};

const Figure: Component<{ label: string; value: number | undefined }> = (props) => (
  <Show when={props.value !== undefined}>
    <span class="tl-figure">
      {countText(props.value ?? 0)} <span class="tl-faint">{props.label}</span>
    </span>
  </Show>
);

/** Names that say that somebody is waited for. */
const WAITS: ReadonlySet<string> = new Set(["needs_approval", "needs_input"]);

export const CustomBody: Component<{ entry: SingleEntry }> = (props) => {
  const data = (): Data => props.entry.activity.data;
  const name = (): string => textOf(data(), "name") ?? "custom";
  const items = (): ReturnType<typeof checklist> => checklist(data()["items"]);
  return (
    <Switch
      fallback={
        <Fold
          name={rowFold(props.entry.key)}
          of={foldOf(props.entry) ?? { kind: "other activities", isOpen: false }}
          head={
            <>
              <span class="tl-label">{visible(name().replaceAll("_", " "))}</span>
              <span class="tl-note">{firstLine(noteOf(data()), LONGEST_NOTE)}</span>
            </>
          }
        >
          <Whole activity={props.entry.activity}>{(activity) => <Json value={activity().data} name={`${rowFold(props.entry.key)}:data`} />}</Whole>
        </Fold>
      }
    >
      <Match when={WAITS.has(name())}>
        <NeedsYou entry={props.entry} />
      </Match>
      <Match when={name() === "plan" && items()}>
        {(list) => (
          <div class="tl-plan">
            <span class="tl-label">plan</span>
            <Checklist items={list()} />
          </div>
        )}
      </Match>
    </Switch>
  );
};

const NeedsYou: Component<{ entry: SingleEntry }> = (props) => {
  const data = (): Data => props.entry.activity.data;
  const tool = (): string | undefined => textOf(data(), "tool") ?? textOf(objectOf(data(), "query"), "name");
  const what = (): string => textOf(data(), "text") ?? telling(toolView(tool() ?? "", data()));
  return (
    <div class="tl-needs">
      <b class="tl-needs-you">needs you</b>
      <Show when={tool()}>{(name) => <b class="tl-tool">{visible(name())}</b>}</Show>
      <span class="tl-telling">{firstLine(what(), 2 * LONGEST_NOTE)}</span>
      <Show when={what() === ""}>
        <Json value={data()} name={`${rowFold(props.entry.key)}:data`} />
      </Show>
    </div>
  );
};

/** A few words that tell what it is about, whatever its fields are called. */
function noteOf(data: Data): string {
  const said = ["description", "text", "message", "summary", "line", "hook", "tool", "model", "title", "label"].map((name) => textOf(data, name)).find((text) => text !== undefined);
  const status = textOf(data, "status") ?? textOf(data, "state");
  const more = textOf(data, "event") ?? textOf(data, "cwd") ?? textOf(asFields(data["item"]), "text");
  return [status, said, more === said ? undefined : more].filter((part) => part !== undefined).join(" · ");
}

