/** The live list of tasks: counters, filters, and the rows. */
import { type Component, createEffect, createMemo, createSignal, Match, on, onCleanup, Show, Switch } from "solid-js";
import type { LinkState } from "tasklight/viewer";
import { ALL, formatFilter, isEverything, parseFilter, select, type TaskFilter } from "../model/tasks-filter.ts";
import type { ListState } from "../ui/badge.ts";
import { say } from "../ui/header.ts";
import { goTo, route } from "../ui/route.ts";
import { Counters } from "./counters.tsx";
import { Filters } from "./filters.tsx";
import { Grid } from "./grid.tsx";
import { Lesson } from "./lesson.tsx";
import type { TaskList } from "./list.ts";
import { Skeleton } from "./skeleton.tsx";
import "./overview.css";

/** The address is written when typing has paused. */
const ADDRESS_MS = 250;

export const Overview: Component<{ list: TaskList; link: LinkState }> = (props) => {
  // eslint-disable-next-line solid/reactivity -- there is one list for the page's life
  const { list } = props;
  onCleanup(list.use());
  const [filter, setFilter] = useFilter();
  const selection = createMemo(() => select(list.sorted(), filter()));
  // After the first time there is always something to show.
  const hasBegun = createMemo<boolean>((before) => before || list.isComplete(), false);
  const state = (): LinkState | ListState => {
    if (props.link.kind !== "open") return props.link;
    return { kind: list.isComplete() ? "complete" : "loading", count: list.count };
  };
  // eslint-disable-next-line solid/reactivity -- the header follows it
  say(() => ({ title: "Tasks", state: state() }));
  return (
    <main class="overview">
      <div class="overview-bar">
        <Counters counts={hasBegun() ? selection().counts : undefined} filter={filter()} setFilter={setFilter} />
        <Filters list={list} filter={filter()} setFilter={setFilter} />
      </div>
      <Switch
        fallback={
          <Show when={props.link.kind !== "denied"}>
            <Skeleton />
          </Show>
        }
      >
        <Match when={hasBegun() && list.sorted().length === 0}>
          <Lesson />
        </Match>
        <Match when={hasBegun()}>
          <Grid list={list} ids={selection().ids} filter={filter()} setFilter={setFilter} />
          <Show when={selection().ids.length === 0}>
            <section class="overview-none">
              <h2>No task fits</h2>
              <p>None of the {list.count.toLocaleString("en")} tasks fits this filter. One that comes to fit appears here by itself.</p>
              <button type="button" class="button" onClick={() => { setFilter(ALL); }}>
                Clear the filter
              </button>
            </section>
          </Show>
        </Match>
      </Switch>
    </main>
  );
};

/** The filter of the address, which follows it. */
function useFilter(): [() => TaskFilter, (filter: TaskFilter) => void] {
  const [filter, setSignal] = createSignal(parseFilter(location.search));
  let timer: ReturnType<typeof setTimeout> | undefined;
  const write = (): void => {
    clearTimeout(timer);
    timer = undefined;
    if (route().view === "overview") goTo(location.pathname + formatFilter(filter()), "replace");
  };
  // Links and the browser's buttons change the address too; what is still being typed is not undone by that.
  createEffect(
    on(route, (now) => {
      if (now.view === "overview" && timer === undefined && formatFilter(filter()) !== formatFilter(parseFilter(location.search))) {
        setSignal(parseFilter(location.search));
      }
    }),
  );
  onCleanup(() => {
    clearTimeout(timer);
  });
  return [
    filter,
    // eslint-disable-next-line solid/reactivity -- called by what somebody does
    (next) => {
      const isTyping = next.text !== filter().text && !isEverything(next);
      setSignal(next);
      clearTimeout(timer);
      if (isTyping) timer = setTimeout(write, ADDRESS_MS);
      else write();
    },
  ];
}
