/** Which tasks are in which row: the order as it is, unless somebody is reading, for whom it waits a little. */
import { type Accessor, createEffect, createSignal, on, onCleanup } from "solid-js";
import { Hold, isSame } from "../model/tasks-hold.ts";
import type { TaskFilter } from "../model/tasks-filter.ts";

interface Asked {
  readonly ids: Accessor<readonly string[]>;
  readonly filter: Accessor<TaskFilter>;
  readonly isReading: Accessor<boolean>;
  /** Called around a change of order that nobody asked for, so that the place on screen can be kept. */
  readonly change: (apply: () => void, ids: readonly string[]) => void;
}

export interface Shown {
  readonly ids: Accessor<readonly string[]>;
  /** Whether another order waits. */
  readonly isHeld: Accessor<boolean>;
  /** Shows the order that waits. */
  release: () => void;
}

export function useShown({ ids: wanted, filter, isReading, change }: Asked): Shown {
  const hold = new Hold();
  const [ids, setIds] = createSignal<readonly string[]>(wanted());
  const [isHeld, setHeld] = createSignal(false);
  let timer: ReturnType<typeof setTimeout> | undefined;
  const show = (): void => {
    clearTimeout(timer);
    hold.release();
    setHeld(false);
    const next = wanted();
    if (isSame(next, ids())) return;
    change(() => setIds(next), next);
  };
  const consider = (): void => {
    if (isSame(wanted(), ids()) || hold.isShown(isReading(), Date.now())) {
      show();
      return;
    }
    setHeld(true);
    clearTimeout(timer);
    timer = setTimeout(show, Math.max(0, (hold.due ?? 0) - Date.now()));
  };
  createEffect(on([wanted, isReading], consider, { defer: true }));
  // What somebody asks for comes at once.
  createEffect(
    on(
      filter,
      () => {
        clearTimeout(timer);
        hold.release();
        setHeld(false);
        setIds(wanted());
      },
      { defer: true },
    ),
  );
  onCleanup(() => {
    clearTimeout(timer);
  });
  return { ids, isHeld, release: show };
}
