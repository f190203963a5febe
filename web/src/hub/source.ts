/**
 * How the page reaches its hub: one connection for all tabs of a browser (a SharedWorker), or one of its own where there are none. Whichever it
 * is, this is all that the page sees of it.
 */
import type { Hub } from "tasklight/rest";
import type { Activity, Item, LinkState, ListItem, State } from "tasklight/viewer";

/** Takes what comes of a task. Called at most once per animation frame each, and not while the page is hidden. */
export interface TaskSink {
  /**
   * The log from `activities[0]` to its newest activity, as far as it is kept for all tabs; what came before is forgotten. Called first, and again whenever the page
   * could not keep up or was hidden for long: what lies between is in the store.
   */
  start(activities: readonly Activity[]): void;
  /** What came after that, in order. */
  items(items: readonly Item[]): void;
  /** What can truthfully be said of it now. May come before the first `start`. */
  state(state: State): void;
}

/**
 * Takes what comes of the list of tasks, under the same rule; but while the page is hidden it is still called every few seconds, so that somebody who
 * looks elsewhere can be told that a task failed. Nothing should be drawn then.
 */
export interface ListSink {
  items(items: readonly ListItem[]): void;
}

/** Something that is followed until it is closed. */
export interface Followed {
  close(): void;
}

export interface HubSource {
  /** Questions and answers, beside what is followed. */
  readonly rest: Hub;
  /** Whether one connection serves all tabs. */
  readonly isShared: boolean;
  /** Follows a task's newest activities; it need not exist yet. */
  openTask(task: string, sink: TaskSink): Followed;
  openList(sink: ListSink): Followed;
  /** Tells how the connection is, now and whenever that changes. Gives what ends it. */
  onLink(told: (state: LinkState) => void): () => void;
  /** The token for everything from now on; nothing takes it away. */
  setToken(token: string | undefined): void;
  /** Looks at once whether the hub is there. */
  look(): void;
  close(): void;
}
