/** What the panel shows of a task's runs, made anew at most a few times a second, once for all parts of the page that look at it. */
import { type Accessor, createEffect, createRoot, createSignal, on, onCleanup, untrack } from "solid-js";
import type { TaskDetails } from "tasklight/rest";
import type { Activity } from "tasklight/viewer";
import type { HubSource } from "../hub/source.ts";
import type { TaskLog } from "../model/log.ts";
import { type Run, runsOf } from "../model/runs.ts";
import { type Row, nested, spansOf } from "../model/spans.ts";
import { createThrottle, LOOK_MS } from "./runs-sampled.ts";

/** The least time between two questions to the hub. */
const ASK_MS = 3_000;

/** While something is at work the hub is asked this often even if the log says nothing: it alone hears heartbeats. */
const ASK_IDLE_MS = 30_000;

export interface RunsView {
  readonly runs: readonly Run[];
  readonly rows: readonly Row[];
  readonly activities: readonly Activity[];
}

export interface RunsState {
  readonly view: Accessor<RunsView>;
  /** Why the hub could not be asked; nothing if it could. */
  readonly failure: Accessor<string | undefined>;
}

const states = new WeakMap<TaskLog, { readonly state: RunsState; users: number; readonly dispose: () => void }>();

/** The state for this log, for as long as its owner lives. */
export function useRuns(hub: HubSource, task: string, log: TaskLog): RunsState {
  let shared = states.get(log);
  if (!shared) {
    shared = createRoot((dispose) => ({ state: createRuns(hub, task, log), users: 0, dispose }));
    states.set(log, shared);
  }
  const mine = shared;
  mine.users += 1;
  onCleanup(() => {
    mine.users -= 1;
    if (mine.users !== 0) return;
    states.delete(log);
    mine.dispose();
  });
  return mine.state;
}

function createRuns(hub: HubSource, task: string, log: TaskLog): RunsState {
  const [details, setDetails] = createSignal<{ readonly answer: TaskDetails; readonly at: number }>();
  const [failure, setFailure] = createSignal<string>();
  const [view, setView] = createSignal<RunsView>({ runs: [], rows: [], activities: [] });
  let closed = false;

  const look = (): void => {
    const activities = untrack(log.activities);
    const told = untrack(details);
    setView({ runs: runsOf(activities, told?.answer, told?.at), rows: nested(spansOf(activities)), activities });
  };
  const looking = createThrottle(LOOK_MS, look);

  let asking = false;
  const ask = async (): Promise<void> => {
    if (asking) return;
    asking = true;
    try {
      const answer = await hub.rest.task(task);
      if (closed) return;
      setDetails({ answer, at: Date.now() });
      setFailure(undefined);
    } catch (error) {
      // A task that does not exist yet is no failure: the log says that it waits.
      if (!closed) setFailure(untrack(details) === undefined && untrack(log.head) === 0 ? undefined : messageOf(error));
    } finally {
      asking = false;
    }
    looking.soon();
  };
  const questions = createThrottle(ASK_MS, () => void ask());

  let told = 0;
  createEffect(
    on([log.activities, log.change], ([activities, change]) => {
      looking.soon();
      if (change.kind === "replaced") questions.soon();
      const last = activities[activities.length - 1]?.offset ?? 0;
      if (saysOfRuns(activities, told)) questions.soon();
      told = last;
    }),
  );
  const idle = setInterval(() => {
    if (!document.hidden && untrack(view).runs.some(({ status }) => status === "running" || status === "pending")) questions.soon();
  }, ASK_IDLE_MS);
  questions.soon();
  onCleanup(() => {
    closed = true;
    clearInterval(idle);
  });
  return { view, failure };
}

/** Whether anything after that offset changes what the hub would say of a run. */
function saysOfRuns(activities: readonly Activity[], after: number): boolean {
  for (let index = activities.length - 1; 0 <= index; index -= 1) {
    const activity = activities[index];
    if (!activity || activity.offset <= after) return false;
    if (activity.type === "status" || activity.type === "usage") return true;
  }
  return false;
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
