/** What a waterfall says of a call in words. */
import { durationText } from "../model/duration.ts";
import { type Span, tellingPart } from "../model/spans.ts";
import { visible } from "../model/text.ts";

const CLOCK = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const EXACT = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", fractionalSecondDigits: 3, hourCycle: "h23" });
const DAY = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });

const isTime = (time: number): boolean => Math.abs(time) <= 8.64e15;

export const exactTime = (time: number): string => (isTime(time) ? EXACT.format(time) : "unknown time");

/** A tick's time, as exact as ticks so far apart need. */
export function tickText(time: number, step: number): string {
  if (!isTime(time)) return "";
  if (864e5 <= step) return DAY.format(time);
  const text = CLOCK.format(time);
  if (6e4 <= step) return text.slice(0, 5);
  return step < 1_000 ? EXACT.format(time).slice(3) : text.slice(step < 1e4 ? 3 : 0);
}

/** How long it took, or how it stands. */
export function tookText(span: Span, end: number, isHeld: boolean): string {
  if (!span.hasCall) return "";
  const took = durationText(end - span.start);
  if (span.outcome === "open") return isHeld ? took : `${took}+`;
  return took;
}

/** How it ended. `isHeld` is whether the log is held to its end, so that what has no result is open. */
export function outcomeText(span: Span, isHeld: boolean): string {
  if (span.outcome === "open") return isHeld ? "open" : "its result is not loaded";
  if (span.outcome === "unanswered") return "no result";
  if (!span.hasCall) return span.outcome === "error" ? "failed, its call is not loaded" : "done, its call is not loaded";
  return span.outcome === "error" ? "failed" : "done";
}

export function spokenText(span: Span, end: number, isHeld: boolean): string {
  const about = tellingPart(span.input);
  return [visible(about === undefined ? span.name : `${span.name} ${about}`), tookText(span, end, isHeld), outcomeText(span, isHeld), `at ${exactTime(span.start)}`, `#${span.offset.toString()}`]
    .filter((part) => part !== "")
    .join(", ");
}
