/** A task's log for the page: what is held, as signals, and what is asked for beside what comes by itself. */
import { batch, createSignal } from "solid-js";
import { type ActivityPage, type ActivityQuery, type Hub, TasklightError } from "tasklight/rest";
import type { Activity, ActivityType, State } from "tasklight/viewer";
import type { Followed, HubSource, TaskSink } from "../hub/source.ts";
import type { Entry } from "./entry.ts";
import { epochOf, Held, isOpen, NO_FILTER } from "./held.ts";
import { type Change, type LogFilter, PAGE_ACTIVITIES, type TaskLog } from "./log.ts";
import { shortened } from "./payload.ts";
import type { Part } from "./window.ts";

/** With a filter set, so many entries are wanted before paging waits for somebody to scroll. */
export const FEW_ENTRIES = 50;

/** So many pages are asked for at most to get that many. */
export const MOST_PAGES = 4;

type Way = "before" | "after" | "place";

export function openTaskLog(hub: HubSource, task: string): TaskLog {
  return new Log(hub, task);
}

class Log implements TaskLog {
  readonly task: string;
  readonly #hub: HubSource;
  readonly #followed: Followed;
  readonly #held = new Held();
  readonly #cut = new WeakSet<Activity>();
  /** Counts what is shown, for everything that is made from it when somebody asks. */
  readonly #shown = createSignal(0);
  readonly #change = createSignal<Change>({ kind: "replaced" });
  readonly #state = createSignal<State>({ kind: "connecting" });
  readonly #head = createSignal(0);
  readonly #floor = createSignal(1);
  readonly #atEnd = createSignal(true);
  readonly #hasBefore = createSignal(false);
  readonly #loading = createSignal<Way | undefined>();
  readonly #filter = createSignal<LogFilter>(NO_FILTER);
  readonly #failure = createSignal<string | undefined>();
  #activities: readonly Activity[] | undefined;
  /** Counts what was asked for: only the last one counts. */
  #turn = 0;
  #closed = false;

  constructor(hub: HubSource, task: string) {
    this.task = task;
    this.#hub = hub;
    this.#followed = hub.openTask(task, this.#sink());
  }

  readonly entries = (): readonly Entry[] => {
    this.#shown[0]();
    return this.#held.entries;
  };

  readonly activities = (): readonly Activity[] => {
    this.#shown[0]();
    this.#activities ??= [...this.#held.view.activities];
    return this.#activities;
  };

  readonly change = this.#change[0];
  readonly state = this.#state[0];
  readonly head = this.#head[0];
  readonly floor = this.#floor[0];
  readonly atEnd = this.#atEnd[0];
  readonly hasBefore = this.#hasBefore[0];
  readonly hasAfter = (): boolean => !this.#atEnd[0]();
  readonly loading = this.#loading[0];
  readonly filter = this.#filter[0];
  readonly failure = this.#failure[0];

  setFilter(filter: LogFilter): void {
    const middle = this.#held.view.activities[0]?.offset;
    this.#turn += 1;
    this.#held.setFilter(filter);
    batch(() => {
      this.#filter[1](filter);
      this.#loading[1](undefined);
      this.#publish();
    });
    // All that was shown was paged in for the filter before.
    if (this.#held.view.activities.length === 0 && middle !== undefined) void this.goToOffset(middle);
    else void this.#fill();
  }

  async loadBefore(): Promise<void> {
    if (this.#loading[0]() !== undefined || !this.#held.hasBefore) return;
    await this.#loadBefore();
    await this.#fill();
  }

  async loadAfter(): Promise<void> {
    if (this.#loading[0]() !== undefined || this.#held.isAtEnd) return;
    await this.#loadAfter();
    await this.#fill();
  }

  async goToOffset(offset: number): Promise<number> {
    const found = this.#held.view.get(offset);
    if (found && this.#held.view.isWhole(offset)) return offset;
    return (await this.#goTo({ from: Math.max(1, offset) })) ?? 0;
  }

  async goToTime(millis: number): Promise<number> {
    return (await this.#goTo({ at: millis })) ?? 0;
  }

  goToEnd(): void {
    if (this.#held.isAtEnd) return;
    this.#turn += 1;
    this.#held.goToEnd();
    batch(() => {
      this.#loading[1](undefined);
      this.#publish();
    });
    void this.#fill();
  }

  hold(offset: number | undefined): void {
    this.#held.hold(offset);
  }

  async full(offset: number): Promise<Activity> {
    const held = this.#held.view.get(offset);
    if (held && !this.isCut(held)) return held;
    const { activities } = await this.#hub.rest.activities(this.task, { from: offset, limit: 1 });
    const [whole] = activities;
    if (whole?.offset !== offset || (held && epochOf(held) !== epochOf(whole))) throw new Error(`#${offset.toString()} is no longer kept`);
    return whole;
  }

  isCut(activity: Activity): boolean {
    return this.#cut.has(activity);
  }

  close(): void {
    this.#closed = true;
    this.#turn += 1;
    this.#followed.close();
  }

  readonly #shorten = (activity: Activity): Activity => {
    const short = shortened(activity);
    if (short !== activity) this.#cut.add(short);
    return short;
  };

  #sink(): TaskSink {
    return {
      start: (activities) => {
        this.#held.start(activities.map(this.#shorten));
        this.#publish();
      },
      items: (items) => {
        this.#held.items(items.map((item) => (item.kind === "activity" ? { kind: "activity", activity: this.#shorten(item.activity) } : item)));
        this.#publish();
      },
      state: (state) => {
        if (state.kind === "live") this.#held.learn({ head: state.offset });
        if (state.kind === "catchingUp") this.#held.learn({ head: state.offset + state.behind });
        if (state.kind === "waiting") this.#held.missing();
        if ("truncatedBelow" in state) this.#held.learn({ floor: state.truncatedBelow });
        batch(() => {
          this.#state[1](state);
          this.#publish();
        });
      },
    };
  }

  /** Tells what changed since this was last done. */
  #publish(): void {
    if (this.#closed) return;
    const change = this.#held.takeChange();
    batch(() => {
      if (change) {
        this.#activities = undefined;
        this.#change[1](change);
        this.#shown[1]((count) => count + 1);
      }
      this.#head[1](this.#held.head);
      this.#floor[1](this.#held.floor);
      this.#atEnd[1](this.#held.isAtEnd);
      this.#hasBefore[1](this.#held.hasBefore);
    });
  }

  /** Goes to where this query begins, with something before it. Gives the offset that it went to. */
  async #goTo(where: Pick<ActivityQuery, "from" | "at">): Promise<number | undefined> {
    let place: number | undefined;
    const limit = PAGE_ACTIVITIES >> 1;
    const ask = async (rest: Hub): Promise<ActivityPage> => {
      const page = await rest.activities(this.task, { ...where, limit });
      const [first] = page.activities;
      place = first?.offset;
      if (!first || first.offset <= page.floor) return page;
      const { activities } = await rest.activities(this.task, { before: first.cursor, limit });
      return { ...page, activities: [...activities, ...page.activities] };
    };
    await this.#ask("place", ask, (page) => {
      if (place === undefined) this.#held.goToEnd();
      else this.#held.goTo(page.epoch, page.activities.map(this.#shorten));
    });
    await this.#fill();
    const { view } = this.#held;
    return (place === undefined ? view.activities.at(-1) : view.nearest(place))?.offset;
  }

  async #loadBefore(): Promise<void> {
    const { view } = this.#held;
    const [{ before }, { place }, { from }] = [view, this.#held, view];
    if (before === null) return;
    await this.#ask("before", (rest) => rest.activities(this.task, this.#query({ before })), (page) => {
      // Meanwhile it may have moved on.
      if (place === this.#held.place && from === view.from) this.#held.addBefore(this.#part(page, page.activities[0]?.offset ?? from, page.floor));
    });
  }

  async #loadAfter(): Promise<void> {
    const { view } = this.#held;
    const [{ after }, { place }, { to }] = [view, this.#held, view];
    if (this.#held.addFromTail(PAGE_ACTIVITIES)) this.#publish();
    else if (after !== null) {
      await this.#ask("after", (rest) => rest.activities(this.task, this.#query({ after })), (page) => {
        if (place === this.#held.place && to === view.to) this.#held.addAfter(this.#part(page, page.activities.at(-1)?.offset ?? to, page.head));
      });
    }
  }

  /** With a filter: pages on by itself, within a bound, until there is something to look at. */
  async #fill(): Promise<void> {
    if (isOpen(this.#held.filter)) return;
    const { place } = this.#held;
    for (let pages = 0; pages < MOST_PAGES && this.#held.entries.length < FEW_ENTRIES; pages += 1) {
      if (this.#closed || place !== this.#held.place || this.#loading[0]() !== undefined || this.#failure[0]() !== undefined) return;
      if (this.#held.hasBefore) await this.#loadBefore();
      else if (!this.#held.isAtEnd) await this.#loadAfter();
      else return;
    }
  }

  #query(place: { readonly before: string } | { readonly after: string }): ActivityQuery {
    const { types, invocation } = this.#held.filter;
    return {
      ...place,
      limit: PAGE_ACTIVITIES,
      ...(types.size !== 0 && { types: [...types] as ActivityType[] }),
      ...(invocation !== undefined && { invocation }),
    };
  }

  /** A page as part of what is held: it reaches to `last`, or with a filter to where the next page begins, or to the log's `end`. */
  #part({ activities, next }: ActivityPage, last: number, end: number): Part {
    const whole = isOpen(this.#held.filter);
    const reach = whole ? last : next === null ? end : offsetOf(next);
    return { activities: activities.map(this.#shorten), whole, reach, cursor: next };
  }

  /** One question, of which only the last one asked counts. */
  async #ask(way: Way, ask: (rest: Hub) => Promise<ActivityPage>, take: (page: ActivityPage) => void): Promise<void> {
    this.#turn += 1;
    const turn = this.#turn;
    batch(() => {
      this.#loading[1](way);
      this.#failure[1](undefined);
    });
    let failure: string | undefined;
    try {
      const page = await ask(this.#hub.rest);
      if (turn !== this.#turn) return;
      this.#held.learn(page);
      take(page);
    } catch (error) {
      if (turn !== this.#turn) return;
      failure = this.#explain(error);
    }
    batch(() => {
      this.#loading[1](undefined);
      this.#failure[1](failure);
      this.#publish();
    });
  }

  #explain(error: unknown): string {
    if (!(error instanceof TasklightError)) return String(error);
    const { floor } = error.details;
    if (error.code === "cursor_truncated" && typeof floor === "number") this.#held.learn({ floor });
    return error.message;
  }
}

const offsetOf = (cursor: string): number => Number(cursor.slice(cursor.lastIndexOf("-") + 1));
