/** What a waterfall draws: which calls, on which axis, and what is left out. Without a page. */
import type { Activity } from "tasklight/viewer";
import { type Axis, foldGaps } from "../model/gaps.ts";
import type { Row, Span } from "../model/spans.ts";

/** The most calls that have a row; of more the newest have one, and the rest is summed up. */
export const MOST_ROWS = 1_000;

/** A part of the time that is looked at alone. */
export interface Zoom {
  readonly from: number;
  readonly to: number;
}

export interface Chart {
  readonly axis: Axis;
  readonly rows: readonly Row[];
  /** How many calls before those have no row, and how long they took together. */
  readonly left: { readonly calls: number; readonly millis: number };
  readonly calls: number;
  readonly open: number;
  readonly failed: number;
}

export interface ChartOptions {
  /** Only the calls of this run; nothing for all. */
  readonly invocation: string | undefined;
  readonly zoom: Zoom | undefined;
  /** Until when open calls are drawn. */
  readonly horizon: number;
}

/** When a span ends on the chart. */
export const endOf = (span: Span, horizon: number): number => span.end ?? Math.max(span.start, horizon);

export function chartOf(rows: readonly Row[], activities: readonly Activity[], { invocation, zoom, horizon }: ChartOptions): Chart {
  const own = invocation === undefined ? rows : rows.filter(({ span }) => span.invocationId === invocation);
  const seen = zoom ? own.filter(({ span }) => span.start <= zoom.to && zoom.from <= endOf(span, horizon)) : own;
  const kept = seen.slice(-MOST_ROWS);
  const left = seen.slice(0, seen.length - kept.length);
  const busy = kept.map(({ span }) => ({ from: span.start, to: endOf(span, horizon) }));
  const range = zoom ?? rangeOf(busy);
  for (const { timestamp, invocationId } of activities) {
    if (invocation === undefined || invocationId === invocation) busy.push({ from: timestamp, to: timestamp });
  }
  return {
    axis: foldGaps(busy, range),
    rows: kept,
    left: { calls: left.length, millis: left.reduce((sum, { span }) => sum + (endOf(span, horizon) - span.start), 0) },
    calls: own.length,
    open: own.filter(({ span }) => span.outcome === "open").length,
    failed: own.filter(({ span }) => span.outcome === "error").length,
  };
}

function rangeOf(busy: readonly Zoom[]): Zoom {
  const from = busy.reduce((least, one) => Math.min(least, one.from), Infinity);
  const to = busy.reduce((most, one) => Math.max(most, one.to), -Infinity);
  return Number.isFinite(from) ? { from, to } : { from: 0, to: 0 };
}
