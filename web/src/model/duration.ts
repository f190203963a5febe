/** How long something took, in as few characters as are needed to judge it. */

/** 0 ms, 840 ms, 12.3 s, 4m 12s, 1h 04m, 2d 3h. */
export function durationText(millis: number): string {
  const ms = Math.max(0, Math.round(millis));
  if (ms < 1_000) return `${ms.toString()} ms`;
  if (ms < 59_950) return `${(ms / 1_000).toFixed(ms < 9_950 ? 2 : 1)} s`;
  const seconds = Math.round(ms / 1_000);
  if (seconds < 3_600) return `${whole(seconds, 60)}m ${padded(seconds % 60)}s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 1_440) return `${whole(minutes, 60)}h ${padded(minutes % 60)}m`;
  const hours = Math.round(minutes / 60);
  return `${whole(hours, 24)}d ${(hours % 24).toString()}h`;
}

/** About how long, for what is not measured: 40 s, 4 min, 3 h, 2 d. */
export function roughly(millis: number): string {
  const seconds = Math.max(0, millis) / 1_000;
  if (seconds < 59.5) return `${Math.round(seconds).toString()} s`;
  if (seconds < 3_570) return `${Math.round(seconds / 60).toString()} min`;
  if (seconds < 47.5 * 3_600) return `${Math.round(seconds / 3_600).toString()} h`;
  return `${Math.round(seconds / 86_400).toString()} d`;
}

const whole = (value: number, unit: number): string => Math.floor(value / unit).toString();
const padded = (value: number): string => value.toString().padStart(2, "0");
