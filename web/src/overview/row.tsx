/** One task of the list. A row is used again for another task when the list is scrolled. */
import { type Component, createMemo, For, Show } from "solid-js";
import { barsPath, levelOf, pulseWords } from "../model/sparkline.ts";
import { type TaskFilter, toggled } from "../model/tasks-filter.ts";
import { agentsOf, stallWords, type Task } from "../model/tasks.ts";
import { taskAddress } from "../ui/route.ts";
import { StatusMark } from "../ui/status.tsx";
import { Ago, span, useClock } from "../ui/time.tsx";
import type { TaskList } from "./list.ts";
import type { Status } from "tasklight/viewer";
import { visible } from "../model/text.ts";

/** In this order, the most telling first. */
const RUNS: readonly Status[] = ["running", "failed", "lost", "pending", "completed", "cancelled"];

/** Labels and agents beyond these are only counted. */
const MOST_LABELS = 3;
const MOST_AGENTS = 2;

/** Kinds of runs beyond these are left to the task's page. */
const MOST_KINDS = 3;

const PULSE_WIDTH = 96;
const PULSE_HEIGHT = 22;

interface Props {
  list: TaskList;
  id: string;
  /** Its place in the list, from 0. */
  index: number;
  top: number;
  domId: string;
  isActive: boolean;
  /** Changes when the hub's memory of activity has come. */
  remembered: number;
  filter: TaskFilter;
  setFilter: (filter: TaskFilter) => void;
}

export const Row: Component<Props> = (props) => {
  // A task that is gone keeps its row until the order is made anew.
  const shown = createMemo<{ id: string; task: Task | undefined; isGone: boolean }>((before) => {
    // eslint-disable-next-line solid/reactivity -- a memo follows what it reads
    const { id } = props;
    const task = props.list.task(id);
    return { id, task: task ?? (before?.id === id ? before.task : undefined), isGone: task === undefined };
  });
  return (
    <Show when={shown().task}>
      {(task) => (
        <div
          id={props.domId}
          class="task-row task-columns"
          role="row"
          aria-rowindex={props.index + 2}
          aria-selected={props.isActive}
          data-task={props.id}
          data-gone={shown().isGone ? "" : undefined}
          data-standing={task().standing}
          style={{ transform: `translateY(${props.top.toString()}px)` }}
        >
          <Cells {...props} task={task()} />
        </div>
      )}
    </Show>
  );
};

const Cells: Component<Props & { task: Task }> = (props) => {
  const summary = (): Task["summary"] => props.task.summary;
  const labels = createMemo(() => Object.entries(summary().labels).map(([name, value]) => (value === "" ? name : `${name}=${value}`)));
  const agents = (): readonly string[] => agentsOf(props.task);
  return (
    <>
      <span role="gridcell" class="task-status">
        <StatusMark status={props.task.standing} />
      </span>
      <span role="gridcell" class="task-name">
        <a class="task-id" href={taskAddress(props.id)} tabindex="-1">
          {props.id}
        </a>
        <About task={props.task} />
        <span class="task-labels">
          <For each={labels().slice(0, MOST_LABELS)}>
            {(label) => (
              <button
                type="button"
                class="task-label"
                tabindex="-1"
                title={`Filter by ${visible(label)}`}
                onClick={() => { props.setFilter({ ...props.filter, labels: toggled(props.filter.labels, label) }); }}
              >
                {visible(label)}
              </button>
            )}
          </For>
          <Show when={MOST_LABELS < labels().length}>
            <span class="task-more" title={visible(labels().slice(MOST_LABELS).join(", "))}>+{labels().length - MOST_LABELS}</span>
          </Show>
        </span>
      </span>
      <span role="gridcell" class="task-agents">
        <For each={agents().slice(0, MOST_AGENTS)}>
          {(agent) => (
            <button
              type="button"
              class="task-agent"
              tabindex="-1"
              title={`Filter by agent ${visible(agent)}`}
              onClick={() => { props.setFilter({ ...props.filter, agents: toggled(props.filter.agents, agent) }); }}
            >
              {visible(agent)}
            </button>
          )}
        </For>
        <Show when={MOST_AGENTS < agents().length}>
          <span class="task-more" title={visible(agents().slice(MOST_AGENTS).join(", "))}>+{agents().length - MOST_AGENTS}</span>
        </Show>
      </span>
      <span role="gridcell" class="task-runs">
        <For each={RUNS.filter((status) => 0 < (summary().invocationCounts[status] ?? 0)).slice(0, MOST_KINDS)}>
          {(status) => (
            <span class="task-run">
              <StatusMark status={status} wordless /> {summary().invocationCounts[status]}
            </span>
          )}
        </For>
      </span>
      <Pulse list={props.list} id={props.id} remembered={props.remembered} />
      <span role="gridcell" class="task-head">#{summary().head.toLocaleString("en")}</span>
      <span role="gridcell" class="task-when">
        <Ago at={props.task.activeAt} />
      </span>
    </>
  );
};

/** Why it stands still, if it does; and its title. */
const About: Component<{ task: Task }> = (props) => {
  const now = useClock();
  return (
    <span class="task-about">
      <Show when={props.task.summary.stalled}>
        {(stall) => (
          <span class="task-stall">
            {stallWords(stall(), now(), span)}
            <Show when={1 < stall().count}> ({stall().count} runs)</Show>
          </span>
        )}
      </Show>
      <Show when={props.task.summary.title}>{(title) => <span class="task-title">{visible(title())}</span>}</Show>
    </span>
  );
};

const Pulse: Component<{ list: TaskList; id: string; remembered: number }> = (props) => {
  const now = useClock(1_000);
  const counts = createMemo(
    () => {
      // Read for when it changes.
      if (props.remembered < 0) return [];
      return props.list.pulses.counts(props.id, now());
    },
    undefined,
    { equals: (one, other) => one.every((count, index) => count === other[index]) },
  );
  return (
    <span role="gridcell" class="task-pulse" data-level={levelOf(counts())} title={pulseWords(counts())}>
      <svg viewBox={`0 0 ${PULSE_WIDTH.toString()} ${PULSE_HEIGHT.toString()}`} preserveAspectRatio="none" aria-hidden="true">
        <path d={barsPath(counts(), PULSE_WIDTH, PULSE_HEIGHT)} />
      </svg>
      <span class="visually-hidden">{pulseWords(counts())}</span>
    </span>
  );
};
