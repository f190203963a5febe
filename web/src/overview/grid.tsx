/**
 * The rows on screen, however many there are. The grid itself has the focus, and says which row is meant; so a row can be used for another
 * task without the focus being lost.
 */
import { createVirtualizer } from "@tanstack/solid-virtual";
import { type Component, createEffect, createMemo, createSignal, Index, on, onCleanup, onMount, Show } from "solid-js";
import type { TaskFilter } from "../model/tasks-filter.ts";
import { useKeys } from "../ui/keys.ts";
import { goTo, taskAddress } from "../ui/route.ts";
import { Columns } from "./columns.tsx";
import type { TaskList } from "./list.ts";
import { RateHistory } from "./rates.ts";
import { Row } from "./row.tsx";
import { useShown } from "./shown.ts";
import "./grid.css";
import "./row.css";

/** Heights in pixels, as in row.css. */
const HEIGHTS = { wide: { row: 40, columns: 32 }, narrow: { row: 60, columns: 0 } };
const NARROW = "(max-width: 48rem)";

/** Rows beyond what is seen, above and below. */
const OVERSCAN = 6;

/** Where somebody was, for when they come back from a task. */
let place: { readonly active: string | undefined; readonly top: number } = { active: undefined, top: 0 };

interface Props {
  list: TaskList;
  ids: readonly string[];
  filter: TaskFilter;
  setFilter: (filter: TaskFilter) => void;
}

export const Grid: Component<Props> = (props) => {
  let grid: HTMLDivElement | undefined;
  const narrow = matchMedia(NARROW);
  const [isNarrow, setNarrow] = createSignal(narrow.matches);
  const height = (): { row: number; columns: number } => HEIGHTS[isNarrow() ? "narrow" : "wide"];
  const [isPointed, setPointed] = createSignal(false);
  const [isFocused, setFocused] = createSignal(false);
  const [active, setActive] = createSignal(place.active);
  const [remembered, setRemembered] = createSignal(0);

  const shown = useShown({
    ids: () => props.ids,
    filter: () => props.filter,
    isReading: () => isPointed() || isFocused(),
    change: (apply, next) => {
      const before = anchor();
      apply();
      const index = before ? next.indexOf(before.id) : -1;
      if (grid && before && index !== -1) grid.scrollTop = index * height().row - before.above;
    },
  });
  /** The task whose place on screen is kept, and how far below the top it is. */
  const anchor = (): { id: string; above: number } | undefined => {
    if (!grid) return undefined;
    const { scrollTop, clientHeight } = grid;
    const row = height().row;
    const at = isFocused() ? shown.ids().indexOf(active() ?? "") : -1;
    const isSeen = at !== -1 && scrollTop < (at + 1) * row && at * row < scrollTop + clientHeight;
    if (!isSeen && scrollTop === 0) return undefined;
    const index = isSeen ? at : Math.ceil(scrollTop / row);
    const id = shown.ids()[index];
    return id === undefined ? undefined : { id, above: index * row - scrollTop };
  };

  const virtualizer = createVirtualizer<HTMLDivElement, HTMLDivElement>({
    get count() {
      return shown.ids().length;
    },
    getScrollElement: () => grid ?? null,
    estimateSize: () => height().row,
    overscan: OVERSCAN,
    get paddingStart() {
      return height().columns;
    },
    get scrollPaddingStart() {
      return height().columns;
    },
    initialOffset: place.top,
  });
  createEffect(on(isNarrow, () => { virtualizer.measure(); }, { defer: true }));
  createEffect(on(() => props.filter, () => { if (grid) grid.scrollTop = 0; }, { defer: true }));

  /** Rows from a pool: the n-th task is always in the row n modulo their number. */
  const slots = createMemo<readonly (number | undefined)[]>((before) => {
    const indexes = virtualizer.getVirtualItems().map(({ index }) => index).filter((index) => index < shown.ids().length);
    const size = Math.max(before.length, indexes.length);
    const next = Array.from<number | undefined>({ length: size });
    for (const index of indexes) next[index % size] = index;
    return next;
  }, []);
  const idAt = (index: number | undefined): string | undefined => (index === undefined ? undefined : shown.ids()[index]);

  // eslint-disable-next-line solid/reactivity -- there is one list for the page's life
  const { list } = props;
  const rates = new RateHistory(list.hub.rest, list.pulses, () => setRemembered((count) => count + 1));
  createEffect(() => { rates.show(slots().map(idAt).filter((id) => id !== undefined)); });
  createEffect(on(list.started, () => { rates.expire(); }, { defer: true }));

  const move = (to: (index: number, last: number) => number): boolean => {
    const last = shown.ids().length - 1;
    if (last < 0) return false;
    const at = shown.ids().indexOf(active() ?? "");
    const index = Math.min(last, Math.max(0, to(at, last)));
    setActive(shown.ids()[index]);
    grid?.focus({ preventScroll: true });
    virtualizer.scrollToIndex(index, { align: "auto" });
    return true;
  };
  const rowsOfPage = (): number => {
    const { row, columns } = HEIGHTS[narrow.matches ? "narrow" : "wide"];
    return Math.max(1, Math.floor(((grid?.clientHeight ?? 0) - columns) / row) - 1);
  };
  useKeys([
    { keys: ["j", "ArrowDown"], does: "Next task", group: "Overview", run: () => move((at) => at + 1) },
    { keys: ["k", "ArrowUp"], does: "Previous task", group: "Overview", run: () => move((at) => (at === -1 ? 0 : at - 1)) },
    { keys: ["PageDown"], does: "A page down", group: "Overview", run: () => move((at) => at + rowsOfPage()) },
    { keys: ["PageUp"], does: "A page up", group: "Overview", run: () => move((at) => at - rowsOfPage()) },
    { keys: ["g g", "Home"], does: "First task", group: "Overview", run: () => move(() => 0) },
    { keys: ["G", "End"], does: "Last task", group: "Overview", run: () => move((_, last) => last) },
    {
      keys: ["Enter"], does: "Open the task", group: "Overview",
      run: () => {
        const id = active();
        if (id === undefined || !shown.ids().includes(id)) return false;
        goTo(taskAddress(id));
        return true;
      },
    },
    {
      keys: ["Escape"], does: "Leave the list", group: "Overview",
      run: () => {
        if (active() === undefined) return false;
        setActive(undefined);
        grid?.blur();
        return true;
      },
    },
  ]);

  const resized = (): void => {
    setNarrow(narrow.matches);
  };
  narrow.addEventListener("change", resized);
  onMount(() => {
    if (grid) grid.scrollTop = place.top;
  });
  onCleanup(() => {
    narrow.removeEventListener("change", resized);
    rates.close();
    place = { active: active(), top: grid?.scrollTop ?? 0 };
  });

  const activeSlot = (): number => slots().findIndex((index) => index !== undefined && idAt(index) === active());
  return (
    <div class="grid-frame">
      <div
        ref={(element) => (grid = element)}
        class="grid"
        role="grid"
        aria-label="Tasks"
        aria-rowcount={shown.ids().length + 1}
        aria-activedescendant={active() !== undefined && activeSlot() !== -1 ? `task-row-${activeSlot().toString()}` : undefined}
        tabindex="0"
        onPointerEnter={(event) => setPointed(event.pointerType === "mouse")}
        onPointerLeave={() => setPointed(false)}
        onFocus={() => {
          setFocused(true);
          if (activeSlot() === -1 && grid) setActive(shown.ids()[Math.ceil(grid.scrollTop / height().row)]);
        }}
        onBlur={() => setFocused(false)}
      >
        <Columns role="row" />
        <div class="grid-rows" role="rowgroup" style={{ height: `${(virtualizer.getTotalSize() - height().columns).toString()}px` }}>
          <Index each={slots()}>
            {(index, slot) => (
              <Show when={idAt(index())}>
                {(id) => (
                  <Row
                    list={props.list}
                    id={id()}
                    index={index() ?? 0}
                    top={(index() ?? 0) * height().row}
                    domId={`task-row-${slot.toString()}`}
                    isActive={id() === active()}
                    remembered={remembered()}
                    filter={props.filter}
                    setFilter={props.setFilter}
                  />
                )}
              </Show>
            )}
          </Index>
        </div>
      </div>
      <Show when={shown.isHeld()}>
        <button type="button" class="grid-held" onClick={shown.release}>
          Order paused while you read <span>Update now</span>
        </button>
      </Show>
    </div>
  );
};
