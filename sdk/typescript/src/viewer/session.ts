/**
 * A viewer's side of the protocol as a state machine without I/O: it is told what happens and when, and gives effects to carry out. Many
 * tasks and the list of tasks share one connection; each continues after its own cursor on the next one.
 */
import { TasklightError } from "../error.js";
import type { Effect } from "./effect.js";
import { Follower, type Verdict } from "./follower.js";
import type { FollowRequest } from "./item.js";
import { Link, type LinkStep } from "./link.js";
import { ListFollower } from "./list.js";
import { type Message, readMessage, type TaskMessage, Unreadable } from "./protocol.js";
import { differs, type LinkState, type State } from "./state.js";

/** Looked at later than this after it was due, the clock stood still: a sleeping machine, a frozen tab. */
export const LATE_MS = 2_000;

/** With nothing followed for so long, the connection is closed. */
export const LINGER_MS = 5_000;

/** A connection that lost so much is replaced, so that asking again never becomes a loop. */
export const MOST_LOSSES = 3;

/** The close code of a token that is missing, has ended or was revoked. */
const UNAUTHORIZED = 4401;

/** How often a change that is only a number is told. */
export const TELL_MS = 200;

export class Session {
  readonly #link: Link;
  readonly #followers = new Map<string, Follower>();
  /** Those that are closed and wait for the hub to confirm it; a new one for the same task waits for that. */
  readonly #leaving = new Map<string, Follower>();
  readonly #told = new Map<string, { state: State; at: number }>();
  #list: ListFollower | undefined;
  #leavingList: ListFollower | undefined;
  #toldLink: LinkState = { kind: "connecting" };
  #pings = 0;
  #pongs = 0;
  #losses = 0;
  #unusedSince: number | undefined;
  /** What was last found to be due. Activities only move it away, and are many. */
  #due: { readonly at: number | undefined } | undefined;
  #effects: Effect[] = [];

  /** `renewable` if there is somebody to ask for a new token. */
  constructor(renewable: boolean, random: () => number = Math.random) {
    this.#link = new Link(renewable, random);
  }

  /** What has to be carried out since it was last asked. */
  take(): readonly Effect[] {
    const effects = this.#effects;
    this.#effects = [];
    return effects;
  }

  /** Begins to follow. Each task at most once. */
  follow(request: FollowRequest, now: number): void {
    if (this.#followers.has(request.task)) {
      throw new TasklightError("already_following", `${request.task} is followed already: close that first, or use another viewer`);
    }
    this.#followers.set(request.task, new Follower(request));
    this.#settle(now);
  }

  unfollow(task: string, now: number): void {
    const follower = this.#followers.get(task);
    if (!follower) return;
    follower.close();
    this.#retire(follower);
    this.#settle(now);
  }

  /** The consumer takes no more for now: what comes is not kept, and comes again after `resume`. */
  pause(task: string, now: number): void {
    this.#followers.get(task)?.pause();
    this.#settle(now);
  }

  resume(task: string, now: number): void {
    this.#followers.get(task)?.resume();
    this.#settle(now);
  }

  followList(now: number): void {
    if (this.#list) throw new TasklightError("already_following", "the list is followed already: close that first, or use another viewer");
    this.#list = new ListFollower();
    this.#settle(now);
  }

  unfollowList(now: number): void {
    if (!this.#list) return;
    this.#list.close();
    if (!this.#list.isOver) this.#leavingList ??= this.#list;
    this.#list = undefined;
    this.#settle(now);
  }

  pauseList(now: number): void {
    this.#list?.pause();
    this.#settle(now);
  }

  resumeList(now: number): void {
    this.#list?.resume();
    this.#settle(now);
  }

  cursor(task: string): string | undefined {
    return this.#followers.get(task)?.cursor;
  }

  state(task: string, now: number): State {
    return this.#followers.get(task)?.state(this.#link.state(now)) ?? { kind: "ended" };
  }

  linkState(now: number): LinkState {
    return this.#link.state(now);
  }

  opened(now: number): void {
    this.#link.opened(now);
    this.#pings = this.#pongs = this.#losses = 0;
    this.#settle(now);
  }

  /** The hub closed the connection, or none could be made. */
  closed(code: number, reason: string, now: number): void {
    this.#link.closed(code, reason, now);
    this.#disconnected();
    this.#settle(now);
  }

  heard(text: string, now: number): void {
    if (this.#link.is !== "open") return;
    this.#link.heard(now);
    let task: string | undefined;
    try {
      const message = readMessage(text);
      if (message.op === "activity") ({ task } = message);
      this.#hear(message, text.length, now);
    } catch (error) {
      if (!(error instanceof Unreadable)) throw error;
      this.#break(`a message cannot be read: ${error.message}`, now);
    }
    this.#settle(now, task);
  }

  /** The network came back, or went, or the page is seen again: a good time to look. */
  nudge(now: number): void {
    this.#step(this.#link.nudge(now), now);
    this.#settle(now);
  }

  /** When `tick` is due next, or earlier. */
  get due(): number | undefined {
    this.#due ??= { at: this.#nextDue() };
    return this.#due.at;
  }

  #nextDue(): number | undefined {
    const followers = this.#link.is === "open" ? [...this.#all()].map((follower) => follower.due) : [];
    const linger = this.#unusedSince === undefined ? undefined : this.#unusedSince + LINGER_MS;
    const offline = this.#toldLink.kind === "reconnecting" ? this.#link.offlineAt : undefined;
    const dues = [this.#link.due, linger, offline, ...followers].filter((due) => due !== undefined);
    return dues.length === 0 ? undefined : Math.min(...dues);
  }

  tick(now: number): void {
    const due = this.#nextDue();
    const late = due !== undefined && LATE_MS < now - due;
    if (late) for (const follower of this.#all()) follower.postpone(now);
    this.#step(this.#link.tick(now, late), now);
    for (const follower of [...this.#all()]) this.#judge(follower, follower.tick(now), now);
    this.#settle(now);
  }

  *#all(): Iterable<Follower> {
    yield* this.#followers.values();
    yield* this.#leaving.values();
  }

  #do(effect: Effect): void {
    this.#effects.push(effect);
  }

  #send(message: object): void {
    this.#do({ do: "send", text: JSON.stringify(message) });
  }

  #ping(): number {
    this.#pings += 1;
    this.#send({ op: "ping" });
    return this.#pings;
  }

  #step(step: LinkStep, now: number): void {
    if (step === "connect") this.#connect(now);
    else if (step === "ping") this.#ping();
    else if (step === "break") this.#break(this.#link.is === "open" ? "nothing was heard of the hub" : "the hub does not answer", now);
  }

  #connect(now: number): void {
    this.#link.start(now);
    this.#do({ do: "connect" });
  }

  /** The connection is of no use: lets go of it and makes a new one, after a while. */
  #break(reason: string, now: number): void {
    if (this.#link.is !== "open" && this.#link.is !== "connecting") return;
    this.#do({ do: "disconnect" });
    this.#link.lost(reason, now);
    this.#disconnected();
  }

  #disconnected(): void {
    for (const follower of this.#followers.values()) follower.disconnected();
    this.#leaving.clear();
    this.#list?.disconnected();
    this.#leavingList = undefined;
  }

  #hear(message: Message, size: number, now: number): void {
    switch (message.op) {
      case "hello":
        this.#link.hello(message.heartbeatMs);
        break;
      case "drain":
        this.#link.drain(message.reconnectAfterMs);
        break;
      case "pong":
        this.#pongs += 1;
        this.#list?.hearPong(this.#pongs);
        this.#leavingList?.hearPong(this.#pongs);
        break;
      case "heartbeat":
        for (const follower of [...this.#followers.values()]) {
          const head = message.heads.get(follower.task);
          if (head !== undefined) this.#judge(follower, follower.hearHead(head, now), now);
        }
        break;
      case "error":
        if (message.code === "token_missing") this.#unauthorized(message.message, now);
        else this.#refused(message.code, message.message, message.task);
        break;
      case "task":
      case "gone":
      case "listLive": {
        this.#link.trusted();
        const item = this.#list?.hear(message);
        if (item) this.#do({ do: "listItem", item, size });
        break;
      }
      case "unknown":
        break;
      default:
        this.#hearOfTask(message, size, now);
    }
  }

  #hearOfTask(message: TaskMessage, size: number, now: number): void {
    if (message.op === "subscribed") this.#link.trusted();
    // An old subscription ends before a new one of the same task begins, so that what comes meanwhile is the old one's.
    const follower = this.#leaving.get(message.task) ?? this.#followers.get(message.task);
    if (!follower) return;
    const { task, cursor: before } = follower;
    const verdict = follower.hear(message);
    for (const item of verdict.items) this.#do({ do: "item", task, item, size, before });
    this.#judge(follower, verdict, now);
  }

  #judge(follower: Follower, verdict: Verdict, now: number): void {
    const { task } = follower;
    if (verdict.lost !== undefined) {
      this.#do({ do: "loss", task, reason: verdict.lost, after: follower.cursor });
      const message = follower.startOver(now);
      this.#losses += 1;
      if (MOST_LOSSES <= this.#losses) this.#break("too much is lost on this connection", now);
      else if (message) this.#send(message);
    }
    if (verdict.broken !== undefined) this.#break(verdict.broken, now);
  }

  /** The hub wants a token first. It would close for want of one, but only after a while. */
  #unauthorized(reason: string, now: number): void {
    this.#do({ do: "disconnect" });
    this.#link.closed(UNAUTHORIZED, reason, now);
    this.#disconnected();
  }

  #refused(code: string, message: string, task: string | undefined): void {
    const follower = task === undefined ? undefined : (this.#leaving.get(task) ?? this.#followers.get(task));
    if (!follower?.refused()) return;
    this.#followers.delete(follower.task);
    this.#told.delete(follower.task);
    if (code === "forbidden") this.#do({ do: "state", task: follower.task, state: { kind: "denied", code, reason: message } });
    this.#do({ do: "end", task: follower.task, cursor: follower.cursor, error: new TasklightError(code, message) });
  }

  #retire(follower: Follower): void {
    this.#followers.delete(follower.task);
    this.#told.delete(follower.task);
    if (!follower.isOver && !this.#leaving.has(follower.task)) this.#leaving.set(follower.task, follower);
  }

  /** Brings what is wanted, what the hub knows and what was told into agreement. */
  #settle(now: number, task?: string): void {
    // Of the most frequent message, an activity, only its task need know.
    if (task !== undefined && this.#link.is === "open") {
      this.#settleTask(task, now);
      return;
    }
    this.#due = undefined;
    const wanted = this.#followers.size !== 0 || this.#list !== undefined;
    if (this.#link.is === "denied") this.#deny(now);
    else if (wanted && this.#link.is === "idle") this.#connect(now);
    if (this.#link.is === "open") this.#subscribe(now);
    this.#linger(wanted, now);
    this.#tell(now);
  }

  #subscribe(now: number): void {
    for (const [task, follower] of [...this.#leaving]) {
      const message = follower.wants(now);
      if (message) this.#send(message);
      if (follower.isOver) this.#leaving.delete(task);
    }
    for (const follower of this.#followers.values()) {
      const message = this.#leaving.has(follower.task) ? undefined : follower.wants(now);
      if (message) this.#send(message);
    }
    if (this.#leavingList) this.#moveList(this.#leavingList);
    if (this.#leavingList?.isOver === true) this.#leavingList = undefined;
    if (this.#list && !this.#leavingList) this.#moveList(this.#list);
  }

  #moveList(list: ListFollower): void {
    const wants = list.wants();
    if (wants === undefined) return;
    this.#send({ op: wants === "leave" ? "unsubscribe" : "subscribe", list: "tasks" });
    if (wants === "leave") list.left(this.#ping());
    else this.#do({ do: "listItem", item: { kind: "snapshot" }, size: 0 });
  }

  #settleTask(task: string, now: number): void {
    const follower = this.#followers.get(task);
    if (!follower || this.#leaving.has(task)) return;
    const message = follower.wants(now);
    if (message) this.#send(message);
    if (follower.due !== undefined) this.#due = undefined;
    this.#tellOf(follower, this.#link.state(now), now);
  }

  #linger(wanted: boolean, now: number): void {
    if (wanted || this.#link.is === "idle" || this.#link.is === "denied") this.#unusedSince = undefined;
    else this.#unusedSince ??= now;
    if (this.#unusedSince === undefined || now < this.#unusedSince + LINGER_MS) return;
    this.#unusedSince = undefined;
    this.#do({ do: "disconnect" });
    this.#link.stop();
    this.#disconnected();
  }

  /** Nothing will come any more: says so to all, after their state has said why. */
  #deny(now: number): void {
    const state = this.#link.state(now);
    if (state.kind !== "denied") return;
    const error = new TasklightError(state.code, state.reason);
    for (const { task, cursor } of this.#followers.values()) {
      this.#do({ do: "state", task, state });
      this.#do({ do: "end", task, cursor, error });
    }
    this.#followers.clear();
    this.#told.clear();
    if (this.#list) this.#do({ do: "listEnd", error });
    this.#list = undefined;
  }

  #tell(now: number): void {
    const link = this.#link.state(now);
    if (link.kind !== this.#toldLink.kind) this.#do({ do: "link", state: link });
    this.#toldLink = link;
    for (const follower of this.#followers.values()) this.#tellOf(follower, link, now);
  }

  #tellOf(follower: Follower, link: LinkState, now: number): void {
    const { task } = follower;
    const told = this.#told.get(task);
    const state = follower.state(link);
    if (told !== undefined && !differs(told.state, state)) {
      if (now < told.at + TELL_MS || JSON.stringify(told.state) === JSON.stringify(state)) return;
    }
    this.#told.set(task, { state, at: now });
    this.#do({ do: "state", task, state });
  }
}
