/** A look at something that changes with every frame, a few times a second, and never while the page is hidden. */
import { type Accessor, createEffect, createSignal, on, onCleanup, untrack } from "solid-js";

/** The least time between two looks. */
export const LOOK_MS = 400;

/** The value as it was at most that long ago. For a component. */
export function createSampled<Value>(source: Accessor<Value>): Accessor<Value> {
  const [seen, setSeen] = createSignal<Value>(untrack(source));
  const looks = createThrottle(LOOK_MS, () => {
    setSeen(() => untrack(source));
  });
  createEffect(on(source, looks.soon, { defer: true }));
  return seen;
}

export interface Throttle {
  /** At once if it has been long enough, else as soon as it has. */
  readonly soon: () => void;
}

/** Never acts while the page is hidden; once when it comes back, if it was asked to. For as long as its owner lives. */
export function createThrottle(every: number, act: () => void): Throttle {
  let timer: ReturnType<typeof setTimeout> | undefined;
  let last = -Infinity;
  let isWanted = false;
  const run = (): void => {
    timer = undefined;
    if (document.hidden) return;
    isWanted = false;
    last = performance.now();
    act();
  };
  const soon = (): void => {
    isWanted = true;
    timer ??= setTimeout(run, Math.max(0, last + every - performance.now()));
  };
  const shown = (): void => {
    if (!document.hidden && isWanted) soon();
  };
  document.addEventListener("visibilitychange", shown);
  onCleanup(() => {
    clearTimeout(timer);
    document.removeEventListener("visibilitychange", shown);
  });
  return { soon };
}
