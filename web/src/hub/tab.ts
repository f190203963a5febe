/**
 * The tab's side: what it follows, and what came of it, shown at most once per animation frame and taken by that. Browsers give hidden pages no
 * frames, so that a hidden tab takes nothing of a task; of the list it takes something every few seconds, for the sake of notifications.
 */
import { batch } from "solid-js";
import { Hub, type HubOptions } from "tasklight/rest";
import type { LinkState } from "tasklight/viewer";
import { BEAT_MS, type FeedId, type HostMessage, LINK_FEED, MOST_MISSED_BEATS, type Port, PROTOCOL, type TabMessage } from "./port.ts";
import type { Followed, HubSource, ListSink, TaskSink } from "./source.ts";

/** How often a hidden page takes what came of the list. */
export const HIDDEN_LIST_MS = 3_000;

/** What the tab needs of its page. */
export interface Page {
  /** Calls back before the next frame is drawn, which may be long from now if the page is hidden. */
  onFrame(call: () => void): void;
  isHidden(): boolean;
}

/** Makes a way to a host. `heard` gets what it says, `lost` is called once if it cannot be reached. */
export type Reach = (heard: (message: HostMessage) => void, lost: () => void) => Port;

type Wanted = { readonly task: string; readonly sink: TaskSink } | { readonly task: undefined; readonly sink: ListSink };

export interface TabOptions {
  readonly page: Page;
  /** Ways to a host, the best one first; the last one cannot be lost. */
  readonly ways: readonly { readonly reach: Reach; readonly isShared: boolean }[];
  /** For questions; the page's own origin if left out. */
  readonly hub?: string;
}

export class Tab implements HubSource {
  readonly #options: TabOptions;
  readonly #wanted = new Set<Wanted>();
  /** What is followed under which name at the present host. */
  #feeds = new Map<FeedId, Wanted>();
  #lastFeed = LINK_FEED;
  readonly #listeners = new Set<(state: LinkState) => void>();
  /** Of each feed the one message that was not shown yet. */
  readonly #waiting = new Map<FeedId, HostMessage>();
  readonly #beat: ReturnType<typeof setInterval>;
  #way = -1;
  #port: Port | undefined;
  #link: LinkState = { kind: "connecting" };
  #token: string | undefined;
  #rest: Hub;
  #missed = 0;
  #framed = false;
  #slow: ReturnType<typeof setTimeout> | undefined;

  constructor(options: TabOptions) {
    this.#options = options;
    this.#rest = this.#makeRest();
    this.#nextWay();
    this.#beat = setInterval(() => {
      this.#beats();
    }, BEAT_MS);
  }

  get rest(): Hub {
    return this.#rest;
  }

  get isShared(): boolean {
    return this.#options.ways[this.#way]?.isShared ?? false;
  }

  openTask(task: string, sink: TaskSink): Followed {
    return this.#follow({ task, sink });
  }

  openList(sink: ListSink): Followed {
    return this.#follow({ task: undefined, sink });
  }

  onLink(told: (state: LinkState) => void): () => void {
    this.#listeners.add(told);
    told(this.#link);
    return () => {
      this.#listeners.delete(told);
    };
  }

  setToken(token: string | undefined): void {
    this.#token = token;
    this.#rest = this.#makeRest();
    this.#say({ say: "token", token });
  }

  look(): void {
    this.#say({ say: "look" });
  }

  /** The page is seen or hidden: what waits is shown in its own time. */
  seen(): void {
    this.#schedule();
  }

  /** The page goes, and may come back as it was. */
  leave(): void {
    this.#say({ say: "bye" });
  }

  /** The page came back. */
  rejoin(): void {
    if (!this.#port) return;
    // New names, so that nothing that is still on its way is taken for news.
    this.#feeds.clear();
    this.#waiting.clear();
    this.#say({ say: "hello", protocol: PROTOCOL, token: this.#token });
    for (const wanted of this.#wanted) this.#ask(wanted);
  }

  close(): void {
    clearInterval(this.#beat);
    clearTimeout(this.#slow);
    this.#say({ say: "bye" });
    this.#port?.close();
    this.#port = undefined;
    this.#wanted.clear();
    this.#feeds.clear();
    this.#waiting.clear();
    this.#listeners.clear();
  }

  #makeRest(): Hub {
    const { hub } = this.#options;
    const options: HubOptions = { ...(hub !== undefined && { hub }), ...(this.#token !== undefined && { token: this.#token }) };
    return new Hub(options);
  }

  #follow(wanted: Wanted): Followed {
    this.#wanted.add(wanted);
    this.#ask(wanted);
    return {
      close: () => {
        if (!this.#wanted.delete(wanted)) return;
        const feed = [...this.#feeds].find(([, one]) => one === wanted)?.[0];
        if (feed === undefined) return;
        this.#feeds.delete(feed);
        this.#waiting.delete(feed);
        this.#say({ say: "close", feed });
      },
    };
  }

  #ask(wanted: Wanted): void {
    this.#lastFeed += 1;
    const feed = this.#lastFeed;
    this.#feeds.set(feed, wanted);
    this.#say(wanted.task === undefined ? { say: "openList", feed } : { say: "openTask", feed, task: wanted.task });
  }

  #say(message: TabMessage): void {
    this.#port?.send(message);
  }

  /** Goes to the next host: the one before is gone, or was never there. */
  #nextWay(): void {
    this.#port?.close();
    this.#way += 1;
    this.#missed = 0;
    const way = this.#options.ways[this.#way];
    if (!way) throw new Error("there is no way to a host");
    const current = (): boolean => this.#options.ways[this.#way] === way;
    this.#port = way.reach(
      (message) => {
        if (current()) this.#hear(message);
      },
      () => {
        if (current()) this.#nextWay();
      },
    );
    this.rejoin();
  }

  #beats(): void {
    if (this.#missed === MOST_MISSED_BEATS && this.#way + 1 < this.#options.ways.length) this.#nextWay();
    this.#missed += 1;
    this.#say({ say: "beat" });
  }

  #hear(message: HostMessage): void {
    switch (message.say) {
      case "welcome":
        // Another version is never guessed at: the page has a host of its own then.
        if (message.protocol !== PROTOCOL) this.#nextWay();
        break;
      case "beat":
        this.#missed = 0;
        break;
      case "again":
        this.rejoin();
        break;
      case "link":
        this.#link = message.state;
        for (const told of [...this.#listeners]) told(message.state);
        this.#say({ say: "taken", feed: message.feed });
        break;
      case "task":
      case "list":
        if (!this.#feeds.has(message.feed)) return;
        this.#waiting.set(message.feed, message);
        this.#schedule();
    }
  }

  /** Shows what waits when the page can: in a frame, and of the list also without one. */
  #schedule(): void {
    if (this.#waiting.size === 0) return;
    if (!this.#framed) {
      this.#framed = true;
      this.#options.page.onFrame(() => {
        this.#framed = false;
        this.#show(() => true);
      });
    }
    if (this.#options.page.isHidden()) {
      this.#slow ??= setTimeout(() => {
        this.#slow = undefined;
        this.#show((message) => message.say === "list");
      }, HIDDEN_LIST_MS);
    }
  }

  #show(which: (message: HostMessage) => boolean): void {
    const shown = [...this.#waiting.values()].filter(which);
    batch(() => {
      for (const message of shown) this.#give(message);
    });
  }

  #give(message: HostMessage): void {
    if (message.say !== "task" && message.say !== "list") return;
    const { feed } = message;
    const wanted = this.#feeds.get(feed);
    this.#waiting.delete(feed);
    if (!wanted) return;
    // Taken before it is shown, so that what a sink throws stops nothing.
    this.#say({ say: "taken", feed });
    if (message.say === "task" && wanted.task !== undefined) {
      const { start, items, state } = message;
      if (start) wanted.sink.start(start);
      if (items) wanted.sink.items(items);
      if (state) wanted.sink.state(state);
    } else if (message.say === "list" && wanted.task === undefined) wanted.sink.items(message.items);
  }
}
