/** One task: what is known of it, its timeline, and its runs beside that. */
import { type Component, createEffect, createMemo, createSignal, For, on, onCleanup, Show } from "solid-js";
import type { HubSource } from "../hub/source.ts";
import { openTaskLog } from "../model/task-log.ts";
import { visible } from "../model/text.ts";
import { say } from "../ui/header.ts";
import { route } from "../ui/route.ts";
import { StatusMark } from "../ui/status.tsx";
import { createDetails } from "./details.ts";
import { Empty } from "./empty.tsx";
import { Export } from "./export/export.tsx";
import { useTaskKeys } from "./keys.ts";
import { RunsPanel } from "./runs-panel.tsx";
import { Timeline } from "./timeline/timeline.tsx";
import { TaskView } from "./timeline/view.ts";
import { Filters } from "./toolbar/filters.tsx";
import { Jump } from "./toolbar/jump.tsx";
import { createSearch } from "./toolbar/search.ts";
import { SearchBar } from "./toolbar/search-bar.tsx";
import "./page.css";

/** Labels beyond this are counted. */
const MOST_LABELS = 6;

/** Screens narrower than this show either the timeline or the runs. */
const WIDE = "(min-width: 64rem)";

const TaskPage: Component<{ hub: HubSource; task: string }> = (props) => {
  // eslint-disable-next-line solid/reactivity -- the page of another task is another page
  const { hub, task } = props;
  const place = (): number | undefined => {
    const now = route();
    return now.view === "task" && now.task === task ? now.place : undefined;
  };
  const log = openTaskLog(hub, task);
  onCleanup(() => {
    log.close();
  });
  const view = new TaskView(log, place());
  const search = createSearch(view, hub);
  const details = createDetails(hub, log);
  const [hasRuns, setRuns] = createSignal(matchMedia(WIDE).matches);
  let field: HTMLInputElement | undefined;
  say(() => ({ title: visible(task), detail: visible(details()?.title ?? ""), state: log.state() }));

  // Once the newest of the log is here: what comes first would take the place of what was gone to.
  const isThere = createMemo(() => 0 < log.activities().length);
  createEffect(
    on([place, isThere], ([offset, there], before) => {
      if (offset === undefined || !there) return;
      if (before?.[0] === offset && before[1] === there) return;
      if (before?.[1] === true && view.marked() === offset) return;
      void view.goTo(offset);
    }),
  );
  const toPlace = (offset: number): void => {
    if (!matchMedia(WIDE).matches) setRuns(false);
    void view.goTo(offset);
  };
  const setInvocation = (invocation: string | undefined): void => {
    view.setFilter({ ...log.filter(), invocation });
  };
  useTaskKeys({ view, hub, search, field: () => field, toggleRuns: () => setRuns((before) => !before) });
  const labels = createMemo(() => Object.entries(details()?.labels ?? {}));
  const runs = createMemo(() => {
    const ids = new Set(details()?.invocations.map((run) => run.invocationId));
    for (const { invocationId } of log.activities()) ids.add(invocationId);
    return [...ids];
  });
  const isEmpty = (): boolean => log.entries().length === 0;

  return (
    <main class="task">
      <div class="bar">
        <span class="bar-facts">
          <Show when={details()?.status}>{(status) => <StatusMark status={status()} />}</Show>
          <For each={labels().slice(0, MOST_LABELS)}>
            {([name, value]) => (
              <span class="bar-label">
                {visible(name)}
                <b>{visible(value)}</b>
              </span>
            )}
          </For>
          <Show when={MOST_LABELS < labels().length}>
            <span class="bar-label">+{labels().length - MOST_LABELS}</span>
          </Show>
        </span>
        <SearchBar search={search} field={(element) => (field = element)} />
        <span class="bar-tools">
          <Filters filter={log.filter()} setFilter={(filter) => { view.setFilter(filter); }} runs={runs()} />
          <Jump view={view} hub={hub} />
          <Export hub={hub} task={task} title={details()?.title ?? undefined} />
          <button type="button" class="button" aria-pressed={view.isFollowing()} classList={{ "bar-active": view.isFollowing() }} title="Follow the newest (f)" onClick={() => { if (view.isFollowing()) view.stopFollowing(); else view.follow(); }}>
            Follow
          </button>
          <button type="button" class="button" aria-pressed={hasRuns()} classList={{ "bar-active": hasRuns() }} title="Show or hide the runs (r)" onClick={() => setRuns(!hasRuns())}>
            Runs
          </button>
        </span>
      </div>
      <div class="task-main" data-runs={hasRuns() ? "" : undefined}>
        <Show when={hasRuns()}>
          <div class="task-side">
            <RunsPanel hub={hub} task={task} log={log} onPlace={toPlace} selectedInvocation={log.filter().invocation} onSelectInvocation={setInvocation} />
          </div>
        </Show>
        <div class="task-timeline">
          <Show when={isEmpty()}>
            <Empty log={log} />
          </Show>
          <Timeline view={view} label={`Activities of ${task}`} />
        </div>
      </div>
    </main>
  );
};

export default TaskPage;
