/** One lane: how it stands, who it is, how long, how much, and when. */
import { type Component, createMemo, Show } from "solid-js";
import { durationText, roughly } from "../model/duration.ts";
import type { Axis } from "../model/gaps.ts";
import type { Lane } from "../model/lanes.ts";
import { isOver } from "../model/runs.ts";
import { costText, countText } from "../model/usage.ts";
import { taskAddress } from "../ui/route.ts";
import { type Mark, StatusMark } from "../ui/status.tsx";
import { LaneBar } from "./lanes-bar.tsx";
import { useClock } from "../ui/clock.ts";
import { visible } from "../model/text.ts";

/** How often is looked whether something stands still. */
const STALL_LOOK_MS = 5_000;

export interface LaneRowProps {
  readonly lane: Lane;
  readonly top: number;
  readonly axis: Axis;
  readonly task: string;
  readonly isSelected: boolean;
  readonly onTurn: () => void;
  readonly onSelect: (id: string | undefined) => void;
  readonly onPlace: (offset: number) => void;
}

export const LaneRow: Component<LaneRowProps> = (props) => {
  const seconds = useClock(1_000);
  const slow = useClock(STALL_LOOK_MS);
  const part = createMemo(() => props.lane.sub ?? props.lane.run);
  const stall = createMemo(() => (props.lane.sub || isOver(props.lane.run.status) ? undefined : props.lane.run.stallAt(slow())));
  const mark = createMemo((): Mark => (stall() ? "stalled" : part().status));
  const name = (): string => visible(part().title ?? (props.lane.sub ? "sub-agent" : props.lane.run.id));
  const took = createMemo(() => {
    const { startedAt, endedAt, status } = part();
    return status === "pending" ? undefined : durationText((endedAt ?? seconds()) - startedAt);
  });
  const said = createMemo(() => {
    const why = stall();
    if (why) return { text: `${why.reason} · ${roughly(slow() - why.since)}`, tone: "busy" };
    const { sub, run } = props.lane;
    if (!sub && run.reason !== undefined) return { text: visible(run.reason), tone: run.status === "failed" ? "bad" : run.status === "lost" ? "busy" : "calm" };
    return { text: visible(sub ? sub.scope.slice(sub.scope.indexOf(":") + 1) : run.title === undefined ? "" : run.id), tone: "calm" };
  });
  const select = (): void => {
    const { sub, run } = props.lane;
    if (!sub) props.onSelect(props.isSelected ? undefined : run.id);
    else if (sub.first !== undefined) props.onPlace(sub.first);
  };
  const label = (): string => {
    const { counts } = part();
    const what = props.lane.sub ? "Go to the sub-agent" : "Show only the run";
    const state = stall() ? `stalled, ${stall()?.reason ?? ""}` : part().status;
    return `${what} ${name()}, ${visible(part().agent ?? "unknown agent")}, ${state}, ${took() ?? "not started"}, ${counts.tools.toString()} tool calls, ${counts.errors.toString()} errors`;
  };
  return (
    <li
      class="lanes-row"
      classList={{ "lanes-selected": props.isSelected && !props.lane.sub, "lanes-within": props.lane.depth !== 0 }}
      style={{ transform: `translateY(${props.top.toString()}px)`, "--lane-depth": props.lane.depth.toString() }}
    >
      <button type="button" class="lanes-select" aria-label={label()} aria-pressed={props.lane.sub ? undefined : props.isSelected} onClick={select} />
      <div class="lanes-line">
        <Show when={props.lane.within !== 0} fallback={<span class="lanes-turn" />}>
          <button type="button" class="lanes-turn" aria-label={`Sub-agents of ${name()}`} aria-expanded={props.lane.isOpen} onClick={() => { props.onTurn(); }}>
            <svg viewBox="0 0 12 12" width="10" height="10" aria-hidden="true"><path d="m4 2.5 4 3.5-4 3.5z" fill="currentColor" /></svg>
          </button>
        </Show>
        <StatusMark status={mark()} wordless />
        <Show when={part().agent}>{(agent) => <span class="lanes-agent">{visible(agent())}</span>}</Show>
        <span class="lanes-name" title={name()}>{name()}</span>
        <Show when={!props.lane.isOpen}>
          <span class="lanes-count" title={`${props.lane.within.toString()} sub-agents`}>+{props.lane.within}</span>
        </Show>
        <span class="lanes-took">{took()}</span>
      </div>
      <div class="lanes-line lanes-about">
        <span class="lanes-said" data-tone={said().tone} title={said().text}>{said().text}</span>
        <LaneFigures lane={props.lane} />
      </div>
      <div class="lanes-line">
        <LaneBar axis={props.axis} from={part().startedAt} to={part().endedAt} times={part().times} mark={mark()} />
        <span class="lanes-places">
          <Place task={props.task} offset={part().first} what="first" onPlace={props.onPlace} />
          <Show when={part().last !== part().first}>
            <span aria-hidden="true">–</span>
            <Place task={props.task} offset={part().last} what="last" onPlace={props.onPlace} />
          </Show>
        </span>
      </div>
    </li>
  );
};

/** Counts are of the activities that are held; tokens and cost are the whole run's. */
const LaneFigures: Component<{ lane: Lane }> = (props) => {
  const counts = createMemo(() => (props.lane.sub ?? props.lane.run).counts);
  const usage = createMemo(() => (props.lane.sub ? undefined : props.lane.run.usage));
  const tokens = (): number | undefined => {
    const figures = usage();
    return figures?.input === undefined && figures?.output === undefined ? undefined : (figures.input ?? 0) + (figures.output ?? 0);
  };
  return (
    <span class="lanes-figures">
      <Show when={counts().activities !== 0}>
        <span class="lanes-wide" title="Activities, of those that are loaded">{countText(counts().activities)} act</span>
        <span title="Tool calls, of those that are loaded">{countText(counts().tools)} {counts().tools === 1 ? "tool" : "tools"}</span>
      </Show>
      <Show when={counts().errors !== 0}>
        <span class="lanes-errors" title="Errors and failed tools, of those that are loaded">{countText(counts().errors)} err</span>
      </Show>
      <Show when={tokens()}>{(sum) => <span title="Tokens in and out, of the whole run">{countText(sum())} tok</span>}</Show>
      <Show when={usage()?.costUsd}>{(cost) => <span title="Cost so far, as the agent told it">{costText(cost())}</span>}</Show>
    </span>
  );
};

const Place: Component<{ task: string; offset: number | undefined; what: "first" | "last"; onPlace: (offset: number) => void }> = (props) => (
  <Show when={props.offset}>
    {(offset) => (
      <a
        class="lanes-place"
        href={taskAddress(props.task, offset())}
        aria-label={`Its ${props.what} loaded activity, number ${offset().toString()}`}
        onClick={(event) => {
          if (event.metaKey || event.ctrlKey || event.shiftKey || event.button !== 0) return;
          event.preventDefault();
          props.onPlace(offset());
        }}
      >
        #{offset().toLocaleString()}
      </a>
    )}
  </Show>
);
