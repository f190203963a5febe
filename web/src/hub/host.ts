/**
 * Holds the one connection of all tabs: in a SharedWorker, or in the page where there is none. It follows what at least one tab follows, keeps
 * the newest of it once, and gives it to each tab as fast as that takes it. However many tabs sleep, what it keeps is bounded.
 */
import { type Following, type ListFollowing, type LinkState, type SocketConstructor, type State, type TasklightError, Viewer } from "tasklight/viewer";
import { FIRST_ACTIVITIES, FollowedTask } from "./followed.ts";
import type { HostMessage, TabMessage } from "./port.ts";
import { Seat } from "./seat.ts";
import { TaskList } from "./task-list.ts";

/** About the most characters that are kept of all tasks together. */
export const RING_CHARS = 32 * 1024 * 1024;

/** What nobody follows any more is let go after so long, so that to look elsewhere and back costs nothing. */
export const LINGER_MS = 30_000;

/** How often the host looks for tabs that have gone. */
export const SWEEP_MS = 60_000;

export interface HostOptions {
  /** The hub's address; the origin of page or worker if left out. */
  readonly hub?: string;
  readonly WebSocket?: SocketConstructor;
}

interface Held {
  readonly followed: FollowedTask;
  following: Following | undefined;
  /** Counts its followings, so that nothing of an old one is taken for news. */
  life: number;
  linger: ReturnType<typeof setTimeout> | undefined;
}

export class Host {
  readonly #options: HostOptions;
  readonly #seats = new Set<Seat>();
  readonly #tasks = new Map<string, Held>();
  readonly list = new TaskList();
  #listFollowing: ListFollowing | undefined;
  #listLinger: ReturnType<typeof setTimeout> | undefined;
  #sweep: ReturnType<typeof setInterval> | undefined;
  #token: string | undefined;
  #viewer: Viewer;
  #closed = false;

  constructor(options: HostOptions = {}) {
    this.#options = options;
    this.#viewer = this.#connect();
  }

  /** How the connection is. */
  get link(): LinkState {
    return this.#viewer.link;
  }

  /** How many tabs there are, and how many tasks are followed for them: for tests and for the curious. */
  get counts(): { readonly tabs: number; readonly tasks: number; readonly chars: number } {
    return { tabs: this.#seats.size, tasks: this.#tasks.size, chars: this.#chars() };
  }

  /** A line to a tab, which gets what `send` is given. Gives what takes what the tab says; every `hello` begins anew. */
  connect(send: (message: HostMessage) => void): (message: TabMessage) => void {
    let seat: Seat | undefined;
    return (message) => {
      if (this.#closed) return;
      if (message.say === "hello") {
        seat?.leave();
        seat = this.#seat(send);
      }
      if (seat && !seat.isEmpty) seat.hear(message);
      else if (message.say !== "bye") send({ say: "again" });
    };
  }

  /** A seat is empty: its feeds are closed already. */
  left(seat: Seat): void {
    this.#seats.delete(seat);
    if (this.#seats.size !== 0) return;
    clearInterval(this.#sweep);
    this.#sweep = undefined;
  }

  /** The task, followed from now on if it was not. */
  task(task: string): FollowedTask {
    const known = this.#tasks.get(task);
    if (known) {
      clearTimeout(known.linger);
      known.linger = undefined;
      return known.followed;
    }
    const held: Held = { followed: new FollowedTask(task), following: undefined, life: 0, linger: undefined };
    this.#tasks.set(task, held);
    this.#follow(held, undefined);
    return held.followed;
  }

  /** A feed of the task was closed. */
  leaveTask(followed: FollowedTask): void {
    const held = this.#tasks.get(followed.task);
    if (held?.followed !== followed || followed.feeds.size !== 0) return;
    held.linger ??= setTimeout(() => {
      this.#letGo(held);
    }, LINGER_MS);
  }

  /** Somebody follows the list. */
  openList(): void {
    clearTimeout(this.#listLinger);
    this.#listLinger = undefined;
    if (!this.#listFollowing) this.#followList();
  }

  leaveList(): void {
    if (this.list.feeds.size !== 0) return;
    this.#listLinger ??= setTimeout(() => {
      this.#listLinger = undefined;
      this.#listFollowing?.close();
      this.#listFollowing = undefined;
      this.list.forget();
    }, LINGER_MS);
  }

  /** Everything goes on with this token, each task after its place. */
  setToken(token: string | undefined): void {
    if (token === this.#token) return;
    this.#token = token;
    const places = new Map<Held, string | undefined>();
    for (const held of this.#tasks.values()) {
      places.set(held, held.following?.cursor);
      held.life += 1;
    }
    const old = this.#viewer;
    this.#viewer = this.#connect();
    old.close();
    for (const [held, after] of places) this.#follow(held, after);
    this.#listFollowing = undefined;
    if (this.list.feeds.size !== 0) this.openList();
    this.#linkChanged();
  }

  look(): void {
    this.#viewer.look();
  }

  close(): void {
    this.#closed = true;
    for (const seat of [...this.#seats]) seat.leave();
    for (const held of [...this.#tasks.values()]) this.#letGo(held);
    clearTimeout(this.#listLinger);
    this.#viewer.close();
  }

  #connect(): Viewer {
    const viewer: Viewer = new Viewer({
      ...(this.#options.hub !== undefined && { hub: this.#options.hub }),
      ...(this.#options.WebSocket && { WebSocket: this.#options.WebSocket }),
      ...(this.#token !== undefined && { token: this.#token }),
      onLink: () => {
        if (viewer === this.#viewer) this.#linkChanged();
      },
    });
    return viewer;
  }

  #linkChanged(): void {
    for (const seat of this.#seats) seat.linkChanged();
  }

  #follow(held: Held, after: string | undefined): void {
    const { followed } = held;
    held.life += 1;
    const { life } = held;
    const isCurrent = (): boolean => held.life === life;
    const following = this.#viewer.follow(followed.task, {
      last: FIRST_ACTIVITIES,
      ...(after !== undefined && { after }),
      onItem: (item) => {
        if (!isCurrent()) return;
        followed.hear(item);
        if (item.kind === "activity") this.#bound();
      },
      onState: () => {
        if (isCurrent()) followed.stateChanged();
      },
      onEnd: (error) => {
        if (isCurrent()) followed.tellBy(() => endOf(this.link, error));
      },
    });
    held.following = following;
    followed.tellBy(() => following.state);
  }

  #followList(): void {
    this.#listFollowing = this.#viewer.followTasks({
      onItem: (item) => {
        this.list.hear(item);
      },
    });
  }

  #letGo(held: Held): void {
    clearTimeout(held.linger);
    this.#tasks.delete(held.followed.task);
    held.life += 1;
    held.following?.close();
  }

  #seat(send: (message: HostMessage) => void): Seat {
    const seat = new Seat(this, send);
    this.#seats.add(seat);
    this.#sweep ??= setInterval(() => {
      for (const one of [...this.#seats]) one.leaveIfSilent(Date.now());
    }, SWEEP_MS);
    return seat;
  }

  #chars(): number {
    let chars = 0;
    for (const { followed } of this.#tasks.values()) chars += followed.ring.chars;
    return chars;
  }

  /** Keeps all rings together within their bound: what nobody follows goes first, then the oldest of whatever holds most. */
  #bound(): void {
    for (let chars = this.#chars(); RING_CHARS < chars; chars = this.#chars()) {
      const idle = [...this.#tasks.values()].find(({ followed }) => followed.feeds.size === 0);
      if (idle) {
        this.#letGo(idle);
        continue;
      }
      const rings = [...this.#tasks.values()].map(({ followed }) => followed.ring);
      const largest = rings.reduce((one, other) => (one.chars < other.chars ? other : one));
      if (largest.length <= 1) return;
      largest.drop();
    }
  }
}

/** Why nothing more comes of a task. */
function endOf(link: LinkState, error: TasklightError | undefined): State {
  if (link.kind === "denied") return link;
  return error?.code === "forbidden" ? { kind: "denied", code: "forbidden", reason: error.message } : { kind: "ended" };
}
