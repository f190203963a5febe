/**
 * Watching tasks: one connection for all of them, made anew after whatever happens to it, until the viewer is closed. It keeps the promises
 * of a Tasklight hub up to the consumer: every activity once, in order, and what cannot be continued is said.
 */
import { dispose } from "./dispose.js";
import { TasklightError } from "./error.js";
import { Http, hubAddress, type HubOptions, TokenKeeper } from "./http.js";
import { Following, type Handlers, ListFollowing } from "./viewer/following.js";
import { checkRequest } from "./viewer/follower.js";
import type { FollowRequest, Item, ListItem } from "./viewer/item.js";
import type { Effect } from "./viewer/effect.js";
import { Session } from "./viewer/session.js";
import { openSocket, type SocketConstructor } from "./viewer/socket.js";
import type { LinkState, State } from "./viewer/state.js";
import { openStreams } from "./viewer/streams.js";
import { ABNORMAL, type Transport, type TransportEvents } from "./viewer/transport.js";
import { watchPage } from "./viewer/page.js";

export type { Activity, ActivityType, Data, Status } from "./activity.js";
export type { TaskSummary } from "./task.js";
export type { HubOptions, Token } from "./http.js";
export type { FollowRequest, Item, ListItem } from "./viewer/item.js";
export type { LinkState, State } from "./viewer/state.js";
export type { SocketConstructor, SocketLike } from "./viewer/socket.js";
export { Following, type Handlers, ListFollowing } from "./viewer/following.js";
export { TasklightError } from "./error.js";

/** How a viewer reaches its hub. */
export interface ViewerOptions extends HubOptions {
  /**
   * The WebSocket to use; the platform's own if left out. Node 20 has none: give the one of the package `ws`, or be content with
   * Server-Sent Events, which need nothing. `null` chooses those.
   */
  readonly WebSocket?: SocketConstructor | null;
  /** The connection's state has changed. */
  readonly onLink?: (state: LinkState) => void;
}

/** What of a task, and who takes it. */
export interface FollowOptions extends Omit<FollowRequest, "task">, Handlers<Item> {
  /** The task's state has changed; numbers alone are told a few times a second. */
  readonly onState?: (state: State) => void;
  /** Something was lost on the way, and is asked for again after this cursor. Nothing is missing in the end. */
  readonly onLoss?: (reason: string, after: string | undefined) => void;
}

interface Followed {
  readonly following: Following;
  readonly options: FollowOptions;
  /** Where it stood when it ended. */
  cursor: string | undefined;
}

/** The token asked for did not come: to come back later is all that can be done. */
const NO_TOKEN = "no token was given";

export class Viewer {
  readonly #http: Http;
  readonly #tokens: TokenKeeper;
  readonly #Socket: SocketConstructor | undefined;
  readonly #onLink: ((state: LinkState) => void) | undefined;
  readonly #session: Session;
  readonly #followings = new Map<string, Followed>();
  readonly #unwatch: () => void;
  #list: ListFollowing | undefined;
  #transport: Transport | undefined;
  /** Counts connections, so that nothing of an old one is taken for news. */
  #connection = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #timerAt = 0;
  #carrying = false;
  #closed = false;

  constructor(options: ViewerOptions = {}) {
    this.#http = new Http(hubAddress(options));
    this.#tokens = new TokenKeeper(options.token);
    const own = (globalThis as { WebSocket?: SocketConstructor }).WebSocket;
    this.#Socket = options.WebSocket === null ? undefined : (options.WebSocket ?? own);
    this.#onLink = options.onLink;
    this.#session = new Session(this.#tokens.isRenewable);
    this.#unwatch = watchPage(() => {
      this.look();
    });
  }

  /** How the connection is. */
  get link(): LinkState {
    return this.#session.linkState(Date.now());
  }

  /** Follows a task from the oldest activity kept, or from where `options` say. It need not exist yet. Each task once at a time. */
  follow(task: string, options: FollowOptions = {}): Following {
    this.#check();
    const { after, types, invocation, series } = options;
    const request: FollowRequest = {
      task,
      ...(after !== undefined && { after }),
      ...(options.last !== undefined && { last: options.last }),
      ...(types !== undefined && { types }),
      ...(invocation !== undefined && { invocation }),
      ...(series !== undefined && { series }),
    };
    checkRequest(request);
    const current = (): boolean => this.#followings.get(task)?.following === following;
    const act = (what: "pause" | "resume") => () => {
      if (!current()) return;
      this.#session[what](task, Date.now());
      this.#carryOut();
    };
    const close = (): void => {
      if (!current()) return;
      // Ended here and now, so that whoever closes it may follow the task again at once.
      followed.cursor = this.#session.cursor(task);
      this.#session.unfollow(task, Date.now());
      this.#followings.delete(task);
      following.end(undefined);
      this.#carryOut();
    };
    const source = { pause: act("pause"), resume: act("resume"), close };
    const following: Following = new Following(task, source, options, {
      cursor: () => (current() ? this.#session.cursor(task) : followed.cursor),
      state: () => (current() ? this.#session.state(task, Date.now()) : { kind: "ended" }),
    });
    const followed: Followed = { following, options, cursor: undefined };
    this.#session.follow(request, Date.now());
    this.#followings.set(task, followed);
    this.#carryOut();
    return following;
  }

  /** Follows the list of tasks: as it is, then as it changes. Once at a time. */
  followTasks(handlers: Handlers<ListItem> = {}): ListFollowing {
    this.#check();
    const act = (what: "pauseList" | "resumeList") => () => {
      if (this.#list !== list) return;
      this.#session[what](Date.now());
      this.#carryOut();
    };
    const close = (): void => {
      if (this.#list !== list) return;
      this.#session.unfollowList(Date.now());
      this.#list = undefined;
      list.end(undefined);
      this.#carryOut();
    };
    const list: ListFollowing = new ListFollowing({ pause: act("pauseList"), resume: act("resumeList"), close }, handlers);
    this.#session.followList(Date.now());
    this.#list = list;
    this.#carryOut();
    return list;
  }

  /** Looks at once whether the hub is there, or tries to reach it. Pages and workers do it when the network comes or the page is seen again. */
  look(): void {
    this.#session.nudge(Date.now());
    this.#carryOut();
  }

  /** Lets go of everything. All iterators end. */
  close(): void {
    if (this.#closed) return;
    for (const { following } of [...this.#followings.values()]) following.close();
    this.#list?.close();
    this.#closed = true;
    this.#disconnect();
    clearTimeout(this.#timer);
    this.#unwatch();
  }

  [dispose](): void {
    this.close();
  }

  #check(): void {
    if (this.#closed) throw new TasklightError("closed", "the viewer is closed");
  }

  /** Carries out what the session wants, in order. What that leads to is carried out after it. */
  #carryOut(): void {
    if (this.#carrying || this.#closed) return;
    this.#carrying = true;
    try {
      for (let effects = this.#session.take(); effects.length !== 0; effects = this.#session.take()) {
        for (const effect of effects) this.#safely(effect);
      }
    } finally {
      this.#carrying = false;
    }
    this.#arm();
  }

  /** What a consumer's callback throws is the consumer's, and nobody else misses anything by it. */
  #safely(effect: Effect): void {
    try {
      this.#do(effect);
    } catch (error) {
      queueMicrotask(() => {
        throw error;
      });
    }
  }

  #do(effect: Effect): void {
    switch (effect.do) {
      case "connect":
        void this.#connect();
        break;
      case "send":
        this.#transport?.send(effect.text);
        break;
      case "disconnect":
        this.#disconnect();
        break;
      case "item":
        this.#followings.get(effect.task)?.following.push(effect.item, effect.size, effect.before);
        break;
      case "state":
        this.#followings.get(effect.task)?.options.onState?.(effect.state);
        break;
      case "loss":
        this.#followings.get(effect.task)?.options.onLoss?.(effect.reason, effect.after);
        break;
      case "end": {
        const ended = this.#followings.get(effect.task);
        this.#followings.delete(effect.task);
        if (ended) ended.cursor = effect.cursor;
        ended?.following.end(effect.error);
        break;
      }
      case "listItem":
        this.#list?.push(effect.item, effect.size);
        break;
      case "listEnd": {
        const ended = this.#list;
        this.#list = undefined;
        ended?.end(effect.error);
        break;
      }
      case "link":
        this.#onLink?.(effect.state);
    }
  }

  async #connect(): Promise<void> {
    this.#disconnect();
    const connection = this.#connection;
    const isCurrent = (): boolean => connection === this.#connection && !this.#closed;
    let token: string | undefined;
    try {
      token = await this.#tokens.current();
    } catch (error) {
      if (isCurrent()) this.#ended(ABNORMAL, error instanceof Error ? `${NO_TOKEN}: ${error.message}` : NO_TOKEN);
      return;
    }
    if (!isCurrent()) return;
    this.#transport = this.#open(token, {
      opened: () => {
        if (!isCurrent()) return;
        this.#session.opened(Date.now());
        this.#carryOut();
      },
      heard: (text) => {
        if (!isCurrent()) return;
        this.#session.heard(text, Date.now());
        this.#carryOut();
      },
      closed: (code, reason) => {
        if (!isCurrent()) return;
        if (code === 4401) this.#tokens.refuse(token);
        this.#ended(code, reason);
      },
    });
  }

  #open(token: string | undefined, events: TransportEvents): Transport {
    return this.#Socket ? openSocket(this.#Socket, this.#http.hub, token, events) : openStreams(this.#http, token, events);
  }

  #ended(code: number, reason: string): void {
    this.#disconnect();
    this.#session.closed(code, reason, Date.now());
    this.#carryOut();
  }

  #disconnect(): void {
    this.#connection += 1;
    this.#transport?.close();
    this.#transport = undefined;
  }

  /** One timer, for whatever is due first. With each message that moves away; then the timer finds nothing to do, and is set again. */
  #arm(): void {
    const { due } = this.#session;
    if (this.#closed || due === undefined || (this.#timer !== undefined && this.#timerAt <= due)) return;
    clearTimeout(this.#timer);
    this.#timerAt = due;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#session.tick(Date.now());
      this.#carryOut();
    }, Math.max(0, Math.min(due - Date.now(), LONGEST_TIMER_MS)));
  }
}

/** Timers take no more than a signed 32-bit number. */
const LONGEST_TIMER_MS = 2_147_483_647;
