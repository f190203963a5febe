/** Clocks that everything on screen shares. They stop while the page is hidden or nobody looks, and are right again when it is seen. */
import { type Accessor, createSignal, onCleanup } from "solid-js";

/** How often times such as "3 min ago" are looked at. */
export const SLOW_MS = 10_000;

interface Clock {
  readonly now: Accessor<number>;
  readonly tick: () => void;
  users: number;
  timer: ReturnType<typeof setInterval> | undefined;
}

const clocks = new Map<number, Clock>();
let isWatching = false;

/** The time, in epoch milliseconds, told so often. For a component. */
export function useClock(everyMs: number = SLOW_MS): Accessor<number> {
  let clock = clocks.get(everyMs);
  if (!clock) {
    const [now, setNow] = createSignal(Date.now());
    clock = { now, tick: () => setNow(Date.now()), users: 0, timer: undefined };
    clocks.set(everyMs, clock);
  }
  const used = clock;
  used.users += 1;
  if (used.users === 1) used.tick();
  if (!isWatching) document.addEventListener("visibilitychange", setAll);
  isWatching = true;
  set(used, everyMs);
  onCleanup(() => {
    used.users -= 1;
    set(used, everyMs);
  });
  return used.now;
}

function setAll(): void {
  for (const [everyMs, clock] of clocks) {
    if (!document.hidden && 0 < clock.users) clock.tick();
    set(clock, everyMs);
  }
}

function set(clock: Clock, everyMs: number): void {
  const wanted = 0 < clock.users && !document.hidden;
  if (wanted && clock.timer === undefined) clock.timer = setInterval(clock.tick, everyMs);
  if (!wanted && clock.timer !== undefined) {
    clearInterval(clock.timer);
    clock.timer = undefined;
  }
}
