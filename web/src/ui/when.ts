/** Times as words. Pure. */

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

/** How long ago where that is near, else the date. A time to come (clocks differ) counts as now. */
export function relative(at: number, now: number): string {
  const ago = now - at;
  if (ago < 10_000) return "just now";
  if (ago < MINUTE_MS) return `${(Math.floor(ago / 10_000) * 10).toString()} s ago`;
  if (ago < HOUR_MS) return `${Math.floor(ago / MINUTE_MS).toString()} min ago`;
  if (ago < DAY_MS) return `${Math.floor(ago / HOUR_MS).toString()} h ago`;
  if (ago < 7 * DAY_MS) return `${Math.floor(ago / DAY_MS).toString()} d ago`;
  return date(at, now);
}

/** How long, in the largest unit that says it: "12 min". */
export function span(millis: number): string {
  if (millis < MINUTE_MS) return `${Math.max(0, Math.floor(millis / 1_000)).toString()} s`;
  if (millis < HOUR_MS) return `${Math.floor(millis / MINUTE_MS).toString()} min`;
  if (millis < DAY_MS) return `${Math.floor(millis / HOUR_MS).toString()} h`;
  return `${Math.floor(millis / DAY_MS).toString()} d`;
}

function date(at: number, now: number): string {
  const isThisYear = new Date(at).getFullYear() === new Date(now).getFullYear();
  return (isThisYear ? DAY : DAY_AND_YEAR).format(at);
}

const DAY = new Intl.DateTimeFormat("en", { day: "numeric", month: "short" });
const DAY_AND_YEAR = new Intl.DateTimeFormat("en", { day: "numeric", month: "short", year: "numeric" });

const EXACT = new Intl.DateTimeFormat("en-GB", {
  weekday: "short", day: "numeric", month: "short", year: "numeric",
  hour: "2-digit", minute: "2-digit", second: "2-digit", fractionalSecondDigits: 3, timeZoneName: "short",
});

/** To the millisecond, in the local zone, which is named. */
export const exact = (at: number): string => (isTime(at) ? EXACT.format(at) : "unknown time");

/** For `datetime`. */
export const iso = (at: number): string => (isTime(at) ? new Date(at).toISOString() : "");

const isTime = (at: number): boolean => Math.abs(at) <= 8.64e15;
