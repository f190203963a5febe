/** The time for what grows by itself: one timer for all who look at it, and none while nobody does or the page is hidden. */
import { type Accessor, createSignal, onCleanup } from "solid-js";

interface Clock {
  readonly now: Accessor<number>;
  watchers: number;
  stop: () => void;
}

const clocks = new Map<number, Clock>();

/** The time in epoch milliseconds, anew every `every` milliseconds, for as long as its owner lives. */
export function useClock(every: number): Accessor<number> {
  const clock = clocks.get(every) ?? started(every);
  clocks.set(every, clock);
  clock.watchers += 1;
  onCleanup(() => {
    clock.watchers -= 1;
    if (clock.watchers !== 0) return;
    clock.stop();
    clocks.delete(every);
  });
  return clock.now;
}

function started(every: number): Clock {
  const [now, setNow] = createSignal(Date.now());
  let timer: ReturnType<typeof setInterval> | undefined;
  const tick = (): void => {
    setNow(Date.now());
  };
  const follow = (): void => {
    clearInterval(timer);
    timer = undefined;
    if (document.hidden) return;
    tick();
    timer = setInterval(tick, every);
  };
  document.addEventListener("visibilitychange", follow);
  follow();
  const stop = (): void => {
    clearInterval(timer);
    document.removeEventListener("visibilitychange", follow);
  };
  return { now, watchers: 0, stop };
}
