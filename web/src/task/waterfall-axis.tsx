/** The times above a waterfall: ticks where they fit, and how long the folded gaps were. */
import { type Component, createMemo, For } from "solid-js";
import { roughly } from "../model/duration.ts";
import { type Axis, roundStep, ticksOf } from "../model/gaps.ts";
import { tickText } from "./waterfall-words.ts";

/** The pixels that a tick's text needs. */
const TICK_PX = 58;

/** The most ticks of a stretch. */
const MOST_TICKS = 40;

export const AXIS_PX = 30;

export interface AxisProps {
  readonly axis: Axis;
  /** In pixels. */
  readonly left: number;
  readonly width: number;
}

interface Label {
  readonly x: number;
  readonly text: string;
  readonly title: string;
}

export const WaterfallAxis: Component<AxisProps> = (props) => {
  const ticks = createMemo(() => ticksIn(props.axis, props.width));
  const gaps = createMemo(() => {
    const labels: Label[] = [];
    let until = -Infinity;
    for (const gap of props.axis.gaps) {
      const text = `⋯ ${roughly(gap.to - gap.from)}`;
      const half = text.length * 3;
      const x = Math.min(props.width - half, Math.max(half, ((gap.x0 + gap.x1) / 2) * props.width));
      if (x - half < until) continue;
      until = x + half + 4;
      labels.push({ x, text, title: `Nothing happened for ${roughly(gap.to - gap.from)}` });
    }
    return labels;
  });
  return (
    <svg class="waterfall-axis" width={props.left + props.width} height={AXIS_PX} aria-hidden="true">
      <g transform={`translate(${props.left.toString()} 0)`}>
        <For each={ticks()}>
          {(tick) => (
            <text x={tick.x} y="24" text-anchor={tick.x < 20 ? "start" : props.width - 24 < tick.x ? "end" : "middle"}>
              {tick.text}
            </text>
          )}
        </For>
        <For each={gaps()}>
          {(gap) => (
            <text class="waterfall-gap-text" x={gap.x} y="11" text-anchor="middle">
              <title>{gap.title}</title>
              {gap.text}
            </text>
          )}
        </For>
      </g>
    </svg>
  );
};

/** Ticks in the stretches that are drawn to scale, never closer than a text is wide. */
export function ticksIn(axis: Axis, width: number): readonly Label[] {
  const labels: Label[] = [];
  let until = -Infinity;
  // One step for all, by the scale that all of them share.
  const scaled = axis.stretches.filter(({ kind }) => kind === "time");
  const millis = scaled.reduce((sum, { from, to }) => sum + to - from, 0);
  const pixels = scaled.reduce((sum, { x0, x1 }) => sum + (x1 - x0) * width, 0);
  if (millis <= 0 || pixels <= 0) return labels;
  const step = roundStep((millis / pixels) * TICK_PX);
  for (const { from, to } of scaled) {
    for (const tick of ticksOf(from, to, step, MOST_TICKS)) {
      const x = axis.at(tick) * width;
      if (x < until) continue;
      until = x + TICK_PX;
      labels.push({ x, text: tickText(tick, step), title: "" });
    }
  }
  return labels;
}
