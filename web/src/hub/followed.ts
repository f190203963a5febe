/**
 * What the host keeps for all tabs: one followed task with its ring and its state, and the list of tasks. A follower of either is a tab's feed;
 * it is asked for what it has not sent yet only when the tab can take it.
 */
import type { Item, State } from "tasklight/viewer";
import { MOST_ACTIVITIES } from "../model/log.ts";
import type { TaskBatch } from "./port.ts";
import { Ring } from "./ring.ts";

/** How much of a log is asked for first; more comes by paging. */
export const FIRST_ACTIVITIES = 500;

/** The most activities in one message to a tab: what a frame can take. */
export const BATCH_ACTIVITIES = 1_000;

/** About the most characters in one message to a tab; one activity may exceed it. */
export const BATCH_CHARS = 2 * 1024 * 1024;

/** One message under way, and nothing queued. */
export interface Feed {
  /** Sends the next message if there is something to say and the last one was taken. */
  pump(): void;
  taken(): void;
}

/** A feed that is told when there may be something to say. */
export abstract class OneAtATime<M> implements Feed {
  readonly #send: (message: M) => void;
  #underWay = false;

  constructor(send: (message: M) => void) {
    this.#send = send;
  }

  pump(): void {
    if (this.#underWay) return;
    const message = this.next();
    if (message === undefined) return;
    this.#underWay = true;
    this.#send(message);
  }

  taken(): void {
    this.#underWay = false;
    this.pump();
  }

  /** What to say now, if anything. */
  protected abstract next(): M | undefined;
}

/** A task that is followed for one tab or many. */
export class FollowedTask {
  readonly task: string;
  readonly ring = new Ring(MOST_ACTIVITIES);
  readonly feeds = new Set<TaskFeed>();
  #look: () => State = () => ({ kind: "connecting" });
  /** Whether there is something to begin with: until then a beginning would be of nothing. */
  #begun = false;

  constructor(task: string) {
    this.task = task;
  }

  /** What can be said of it now. */
  get state(): State {
    return this.#look();
  }

  get hasBegun(): boolean {
    return this.#begun;
  }

  hear(item: Item): void {
    this.ring.push(item);
    this.#begun ||= item.kind !== "activity" || FIRST_ACTIVITIES <= this.ring.length;
    this.#pump();
  }

  /** From now on, this says what can be said of it. */
  tellBy(look: () => State): void {
    this.#look = look;
    this.stateChanged();
  }

  stateChanged(): void {
    const { kind } = this.state;
    this.#begun ||= kind !== "connecting" && kind !== "catchingUp";
    this.#pump();
  }

  #pump(): void {
    for (const feed of this.feeds) feed.pump();
  }
}

/** A tab's place in a task. */
export class TaskFeed extends OneAtATime<TaskBatch> {
  readonly #followed: FollowedTask;
  /** The position in the ring that it needs next; nothing before its beginning. */
  #position: number | undefined;
  #told: string | undefined;

  constructor(followed: FollowedTask, send: (batch: TaskBatch) => void) {
    super(send);
    this.#followed = followed;
  }

  protected override next(): TaskBatch | undefined {
    const { ring } = this.#followed;
    const batch: { -readonly [K in keyof TaskBatch]: TaskBatch[K] } = {};
    const items = this.#position === undefined ? undefined : ring.from(this.#position, BATCH_ACTIVITIES, BATCH_CHARS);
    if (items === undefined) {
      if (this.#followed.hasBegun) {
        batch.start = ring.newest(BATCH_ACTIVITIES, BATCH_CHARS);
        this.#position = ring.next;
      }
    } else if (items.length !== 0 && this.#position !== undefined) {
      batch.items = items;
      this.#position += items.length;
    }
    // A state is told with what it speaks of, not before it.
    if (this.#position === undefined || this.#position === ring.next) {
      const { state } = this.#followed;
      const text = JSON.stringify(state);
      if (text !== this.#told) batch.state = state;
      this.#told = text;
    }
    return batch.start || batch.items || batch.state ? batch : undefined;
  }
}
