/**
 * How much happened to each task in each of the last minutes: what the hub remembers, and after that what the page counts itself from heads.
 * Where both know a minute the larger is right: the hub's last minute was not over, and the page's first had begun. Pure.
 */

/** How many minutes a sparkline shows. */
export const BUCKETS = 30;

export const BUCKET_MS = 60_000;

/** A hub's answer about one task: counts of `bucketMs` each, the last one ending at `until`. */
export interface History {
  readonly until: number;
  readonly bucketMs: number;
  readonly counts: readonly number[];
}

/** Counts by minute, in a ring: the place of a minute is its number modulo the length. */
interface Ring {
  readonly counts: Uint32Array;
  /** The last minute that is in it. */
  newest: number;
}

const minuteOf = (at: number): number => Math.floor(at / BUCKET_MS);

export class Pulses {
  readonly #counted = new Map<string, Ring>();
  readonly #remembered = new Map<string, Ring>();

  /** So many activities more were seen at this time. */
  add(task: string, count: number, at: number): void {
    put(this.#counted, task, minuteOf(at), count);
  }

  /** What the hub remembers replaces what it remembered before. */
  remember(task: string, { until, bucketMs, counts }: History): void {
    this.#remembered.delete(task);
    counts.forEach((count, index) => {
      const begins = until - (counts.length - index) * bucketMs;
      put(this.#remembered, task, minuteOf(begins + bucketMs / 2), count);
    });
  }

  forget(task: string): void {
    this.#counted.delete(task);
    this.#remembered.delete(task);
  }

  /** The last minutes, oldest first; the last one is the one that runs. */
  counts(task: string, now: number): readonly number[] {
    const newest = minuteOf(now);
    const counted = this.#counted.get(task);
    const remembered = this.#remembered.get(task);
    return Array.from({ length: BUCKETS }, (_, index) => {
      const minute = newest - BUCKETS + 1 + index;
      return Math.max(get(counted, minute), get(remembered, minute));
    });
  }
}

function put(rings: Map<string, Ring>, task: string, minute: number, count: number): void {
  let ring = rings.get(task);
  if (!ring) {
    ring = { counts: new Uint32Array(BUCKETS), newest: minute };
    rings.set(task, ring);
  }
  if (BUCKETS <= minute - ring.newest) ring.counts.fill(0);
  else for (let next = ring.newest + 1; next <= minute; next += 1) ring.counts[next % BUCKETS] = 0;
  ring.newest = Math.max(ring.newest, minute);
  if (minute <= ring.newest - BUCKETS) return;
  ring.counts[minute % BUCKETS] = (ring.counts[minute % BUCKETS] ?? 0) + count;
}

function get(ring: Ring | undefined, minute: number): number {
  if (!ring || ring.newest < minute || minute <= ring.newest - BUCKETS) return 0;
  return ring.counts[minute % BUCKETS] ?? 0;
}

/** How many of the last minutes say whether a task is active. */
const RECENT_BUCKETS = 5;

export const recentOf = (counts: readonly number[]): number => counts.slice(-RECENT_BUCKETS).reduce((sum, count) => sum + count, 0);

/** How much goes on, for the colour. */
export function levelOf(counts: readonly number[]): "idle" | "some" | "much" {
  const recent = recentOf(counts);
  if (recent === 0) return "idle";
  return recent < 600 ? "some" : "much";
}

/** The same for whoever does not see it. */
export function pulseWords(counts: readonly number[]): string {
  const recent = recentOf(counts);
  return `${recent.toLocaleString("en")} ${recent === 1 ? "activity" : "activities"} in the last 5 min`;
}

/** A bar of this height at least has something in it. */
const LEAST = 1.5;

/** So many in a minute fill the height even if there is never more: one activity is no peak. */
const LEAST_PEAK = 12;

/**
 * Bars as one SVG path, `width` by `height`. By the square root, so that a quiet minute beside a busy one can be seen.
 */
export function barsPath(counts: readonly number[], width: number, height: number): string {
  const peak = Math.sqrt(Math.max(LEAST_PEAK, ...counts));
  const step = width / counts.length;
  const bar = (step * 0.68).toFixed(2);
  return counts
    .map((count, index) => {
      if (count === 0) return "";
      const tall = Math.max(LEAST, (Math.sqrt(count) / peak) * height);
      return `M${(index * step).toFixed(2)} ${height.toString()}v-${tall.toFixed(2)}h${bar}v${tall.toFixed(2)}z`;
    })
    .join("");
}
