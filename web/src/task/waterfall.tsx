/** The tool calls as a waterfall: a row each, time to the right, sub-agents' calls below the call that started them. */
import { type Component, createEffect, createMemo, createSignal, For, Index, on, Show } from "solid-js";
import { durationText } from "../model/duration.ts";
import { type Row, tellingPart } from "../model/spans.ts";
import { toolKind } from "../model/tools.ts";
import { useClock } from "../ui/clock.ts";
import type { RunsView } from "./runs-state.ts";
import { createWindow } from "./runs-window.ts";
import { AXIS_PX, ticksIn, WaterfallAxis } from "./waterfall-axis.tsx";
import { WaterfallBar } from "./waterfall-bar.tsx";
import { chartOf, endOf, type Zoom } from "./waterfall-chart.ts";
import { WaterfallDetails } from "./waterfall-details.tsx";
import { onKeys } from "./waterfall-keys.ts";
import { spokenText, tookText } from "./waterfall-words.ts";
import { createBrush } from "./waterfall-zoom.ts";
import { visible } from "../model/text.ts";
import "./waterfall.css";

/** The height of a row in pixels; waterfall.css says the same. */
const ROW_PX = 22;

/** What is kept free at the right, so that the last bars do not touch the edge. */
const RIGHT_PX = 8;

export interface WaterfallProps {
  readonly view: RunsView;
  /** Only the calls of this run. */
  readonly invocation: string | undefined;
  /** The log is held to its end, so that calls without a result are open. */
  readonly atEnd: boolean;
  readonly onPlace: (offset: number) => void;
}

export const Waterfall: Component<WaterfallProps> = (props) => {
  const clock = useClock(1_000);
  const [zoom, setZoom] = createSignal<Zoom>();
  const [active, setActive] = createSignal<number>();
  const [pointed, setPointed] = createSignal<number>();
  const hasOpen = createMemo(() => props.atEnd && props.view.rows.some(({ span }) => span.outcome === "open"));
  const lastTime = createMemo(() => props.view.activities.reduce((most, { timestamp }) => Math.max(most, timestamp), 0));
  const horizon = createMemo(() => (hasOpen() ? Math.max(clock(), lastTime()) : lastTime()));
  const chart = createMemo(() => chartOf(props.view.rows, props.view.activities, { invocation: props.invocation, zoom: zoom(), horizon: horizon() }));
  const rows = createMemo(() => chart().rows);
  const view = createWindow(ROW_PX, () => rows().length);
  const shown = createMemo(() => rows().slice(view.first(), view.end()));
  const left = createMemo(() => Math.round(Math.min(200, Math.max(96, view.width() * 0.36))));
  const width = createMemo(() => Math.max(40, view.width() - left() - RIGHT_PX));
  const details = createMemo(() => {
    const offset = pointed() ?? active();
    return offset === undefined ? undefined : rows().find(({ span }) => span.offset === offset)?.span;
  });
  // eslint-disable-next-line solid/reactivity -- read when the pointer moves
  const brush = createBrush(left, width, (from, to) => {
    const { axis } = chart();
    setZoom({ from: axis.timeAt(from), to: axis.timeAt(to) });
  });
  createEffect(on(() => props.invocation, () => { setZoom(undefined); }, { defer: true }));
  // Follows the newest calls for as long as they are looked at.
  let wasAtEnd = true;
  createEffect(on(rows, () => {
    if (!wasAtEnd || pointed() !== undefined) return;
    queueMicrotask(() => { view.toEnd(); });
  }));
  const activate = (offset: number): void => {
    setActive(offset);
    view.reveal(rows().findIndex(({ span }) => span.offset === offset));
  };
  const narrow = (factor: number): void => {
    const { axis } = chart();
    const from = (1 - factor) / 2;
    setZoom(factor < 1 ? { from: axis.timeAt(from), to: axis.timeAt(1 - from) } : undefined);
  };
  /** To the time of the calls on screen. */
  const fit = (): void => {
    const until = horizon();
    const seen = rows().slice(view.top(), view.bottom()).map(({ span }) => span);
    const from = seen.reduce((least, { start }) => Math.min(least, start), Infinity);
    const to = seen.reduce((most, span) => Math.max(most, endOf(span, until)), -Infinity);
    if (from < to) setZoom({ from, to });
  };
  const keys = onKeys({ rows, active, activate, place: (offset) => { props.onPlace(offset); }, zoomIn: () => { narrow(0.5); }, fit, zoomOut: () => { setZoom(undefined); } });
  const summary = (): string => {
    const { calls, open, failed, axis } = chart();
    const gaps = axis.gaps.length === 0 ? "" : `, ${axis.gaps.length.toString()} idle gaps folded`;
    return `${calls.toString()} tool calls over ${durationText(axis.to - axis.from)}, ${open.toString()} open, ${failed.toString()} failed${gaps}`;
  };
  return (
    <div class="waterfall">
      <div class="waterfall-tools">
        <span class="waterfall-count">
          {chart().calls.toLocaleString()} {chart().calls === 1 ? "call" : "calls"}
          <Show when={props.atEnd && chart().open !== 0}> · {chart().open.toLocaleString()} open</Show>
          <Show when={chart().failed !== 0}>
            {" · "}
            <span class="waterfall-failed">{chart().failed.toLocaleString()} failed</span>
          </Show>
        </span>
        <Show when={zoom()} fallback={<span class="waterfall-hint">drag to zoom</span>}>
          {(part) => (
            <button type="button" class="waterfall-button" onClick={() => { setZoom(undefined); }}>
              {durationText(part().to - part().from)} shown · reset
            </button>
          )}
        </Show>
        <button type="button" class="waterfall-button" title="Show the time of the calls on screen (f)" onClick={fit}>fit</button>
        <button type="button" class="waterfall-button" aria-label="Zoom into the middle" title="Zoom in (+)" onClick={() => { narrow(0.5); }}>+</button>
        <button type="button" class="waterfall-button" aria-label="Show all of the time" title="Show all (0)" disabled={!zoom()} onClick={() => { setZoom(undefined); }}>⤢</button>
      </div>
      <Show when={chart().left.calls !== 0}>
        <p class="waterfall-left">
          {chart().left.calls.toLocaleString()} earlier calls, {durationText(chart().left.millis)} in all, are not drawn.
        </p>
      </Show>
      <Show when={chart().rows.length !== 0} fallback={<p class="waterfall-none">{zoom() ? "No call in this part of the time." : "No tool was called in what is loaded."}</p>}>
        <div class="waterfall-plot" ref={(element) => { brush.attach(element); }} onDblClick={() => { setZoom(undefined); }}>
          <WaterfallAxis axis={chart().axis} left={left()} width={width()} />
          <div
            class="waterfall-scroll"
            ref={(element) => { view.attach(element); }}
            onScroll={() => { wasAtEnd = view.isAtEnd(); }}
            onPointerLeave={() => { setPointed(undefined); }}
          >
            <div class="waterfall-rows" style={{ height: `${(rows().length * ROW_PX).toString()}px` }}>
              <svg class="waterfall-svg" role="img" aria-label={summary()} width={left() + width() + RIGHT_PX} height={rows().length * ROW_PX}>
                <g transform={`translate(${left().toString()} 0)`}>
                  <For each={ticksIn(chart().axis, width())}>{(tick) => <line class="waterfall-grid" x1={tick.x} x2={tick.x} y1="0" y2={rows().length * ROW_PX} />}</For>
                  <For each={chart().axis.gaps}>
                    {(gap) => <rect class="waterfall-gap" x={gap.x0 * width()} width={(gap.x1 - gap.x0) * width()} y="0" height={rows().length * ROW_PX} />}
                  </For>
                  <Index each={shown()}>
                    {(row, index) => (
                      <WaterfallBar
                        span={row().span}
                        end={endOf(row().span, horizon())}
                        took={tookText(row().span, endOf(row().span, horizon()), props.atEnd)}
                        axis={chart().axis}
                        width={width()}
                        top={(view.first() + index) * ROW_PX}
                        rowHeight={ROW_PX}
                      />
                    )}
                  </Index>
                </g>
              </svg>
              <div
                class="waterfall-tree"
                role="tree"
                tabindex="0"
                aria-label={`Tool calls: ${summary()}`}
                aria-activedescendant={active() === undefined ? undefined : `waterfall-${(active() ?? 0).toString()}`}
                onKeyDown={keys}
                onFocus={() => {
                  if (active() === undefined) setActive(rows()[rows().length - 1]?.span.offset);
                }}
              >
                <Index each={shown()}>
                  {(row, index) => (
                    <WaterfallRow
                      row={row()}
                      top={(view.first() + index) * ROW_PX}
                      left={left()}
                      isActive={active() === row().span.offset}
                      spoken={spokenText(row().span, endOf(row().span, horizon()), props.atEnd)}
                      onPoint={() => setPointed(row().span.offset)}
                      onPick={() => {
                        if (brush.endsDrag()) return;
                        setActive(row().span.offset);
                        props.onPlace(row().span.offset);
                      }}
                    />
                  )}
                </Index>
              </div>
            </div>
          </div>
          <Show when={brush.dragged()}>
            {(over) => (
              <div
                class="waterfall-brush"
                style={{ left: `${(left() + over().from).toString()}px`, width: `${(over().to - over().from).toString()}px`, top: `${AXIS_PX.toString()}px` }}
              />
            )}
          </Show>
        </div>
        <WaterfallDetails span={details()} atEnd={props.atEnd} horizon={horizon()} />
      </Show>
    </div>
  );
};

interface WaterfallRowProps {
  readonly row: Row;
  readonly top: number;
  readonly left: number;
  readonly isActive: boolean;
  readonly spoken: string;
  readonly onPoint: () => void;
  readonly onPick: () => void;
}

const WaterfallRow: Component<WaterfallRowProps> = (props) => (
  <div
    class="waterfall-row"
    classList={{ "waterfall-active": props.isActive }}
    id={`waterfall-${props.row.span.offset.toString()}`}
    role="treeitem"
    aria-level={props.row.depth + 1}
    aria-selected={props.isActive}
    aria-label={props.spoken}
    style={{ transform: `translateY(${props.top.toString()}px)` }}
    onPointerEnter={() => { props.onPoint(); }}
    onClick={() => { props.onPick(); }}
  >
    <span class="waterfall-label" data-tool={toolKind(props.row.span.name)} data-outcome={props.row.span.outcome} style={{ width: `${props.left.toString()}px`, "padding-left": `${(4 + Math.min(props.row.depth, 6) * 10).toString()}px` }}>
      <span class="waterfall-name">{visible(props.row.span.name)}</span>{" "}
      <span class="waterfall-about">{tellingPart(props.row.span.input)}</span>
    </span>
  </div>
);
