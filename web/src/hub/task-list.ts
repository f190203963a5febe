/** The list of tasks, kept once for all tabs, and what each tab has not been told of it: the tasks that changed, each once. */
import type { ListItem, TaskSummary } from "tasklight/viewer";
import { OneAtATime } from "./followed.ts";

/** The most tasks in one message to a tab. */
export const BATCH_TASKS = 1_000;

/** A tab for which so many more tasks wait than there are begins anew. */
const MOST_GONE = 1_000;

export class TaskList {
  readonly feeds = new Set<ListFeed>();
  readonly #tasks = new Map<string, TaskSummary>();
  /** Those that the hub has not named since the list began anew. */
  #unconfirmed: Set<string> | undefined;
  #complete = false;

  /** Whether all tasks are known, as far as anybody knows. */
  get isComplete(): boolean {
    return this.#complete;
  }

  get size(): number {
    return this.#tasks.size;
  }

  get ids(): Iterable<string> {
    return this.#tasks.keys();
  }

  get(task: string): TaskSummary | undefined {
    return this.#tasks.get(task);
  }

  /** Takes what the hub says. A list that begins anew changes only what differs. */
  hear(item: ListItem): void {
    switch (item.kind) {
      case "snapshot":
        this.#unconfirmed = new Set(this.#tasks.keys());
        return;
      case "task": {
        const { task } = item;
        this.#unconfirmed?.delete(task.taskId);
        const known = this.#tasks.get(task.taskId);
        if (known && JSON.stringify(known) === JSON.stringify(task)) return;
        this.#tasks.set(task.taskId, task);
        this.#changed(task.taskId);
        break;
      }
      case "gone":
        this.#gone(item.taskId);
        break;
      case "live":
        for (const task of this.#unconfirmed ?? []) this.#gone(task);
        this.#unconfirmed = undefined;
        this.#complete = true;
    }
    for (const feed of this.feeds) feed.pump();
  }

  /** Nobody follows it any more: what is known of it grows old. */
  forget(): void {
    this.#tasks.clear();
    this.#unconfirmed = undefined;
    this.#complete = false;
  }

  #gone(task: string): void {
    if (this.#tasks.delete(task)) this.#changed(task);
  }

  #changed(task: string): void {
    for (const feed of this.feeds) feed.changed(task);
  }
}

/** What a tab is to be told of the list. */
export class ListFeed extends OneAtATime<readonly ListItem[]> {
  readonly #list: TaskList;
  #changed = new Set<string>();
  #begun = false;
  #toldLive = false;

  constructor(list: TaskList, send: (items: readonly ListItem[]) => void) {
    super(send);
    this.#list = list;
  }

  changed(task: string): void {
    if (!this.#begun) return;
    this.#changed.add(task);
    if (this.#list.size + MOST_GONE < this.#changed.size) this.#begun = this.#toldLive = false;
  }

  protected override next(): readonly ListItem[] | undefined {
    const items: ListItem[] = [];
    if (!this.#begun) {
      this.#begun = true;
      this.#changed = new Set(this.#list.ids);
      items.push({ kind: "snapshot" });
    }
    for (const taskId of this.#changed) {
      if (BATCH_TASKS <= items.length) break;
      this.#changed.delete(taskId);
      const task = this.#list.get(taskId);
      items.push(task ? { kind: "task", task } : { kind: "gone", taskId });
    }
    if (this.#changed.size === 0 && this.#list.isComplete && !this.#toldLive) {
      this.#toldLive = true;
      items.push({ kind: "live" });
    }
    return items.length === 0 ? undefined : items;
  }
}
