/**
 * The live list of tasks, for as long as somebody wants it: the overview, or whoever is to be notified. What comes is taken at once; the
 * order is made anew a few times a second at most, and not while the page is hidden.
 */
import { type Accessor, createSignal } from "solid-js";
import type { ListItem } from "tasklight/viewer";
import type { Followed, HubSource } from "../hub/source.ts";
import { type Notice, Notices } from "../model/notices.ts";
import { Pulses } from "../model/sparkline.ts";
import { Order, type Placed } from "../model/tasks-order.ts";
import { type Summary, type Task, taskOf } from "../model/tasks.ts";

/** The shortest time between two orders. */
const ORDER_MS = 250;

/** What comes so soon after the connection is back was missed before. */
const CATCH_UP_MS = 3_000;

/** How often what was on top for long enough is taken down. */
const SETTLE_MS = 30_000;

export class TaskList {
  readonly #hub: HubSource;
  readonly #tell: (notice: Notice) => void;
  readonly #tasks = new Map<string, Task>();
  readonly #order = new Order();
  readonly #notices = new Notices();
  readonly pulses = new Pulses();
  #followed: Followed | undefined;
  #users = 0;
  /** What changed since the last order. */
  #changes = new Map<string, Task | undefined>();
  /** Those that came since the list began anew; nothing while it is complete. */
  #seen: Set<string> | undefined = new Set();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #settling: ReturnType<typeof setInterval> | undefined;
  /** Since when there is a connection, if there was one before; its first words are no news. */
  #openSince = 0;
  #wasLost = false;
  #expiring: ReturnType<typeof setTimeout> | undefined;
  #unwatch = (): void => undefined;

  readonly #version = createSignal(0);
  readonly #sorted = createSignal<readonly Placed[]>([], { equals: false });
  readonly #complete = createSignal(false);
  readonly #started = createSignal(0);

  constructor(hub: HubSource, tell: (notice: Notice) => void) {
    this.#hub = hub;
    this.#tell = tell;
  }

  get hub(): HubSource {
    return this.#hub;
  }

  /** Whether all tasks have come since it began; what there was before stays until then. */
  get isComplete(): Accessor<boolean> {
    return this.#complete[0];
  }

  /** Counts how often the list began anew: what was known besides it may be old then. */
  get started(): Accessor<number> {
    return this.#started[0];
  }

  /** All tasks in order. */
  get sorted(): Accessor<readonly Placed[]> {
    return this.#sorted[0];
  }

  /** A task as it is now; reactive. */
  task(id: string): Task | undefined {
    this.#version[0]();
    return this.#tasks.get(id);
  }

  /** How many tasks have come so far; reactive. */
  get count(): number {
    this.#version[0]();
    return this.#tasks.size;
  }

  /** Follows the list until what it gives is called. */
  use(): () => void {
    this.#users += 1;
    if (this.#users === 1) this.#open();
    let isUsed = true;
    return () => {
      if (!isUsed) return;
      isUsed = false;
      this.#users -= 1;
      if (this.#users === 0) this.close();
    };
  }

  close(): void {
    this.#followed?.close();
    this.#followed = undefined;
    this.#unwatch();
    clearTimeout(this.#timer);
    clearTimeout(this.#expiring);
    clearInterval(this.#settling);
    this.#timer = undefined;
    document.removeEventListener("visibilitychange", this.#seenAgain);
  }

  #open(): void {
    document.addEventListener("visibilitychange", this.#seenAgain);
    this.#settling = setInterval(() => {
      if (!document.hidden && this.#order.settle(Date.now())) this.#sorted[1](this.#order.sorted);
    }, SETTLE_MS);
    this.#unwatch = this.#hub.onLink(({ kind }) => {
      if (kind === "open" && this.#wasLost) {
        this.#openSince = Date.now();
        // What the hub remembers is asked for again when the present has come.
        this.#expiring = setTimeout(() => this.#started[1]((count) => count + 1), CATCH_UP_MS);
      }
      this.#wasLost = kind !== "open" && kind !== "connecting";
    });
    this.#begin();
    this.#followed = this.#hub.openList({
      items: (items) => {
        const now = Date.now();
        for (const item of items) this.#take(item, now);
        this.#version[1]((count) => count + 1);
        this.#orderSoon();
      },
    });
  }

  #take(item: ListItem, now: number): void {
    switch (item.kind) {
      case "snapshot":
        this.#begin();
        return;
      case "live":
        this.#end();
        return;
      case "gone":
        this.#drop(item.taskId);
        return;
      case "task":
        this.#put(item.task, now);
    }
  }

  #begin(): void {
    this.#seen = new Set();
    this.#complete[1](false);
    this.#started[1]((count) => count + 1);
  }

  /** What did not come again is gone. */
  #end(): void {
    const seen = this.#seen;
    this.#seen = undefined;
    if (seen) for (const id of this.#tasks.keys()) if (!seen.has(id)) this.#drop(id);
    this.#complete[1](true);
    this.#orderNow();
  }

  #put(summary: Summary, now: number): void {
    const id = summary.taskId;
    const before = this.#tasks.get(id)?.summary;
    const task = taskOf(summary);
    this.#tasks.set(id, task);
    this.#changes.set(id, task);
    if (this.#seen) {
      this.#seen.add(id);
      return;
    }
    const notice = this.#notices.hear(before, summary);
    if (notice) this.#tell(notice);
    if (before && before.epoch !== summary.epoch) this.pulses.forget(id);
    const more = summary.head - (before?.epoch === summary.epoch ? before.head : 0);
    // What was missed while the connection was gone is for the hub to tell: nobody knows which minute it belongs to.
    if (0 < more && CATCH_UP_MS < now - this.#openSince) this.pulses.add(id, more, Math.min(now, task.activeAt));
  }

  #drop(id: string): void {
    this.#tasks.delete(id);
    this.#changes.set(id, undefined);
    this.#seen?.delete(id);
    this.pulses.forget(id);
  }

  #orderSoon(): void {
    // The first list is shown when it is whole; while nobody looks, nothing is.
    if (this.#timer !== undefined || this.#seen || document.hidden) return;
    this.#timer = setTimeout(() => {
      this.#orderNow();
    }, ORDER_MS);
  }

  #orderNow(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (document.hidden || this.#changes.size === 0) return;
    this.#order.apply(this.#changes, Date.now());
    this.#changes = new Map();
    this.#sorted[1](this.#order.sorted);
  }

  readonly #seenAgain = (): void => {
    if (!document.hidden && !this.#seen) this.#orderNow();
  };
}
