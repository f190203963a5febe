/**
 * One followed task on one connection after another, without I/O. There is never more than one subscription of it under way: before it
 * subscribes again it waits until the hub has confirmed the end of the old one, so that nothing old is taken for new.
 */
import { parseCursor } from "../cursor.js";
import { type ProblemCode, TasklightError } from "../error.js";
import type { FollowRequest, Item } from "./item.js";
import { Place } from "./place.js";
import type { TaskMessage } from "./protocol.js";
import type { LinkState, State } from "./state.js";

/** A subscription that is not answered for so long is taken for lost with its connection. */
export const ANSWER_MS = 30_000;

/** A live task that a heartbeat finds behind its head for so long, with nothing heard of it, has lost something. */
export const LOSS_GRACE_MS = 5_000;

type Wire =
  | { readonly is: "idle" }
  | { readonly is: "asked" | "leaving"; readonly answerDue: number }
  | { readonly is: "following" };

/** What the session must do after a message. */
export type Verdict = { readonly items: readonly Item[]; readonly lost?: string; readonly broken?: string };

const NOTHING: Verdict = { items: [] };

export class Follower {
  readonly task: string;
  readonly #request: FollowRequest;
  readonly #place: Place;
  #wire: Wire = { is: "idle" };
  /** Its consumer takes no more for now. */
  #paused = false;
  /** It is closed, and only waits for the hub to confirm that. */
  #closed = false;
  #begun = false;
  #exists = true;
  #live = false;
  #head = 0;
  #truncatedBelow: number | undefined;
  /** The last heartbeat found it behind the head, and nothing has come since. */
  #behind = false;
  /** When that becomes a loss by time alone. */
  #lossDue: number | undefined;

  constructor(request: FollowRequest) {
    const whole = request.types === undefined && request.invocation === undefined && request.series === undefined;
    this.task = request.task;
    this.#request = request;
    this.#place = new Place(request, whole);
  }

  get cursor(): string | undefined {
    return this.#place.cursor;
  }

  /** Whether it may be forgotten: it is closed, and nothing of it is on the way. */
  get isOver(): boolean {
    return this.#closed && this.#wire.is === "idle";
  }

  get isClosed(): boolean {
    return this.#closed;
  }

  /** When it must be looked at again, if at all. */
  get due(): number | undefined {
    return this.#wire.is === "asked" || this.#wire.is === "leaving" ? this.#wire.answerDue : this.#lossDue;
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
  }

  close(): void {
    this.#closed = true;
  }

  /** The connection is gone, and every subscription with it. */
  disconnected(): void {
    this.#wire = { is: "idle" };
    this.#live = false;
    this.#notBehind();
  }

  /** The message to send now, if its wishes and what the hub knows of them differ. */
  wants(now: number): object | undefined {
    const wanted = !this.#paused && !this.#closed;
    const asked = this.#wire.is === "asked" || this.#wire.is === "following";
    if (wanted && this.#wire.is === "idle") {
      this.#wire = { is: "asked", answerDue: now + ANSWER_MS };
      const { task, types, invocation, series } = this.#request;
      return { op: "subscribe", task, types, invocation, series, ...this.#place.resume() };
    }
    return !wanted && asked ? this.#leave(now) : undefined;
  }

  /** Takes a message about its task. */
  hear(message: TaskMessage): Verdict {
    if (message.op === "unsubscribed") return this.#unsubscribed(message.reason);
    if (this.#wire.is === "leaving" || this.#wire.is === "idle") {
      // What still comes will come again; only how far the log has come is news.
      if (message.op === "activity") this.#head = Math.max(this.#head, message.activity.offset);
      return NOTHING;
    }
    if (this.#wire.is === "asked" && message.op !== "subscribed") {
      return { items: [], broken: "the confirmation of a subscription was lost" };
    }
    this.#notBehind();
    const meaning = this.#place.hear(message);
    if (meaning === "repeat") return NOTHING;
    return meaning === "loss" ? { items: [], lost: "an activity did not come" } : { items: this.#take(message) };
  }

  /**
   * How far the log has come, as a heartbeat says. Behind it at two heartbeats with nothing between them is a loss; once it was live, what is
   * committed comes at once, so that a short while is enough.
   */
  hearHead(head: number, now: number): Verdict {
    this.#head = Math.max(this.#head, head);
    if (this.#wire.is !== "following" || head <= this.#place.offset) {
      this.#notBehind();
      return NOTHING;
    }
    if (this.#behind) return this.#loss();
    this.#behind = true;
    if (this.#live) this.#lossDue = now + LOSS_GRACE_MS;
    return NOTHING;
  }

  /** The hub refused the subscription, or ended it with an error. Says whether that is news to whoever follows. */
  refused(): boolean {
    this.#wire = { is: "idle" };
    const news = !this.#closed;
    this.#closed = true;
    return news;
  }

  /** Looks at the clock. */
  tick(now: number): Verdict {
    if (this.due === undefined || now < this.due) return NOTHING;
    if (this.#wire.is !== "following") return { items: [], broken: "a subscription was not answered" };
    return this.#loss();
  }

  /** The clock was looked at too late to mean anything: what was due is due after a while. */
  postpone(now: number): void {
    const due = now + LOSS_GRACE_MS;
    if (this.#lossDue !== undefined) this.#lossDue = Math.max(this.#lossDue, due);
    if ("answerDue" in this.#wire) this.#wire = { ...this.#wire, answerDue: Math.max(this.#wire.answerDue, due) };
  }

  /** Something was lost: gives the message that ends the subscription, to begin again after the cursor. */
  startOver(now: number): object | undefined {
    return this.#wire.is === "following" ? this.#leave(now) : undefined;
  }

  state(link: LinkState): State {
    if (this.#closed) return { kind: "ended" };
    if (link.kind !== "open") return link;
    if (!this.#begun) return { kind: "connecting" };
    if (!this.#exists) return { kind: "waiting" };
    const floor = this.#truncatedBelow === undefined ? {} : { truncatedBelow: this.#truncatedBelow };
    const offset = this.#place.offset;
    const behind = Math.max(0, this.#head - offset);
    if (this.#live && this.#wire.is === "following" && behind === 0) return { kind: "live", offset, ...floor };
    return { kind: "catchingUp", offset, behind, ...floor };
  }

  #notBehind(): void {
    this.#behind = false;
    this.#lossDue = undefined;
  }

  #loss(): Verdict {
    this.#notBehind();
    return { items: [], lost: "the log has gone on, but nothing came" };
  }

  #leave(now: number): object {
    this.#wire = { is: "leaving", answerDue: now + ANSWER_MS };
    this.#notBehind();
    this.#live = false;
    return { op: "unsubscribe", task: this.task };
  }

  #unsubscribed(reason: string): Verdict {
    this.#wire = { is: "idle" };
    this.#live = false;
    this.#notBehind();
    if (reason !== "deleted") return NOTHING;
    this.#place.forget();
    this.#head = 0;
    this.#truncatedBelow = undefined;
    return this.#closed ? NOTHING : { items: [{ kind: "deleted" }] };
  }

  /** What is news for the consumer. */
  #take(message: Exclude<TaskMessage, { op: "unsubscribed" }>): readonly Item[] {
    switch (message.op) {
      case "subscribed":
        this.#wire = { is: "following" };
        this.#begun = true;
        this.#exists = message.epoch !== null;
        this.#head = message.head;
        return [];
      case "activity":
        this.#exists = true;
        this.#head = Math.max(this.#head, message.activity.offset);
        return [{ kind: "activity", activity: message.activity }];
      case "live":
        this.#live = true;
        this.#exists = true;
        // What the hub calls its head; the one of `subscribed` may be of a log that is no more.
        this.#head = message.offset;
        return [{ kind: "live", offset: message.offset }];
      case "cursor":
        return [];
      case "truncated":
        this.#truncatedBelow = message.floor;
        return [{ kind: "truncated", floor: message.floor }];
      case "reset":
        this.#truncatedBelow = undefined;
        this.#exists = true;
        return [{ kind: "reset", epoch: message.epoch }];
    }
  }
}

const TASK = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/;
const MOST_LAST = 1_000_000;

/** Throws what the hub could only refuse without saying which task it means. */
export function checkRequest(request: FollowRequest): void {
  const wrong = (code: ProblemCode, message: string, field: string): never => {
    throw new TasklightError(code, message, { field });
  };
  if (!TASK.test(request.task)) wrong("invalid_task_id", "a task id is a letter or digit and up to 127 more of A-Z a-z 0-9 . _ -", "task");
  const { last, after } = request;
  const fits = last === undefined || (Number.isSafeInteger(last) && 0 <= last && last <= MOST_LAST);
  if (!fits) wrong("invalid_last", `last is an integer up to ${MOST_LAST.toString()}`, "last");
  const named = after === "start" || after === "end";
  if (last !== undefined && named) wrong("conflicting_parameters", "last goes with a cursor or alone, not with after start or end", "last");
  if (after !== undefined && !named && !parseCursor(after)) wrong("invalid_cursor", "after is a cursor that the hub gave, start, or end", "after");
}
