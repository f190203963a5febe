/**
 * The rows that are on screen, out of thousands: where each of them is, and which element shows it. Elements come from a pool; a row that stays on screen keeps its
 * own, so that a selection or the focus in it is not lost, and one that leaves gives its element to the next. What is read stays where it is while entries come
 * and go before and after it.
 */
import { Virtualizer, elementScroll, observeElementOffset, observeElementRect, type VirtualItem } from "@tanstack/solid-virtual";
import { type Accessor, batch, createComputed, createEffect, createMemo, createSignal, on, onCleanup, onMount, type Setter, untrack } from "solid-js";
import type { Entry } from "../../model/entry.ts";
import { MOST_ACTIVITIES } from "../../model/log.ts";
import { estimate } from "./estimate.ts";

/** Rows beyond the edges of the screen that are there already. */
const OVERSCAN = 6;

/** The room above the first and below the last row, in which the timeline says how it goes on there. */
export const EDGE_PX = 40;

/** Following, the end is kept in sight if it was no further away than this. */
const NEAR_END_PX = 48;

/** An element of the pool, and the row that it shows. */
export interface Slot {
  readonly key: Accessor<number>;
  readonly index: Accessor<number>;
  readonly start: Accessor<number>;
}

export interface Rows {
  readonly slots: Accessor<readonly Slot[]>;
  /** The height of everything, in pixels. */
  readonly total: Accessor<number>;
  /** The first and last index on screen. */
  readonly range: Accessor<{ readonly first: number; readonly last: number } | undefined>;
  readonly indexOf: (key: number) => number | undefined;
  /** Tells that the slot's element shows another row, or the first one. */
  readonly measure: (element: HTMLElement) => void;
  scrollToIndex(index: number, align: "start" | "center" | "auto"): void;
  /** So that the row's top is so far below the top of the screen. */
  scrollToTop(index: number, below: number): void;
  scrollToEnd(): void;
  /** How far the row's top is below the top of the screen. */
  topOf(index: number): number;
  heightOf(index: number): number;
}

/** Unique among the entries of a log: a hole may stand where an entry begins. */
export const rowKey = (entry: Entry): number => (entry.kind === "hole" ? -entry.key - 1 : entry.key);

interface Options {
  readonly scroller: Accessor<HTMLElement | undefined>;
  readonly entries: Accessor<readonly Entry[]>;
  readonly isFollowing: Accessor<boolean>;
  /** A row that keeps its element even off screen: the one with the focus. */
  readonly kept: Accessor<number | undefined>;
  /** Called after every change of what is on screen. */
  readonly onMoved: () => void;
}

interface Pooled extends Slot {
  readonly setKey: Setter<number>;
  readonly setIndex: Setter<number>;
  readonly setStart: Setter<number>;
}

export function createRows(options: Options): Rows {
  const { entries, isFollowing } = options;
  const [total, setTotal] = createSignal(0);
  const [slots, setSlots] = createSignal<readonly Pooled[]>([]);
  const [range, setRange] = createSignal<{ first: number; last: number }>();
  const indices = createMemo(() => new Map(entries().map((entry, index) => [rowKey(entry), index])));

  const settings = (): ConstructorParameters<typeof Virtualizer<HTMLElement, HTMLElement>>[0] => {
    const all = entries();
    return {
      count: all.length,
      getScrollElement: () => options.scroller() ?? null,
      getItemKey: (index) => keyAt(all, index),
      estimateSize: (index) => estimate(all[index], options.scroller()?.clientWidth ?? 800),
      scrollToFn: elementScroll,
      observeElementRect,
      observeElementOffset,
      overscan: OVERSCAN,
      paddingStart: EDGE_PX,
      paddingEnd: EDGE_PX,
      scrollPaddingStart: EDGE_PX,
      scrollPaddingEnd: EDGE_PX,
      anchorTo: "end",
      // Somebody who reads is never taken along, however near the end they are.
      scrollEndThreshold: isFollowing() ? NEAR_END_PX : -1,
      rangeExtractor: ({ startIndex, endIndex, overscan, count }) => {
        const [from, to] = [Math.max(0, startIndex - overscan), Math.min(count - 1, endIndex + overscan)];
        const found = Array.from({ length: Math.max(0, to - from + 1) }, (_, i) => from + i);
        const kept = untrack(() => indices().get(options.kept() ?? Number.NaN));
        if (kept === undefined || (from <= kept && kept <= to)) return found;
        return kept < from ? [kept, ...found] : [...found, kept];
      },
      onChange: () => {
        publish();
        virtualizer._willUpdate();
        stick();
        options.onMoved();
      },
    };
  };
  const virtualizer = new Virtualizer<HTMLElement, HTMLElement>(untrack(settings));

  /** The library keeps elements and heights by key for ever: those of rows that are gone, or have become other rows, are let go here. */
  const forget = (): void => {
    virtualizer.measureElement(null);
    for (const [key, element] of virtualizer.elementsCache) {
      if (element.dataset["key"] !== String(key)) virtualizer.elementsCache.delete(key);
    }
    const { itemSizeCache } = virtualizer;
    if (itemSizeCache.size <= 2 * MOST_ACTIVITIES) return;
    for (const key of itemSizeCache.keys()) if (!untrack(indices).has(Number(key))) itemSizeCache.delete(key);
  };

  const publish = (): void => {
    batch(() => {
      setTotal(virtualizer.getTotalSize());
      const seen = virtualizer.range;
      const now = seen === null ? undefined : { first: seen.startIndex, last: seen.endIndex };
      setRange((before) => (before?.first === now?.first && before?.last === now?.last ? before : now));
      setSlots((before) => assign(before, virtualizer.getVirtualItems()));
    });
    forget();
  };

  /** Rows that turned out higher than they were thought to be have pushed the end away: back to it before anything is painted. */
  const stick = (): void => {
    const element = untrack(options.scroller);
    if (!element || !untrack(isFollowing)) return;
    const end = element.scrollHeight - element.clientHeight;
    if (element.scrollTop < end - 1) element.scrollTop = end;
  };

  onMount(() => {
    onCleanup(virtualizer._didMount());
    virtualizer._willUpdate();
  });
  createComputed(
    on([entries, isFollowing], () => {
      virtualizer.setOptions(settings());
      publish();
    }),
  );
  // After the elements have moved: only then there is room to scroll to.
  createEffect(
    on([entries, isFollowing], () => {
      virtualizer._willUpdate();
      if (isFollowing()) virtualizer.scrollToEnd();
      stick();
      options.onMoved();
    }),
  );

  const topOf = (index: number): number => (virtualizer.measurementsCache[index]?.start ?? 0) - (virtualizer.scrollOffset ?? 0);
  return {
    slots,
    total,
    range,
    indexOf: (key) => indices().get(key),
    measure: (element) => {
      virtualizer.measureElement(element);
    },
    scrollToIndex: (index, align) => {
      virtualizer.scrollToIndex(index, { align });
    },
    scrollToTop: (index, below) => {
      const item = virtualizer.measurementsCache[index];
      if (item) virtualizer.scrollToOffset(item.start - below);
    },
    scrollToEnd: () => {
      virtualizer.scrollToEnd();
    },
    topOf,
    heightOf: (index) => virtualizer.measurementsCache[index]?.size ?? 0,
  };
}

function keyAt(all: readonly Entry[], index: number): number {
  const entry = all[index];
  return entry ? rowKey(entry) : Number.MIN_SAFE_INTEGER + index;
}

/** Gives each row an element: its own if it has one, else one that is free, else a new one. In the rows' order, so that they are read in it. */
function assign(before: readonly Pooled[], items: readonly VirtualItem[]): readonly Pooled[] {
  const wanted = new Set(items.map((item) => item.key));
  const own = new Map<unknown, Pooled>();
  const free: Pooled[] = [];
  for (const slot of before) {
    if (wanted.has(untrack(slot.key))) own.set(untrack(slot.key), slot);
    else free.push(slot);
  }
  const after = items.map((item) => {
    const slot = own.get(item.key) ?? free.pop() ?? pooled(item);
    slot.setKey(Number(item.key));
    slot.setIndex(item.index);
    slot.setStart(item.start);
    return slot;
  });
  return after.length === before.length && after.every((slot, i) => slot === before[i]) ? before : after;
}

function pooled(item: VirtualItem): Pooled {
  const [key, setKey] = createSignal(Number(item.key));
  const [index, setIndex] = createSignal(item.index);
  const [start, setStart] = createSignal(item.start);
  return { key, index, start, setKey, setIndex, setStart };
}
