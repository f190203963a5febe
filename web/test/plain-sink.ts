/** What a tab has heard of a task, taken note of in the plainest way; it complains about anything that does not follow. */
import type { Activity, Item, State } from "tasklight/viewer";
import type { TaskSink } from "../src/hub/source.ts";

export class PlainSink implements TaskSink {
  log: Activity[] = [];
  lastState: State | undefined;
  starts = 0;
  calls = 0;
  /** The offset that must come next; nothing after a beginning or something that was said. */
  #next: number | undefined;

  start(activities: readonly Activity[]): void {
    this.starts += 1;
    this.calls += 1;
    this.log = [];
    this.#next = undefined;
    for (const activity of activities) this.#take(activity);
  }

  items(items: readonly Item[]): void {
    this.calls += 1;
    if (this.starts === 0) throw new Error("items came before a start");
    for (const item of items) {
      if (item.kind === "activity") this.#take(item.activity);
      if (item.kind === "truncated") this.#next = item.floor;
      if (item.kind === "reset" || item.kind === "deleted") {
        this.log = [];
        this.#next = undefined;
      }
    }
  }

  state(state: State): void {
    this.lastState = state;
  }

  #take(activity: Activity): void {
    if (this.#next !== undefined && activity.offset !== this.#next) {
      throw new Error(`#${activity.offset.toString()} came where #${this.#next.toString()} should`);
    }
    this.#next = activity.offset + 1;
    this.log.push(activity);
  }
}
