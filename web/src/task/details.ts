/** What the hub says of a task: title, labels, status, runs. Asked at first and when a run's status may have changed, seldom enough. */
import { type Accessor, createEffect, createSignal, on, onCleanup, untrack } from "solid-js";
import type { TaskDetails } from "tasklight/rest";
import type { HubSource } from "../hub/source.ts";
import type { TaskLog } from "../model/log.ts";

/** The least time between two questions. */
const ASK_MS = 3_000;

export function createDetails(hub: HubSource, log: TaskLog): Accessor<TaskDetails | undefined> {
  const [details, setDetails] = createSignal<TaskDetails>();
  let timer: ReturnType<typeof setTimeout> | undefined;
  let askedAt = 0;
  let seen = 0;
  let closed = false;
  const ask = async (): Promise<void> => {
    timer = undefined;
    askedAt = performance.now();
    try {
      const answer = await hub.rest.task(log.task);
      if (!closed) setDetails(answer);
    } catch {
      // The badge says what is wrong; what was known stays.
    }
  };
  const soon = (): void => {
    timer ??= setTimeout(() => void ask(), askedAt === 0 ? 0 : Math.max(0, askedAt + ASK_MS - performance.now()));
  };
  soon();
  createEffect(
    on(log.activities, (activities) => {
      const isNews = untrack(log.atEnd) && hasStatusAfter(activities, seen);
      seen = activities.at(-1)?.offset ?? 0;
      if (isNews) soon();
    }),
  );
  createEffect(on(() => log.state().kind === "live", (isLive) => { if (isLive) soon(); }, { defer: true }));
  onCleanup(() => {
    closed = true;
    clearTimeout(timer);
  });
  return details;
}

function hasStatusAfter(activities: ReturnType<TaskLog["activities"]>, after: number): boolean {
  for (let i = activities.length - 1; 0 <= i; i -= 1) {
    const activity = activities[i];
    if (!activity || activity.offset <= after) return false;
    if (activity.type === "status") return true;
  }
  return false;
}
