/** The runs of a task, one lane each, with their sub-agents below them. */
import { type Accessor, type Component, createEffect, createMemo, createSignal, For, on, Show } from "solid-js";
import { type Axis, foldGaps } from "../model/gaps.ts";
import { type Lane, lanesOf } from "../model/lanes.ts";
import { isOver, type Run } from "../model/runs.ts";
import { LaneRow } from "./lanes-row.tsx";
import { useClock } from "../ui/clock.ts";
import { createWindow } from "./runs-window.ts";
import "./lanes.css";

/** The height of a lane in pixels; lanes.css says the same. */
const LANE_PX = 66;

/** With more runs than this there is a field to look for some. */
const SEARCH_FROM = 8;

export interface LanesProps {
  readonly runs: readonly Run[];
  readonly task: string;
  readonly selected: string | undefined;
  readonly onSelect: (id: string | undefined) => void;
  readonly onPlace: (offset: number) => void;
}

export const Lanes: Component<LanesProps> = (props) => {
  const [text, setText] = createSignal("");
  const [all, setAll] = createSignal(false);
  const [turned, setTurned] = createSignal<ReadonlySet<string>>(new Set());
  const shown = createMemo(() => lanesOf(props.runs, { text: text(), all: all(), selected: props.selected, turned: turned() }));
  const byId = createMemo(() => new Map(shown().lanes.map((lane) => [lane.id, lane])));
  const clock = useClock(1_000);
  const isLive = createMemo(() => shown().lanes.some(({ run }) => !isOver(run.status)));
  const axis = createMemo(() => axisOf(shown().lanes, isLive() ? clock() : 0));
  const view = createWindow(LANE_PX, () => shown().lanes.length);
  const ids = createMemo(() => shown().lanes.slice(view.first(), view.end()).map(({ id }) => id));
  createEffect(
    on(
      () => props.selected,
      (selected) => {
        const row = shown().lanes.findIndex(({ id }) => id === selected);
        // After the list is as high as it has become.
        if (0 <= row) queueMicrotask(() => { view.reveal(row); });
      },
    ),
  );
  const turn = (id: string): void => {
    setTurned((before) => {
      const after = new Set(before);
      if (!after.delete(id)) after.add(id);
      return after;
    });
  };
  return (
    <div class="lanes">
      <Show when={SEARCH_FROM < props.runs.length}>
        <input
          class="lanes-search"
          type="search"
          placeholder={`Filter ${props.runs.length.toLocaleString()} runs by name, agent, status`}
          aria-label="Filter runs"
          value={text()}
          onInput={(event) => setText(event.currentTarget.value)}
        />
      </Show>
      <div class="lanes-scroll" ref={(element) => { view.attach(element); }}>
        <ul class="lanes-list" aria-label="Runs" style={{ height: `${(shown().lanes.length * LANE_PX).toString()}px` }}>
          <For each={ids()}>
            {(id, index) => (
              <LaneAt lane={() => byId().get(id)} top={() => (view.first() + index()) * LANE_PX} axis={axis()} onTurn={turn} panel={props} />
            )}
          </For>
        </ul>
      </div>
      <Show when={shown().lanes.length === 0 && props.runs.length !== 0}>
        <p class="lanes-note">No run has “{text()}”.</p>
      </Show>
      <Show when={shown().folded !== 0 || all()}>
        <button type="button" class="lanes-more" aria-expanded={all()} onClick={() => setAll(!all())}>
          {all() ? "Fold finished runs" : `Show ${shown().folded.toLocaleString()} more finished`}
        </button>
      </Show>
    </div>
  );
};

interface LaneAtProps {
  readonly lane: Accessor<Lane | undefined>;
  readonly top: Accessor<number>;
  readonly axis: Axis;
  readonly onTurn: (id: string) => void;
  readonly panel: LanesProps;
}

const LaneAt: Component<LaneAtProps> = (props) => (
  <Show when={props.lane()}>
    {(lane) => (
      <LaneRow
        lane={lane()}
        top={props.top()}
        axis={props.axis}
        task={props.panel.task}
        isSelected={props.panel.selected === lane().run.id}
        onTurn={() => { props.onTurn(lane().id); }}
        onSelect={props.panel.onSelect}
        onPlace={props.panel.onPlace}
      />
    )}
  </Show>
);

/** The axis that these lanes share; `now` is 0 if none of them goes on. */
function axisOf(lanes: readonly Lane[], now: number): Axis {
  const busy = lanes.map(({ run, sub }) => {
    const { startedAt, endedAt, times } = sub ?? run;
    return { from: startedAt, to: Math.max(startedAt, endedAt ?? Math.max(now, times[times.length - 1] ?? 0)) };
  });
  const from = busy.reduce((least, one) => Math.min(least, one.from), Infinity);
  const to = busy.reduce((most, one) => Math.max(most, one.to), 0);
  return foldGaps(busy, Number.isFinite(from) ? { from, to } : { from: 0, to: 0 });
}
