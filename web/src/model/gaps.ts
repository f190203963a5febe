/**
 * A time axis on which nothing happens for long only once: a stretch in which nothing was done, long by itself and beside the rest, takes a fixed small width, and
 * its length is told instead of drawn. Order is kept, and so is the sum of all stretches.
 */

/** When something was going on. A moment has `to` equal to `from`. */
export interface Busy {
  readonly from: number;
  readonly to: number;
}

/** A stretch of the axis. `x0` and `x1` are where it is drawn, from 0 to 1. */
export interface Stretch {
  readonly kind: "time" | "gap";
  readonly from: number;
  readonly to: number;
  readonly x0: number;
  readonly x1: number;
}

export interface FoldOptions {
  /** A shorter gap is drawn as long as it was. */
  readonly least: number;
  /** And so is one that is shorter than this part of the time in which something was done. */
  readonly share: number;
  /** The width of a folded gap, as a part of the axis. */
  readonly width: number;
  /** The most of the axis that all folded gaps take together. */
  readonly most: number;
}

export const FOLDING: FoldOptions = { least: 20_000, share: 0.12, width: 0.06, most: 0.4 };

export class Axis {
  readonly from: number;
  readonly to: number;
  readonly stretches: readonly Stretch[];

  constructor(stretches: readonly Stretch[]) {
    this.stretches = stretches;
    this.from = stretches[0]?.from ?? 0;
    this.to = stretches[stretches.length - 1]?.to ?? 0;
  }

  /** The gaps that are folded. */
  get gaps(): readonly Stretch[] {
    return this.stretches.filter(({ kind }) => kind === "gap");
  }

  /** Where a time is drawn, from 0 to 1. What lies outside is at the edge. */
  at(time: number): number {
    const one = this.#find((stretch) => time <= stretch.to);
    if (!one) return 1;
    if (time <= one.from || one.to === one.from) return one.x0;
    return one.x0 + ((time - one.from) / (one.to - one.from)) * (one.x1 - one.x0);
  }

  /** The time that is drawn there. */
  timeAt(x: number): number {
    const one = this.#find((stretch) => x <= stretch.x1);
    if (!one) return this.to;
    if (x <= one.x0 || one.x1 === one.x0) return one.from;
    return one.from + ((x - one.x0) / (one.x1 - one.x0)) * (one.to - one.from);
  }

  /** The first stretch of which that holds; it holds for all after it. */
  #find(holds: (stretch: Stretch) => boolean): Stretch | undefined {
    let low = 0;
    let high = this.stretches.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      const stretch = this.stretches[middle];
      if (stretch && !holds(stretch)) low = middle + 1;
      else high = middle;
    }
    return this.stretches[low];
  }
}

/** The axis over `range`, folded where nothing of `busy` was going on. */
export function foldGaps(busy: Iterable<Busy>, range: Busy, options: FoldOptions = FOLDING): Axis {
  const { from } = range;
  const to = Math.max(from, range.to);
  const gaps = folded(idle(busy, from, to), to - from, options);
  const folds = gaps.reduce((sum, gap) => sum + gap.to - gap.from, 0);
  const drawn = to - from - folds;
  // With nothing else to draw the gaps have all of it.
  const forGaps = drawn === 0 && gaps.length !== 0 ? 1 : Math.min(options.most, gaps.length * options.width);
  const perGap = gaps.length === 0 ? 0 : forGaps / gaps.length;
  const perMilli = drawn === 0 ? 0 : (1 - forGaps) / drawn;
  const stretches: Stretch[] = [];
  let at = from;
  let x = 0;
  const put = (kind: Stretch["kind"], until: number, width: number): void => {
    stretches.push({ kind, from: at, to: until, x0: x, x1: Math.min(1, x + width) });
    at = until;
    x = Math.min(1, x + width);
  };
  for (const gap of gaps) {
    if (at < gap.from) put("time", gap.from, (gap.from - at) * perMilli);
    put("gap", gap.to, perGap);
  }
  if (at < to || stretches.length === 0) put("time", to, 1 - x);
  return new Axis(stretches);
}

/** When nothing was going on, in order. */
function idle(busy: Iterable<Busy>, from: number, to: number): Busy[] {
  const sorted = [...busy].filter((one) => one.from <= to && from <= one.to).sort((one, other) => one.from - other.from);
  const gaps: Busy[] = [];
  let until = from;
  for (const one of sorted) {
    if (until < one.from) gaps.push({ from: until, to: one.from });
    until = Math.max(until, one.to);
  }
  if (until < to) gaps.push({ from: until, to });
  return gaps;
}

/** Those that are long enough. The longest first, because each that is folded makes the rest look longer. */
function folded(gaps: readonly Busy[], span: number, { least, share }: FoldOptions): Busy[] {
  const longest = gaps.filter((gap) => least <= gap.to - gap.from).sort((one, other) => other.to - other.from - (one.to - one.from));
  const chosen: Busy[] = [];
  let rest = span;
  for (const gap of longest) {
    const length = gap.to - gap.from;
    if (length < (rest - length) * share) break;
    chosen.push(gap);
    rest -= length;
  }
  return chosen.sort((one, other) => one.from - other.from);
}

const STEPS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 1.5e4, 3e4, 6e4, 12e4, 3e5, 6e5, 9e5, 18e5, 36e5, 72e5, 108e5, 216e5, 432e5, 864e5];

/** The least round step that is at least so long. */
export const roundStep = (least: number): number => STEPS.find((one) => least <= one) ?? Math.ceil(least / 864e5) * 864e5;

/** The multiples of `step` within a stretch, but never more than `most`. */
export function ticksOf(from: number, to: number, step: number, most: number): readonly number[] {
  const ticks: number[] = [];
  for (let tick = Math.ceil(from / step) * step; tick <= to && ticks.length < most; tick += step) ticks.push(tick);
  return ticks;
}
