/** How many tasks stand where. Each number is also the filter for it. */
import { type Component, For, Show } from "solid-js";
import { type Counts, type TaskFilter, toggled } from "../model/tasks-filter.ts";
import type { Standing } from "../model/tasks.ts";
import { StatusMark } from "../ui/status.tsx";
import "./counters.css";

/** Always there. */
const MAIN: readonly Standing[] = ["running", "stalled", "failed", "lost", "completed"];

/** There if there are any, or if they are asked for. */
const MORE: readonly Standing[] = ["pending", "cancelled", "empty"];

export const Counters: Component<{
  /** Nothing until they are known. */
  counts: Counts | undefined;
  filter: TaskFilter;
  setFilter: (filter: TaskFilter) => void;
}> = (props) => {
  const isChosen = (standing: Standing): boolean => props.filter.standings.includes(standing);
  const more = (): readonly Standing[] => MORE.filter((standing) => isChosen(standing) || 0 < (props.counts?.[standing] ?? 0));
  const number = (standing: Standing | "all"): string => props.counts?.[standing].toLocaleString("en") ?? "–";
  return (
    <div class="counters" role="group" aria-label="Filter by status">
      <button
        type="button"
        class="counter"
        aria-pressed={props.filter.standings.length === 0}
        onClick={() => { props.setFilter({ ...props.filter, standings: [] }); }}
      >
        All <span class="counter-number">{number("all")}</span>
      </button>
      <For each={[...MAIN, ...more()]}>
        {(standing) => (
          <button
            type="button"
            class="counter"
            data-empty={props.counts?.[standing] === 0 ? "" : undefined}
            aria-pressed={isChosen(standing)}
            onClick={() => { props.setFilter({ ...props.filter, standings: toggled(props.filter.standings, standing) }); }}
          >
            <StatusMark status={standing} />
            <span class="counter-number">{number(standing)}</span>
          </button>
        )}
      </For>
      <Show when={1 < props.filter.standings.length}>
        <span class="visually-hidden">Tasks of any of these are shown.</span>
      </Show>
    </div>
  );
};
