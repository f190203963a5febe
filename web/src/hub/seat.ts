/** One tab at the host: what it follows, and when it was last heard. */
import type { LinkState } from "tasklight/viewer";
import { type FollowedTask, OneAtATime, TaskFeed } from "./followed.ts";
import type { Host } from "./host.ts";
import { type FeedId, type HostMessage, LINK_FEED, PROTOCOL, TAB_PATIENCE_MS, type TabMessage } from "./port.ts";
import { ListFeed } from "./task-list.ts";

interface Opened {
  readonly feed: { taken(): void };
  close(): void;
}

export class Seat {
  readonly #host: Host;
  readonly #send: (message: HostMessage) => void;
  readonly #opened = new Map<FeedId, Opened>();
  #link: LinkFeed | undefined;
  #heardAt = Date.now();
  #left = false;

  constructor(host: Host, send: (message: HostMessage) => void) {
    this.#host = host;
    this.#send = send;
  }

  get isEmpty(): boolean {
    return this.#left;
  }

  /** Takes what the tab says. */
  hear(message: TabMessage): void {
    this.#heardAt = Date.now();
    switch (message.say) {
      case "hello":
        this.#hello(message.protocol, message.token);
        break;
      case "openTask":
        this.#openTask(message.feed, message.task);
        break;
      case "openList":
        this.#openList(message.feed);
        break;
      case "close":
        this.#close(message.feed);
        break;
      case "taken":
        if (message.feed === LINK_FEED) this.#link?.taken();
        else this.#opened.get(message.feed)?.feed.taken();
        break;
      case "token":
        this.#host.setToken(message.token);
        break;
      case "look":
        this.#host.look();
        break;
      case "beat":
        this.#send({ say: "beat" });
        break;
      case "bye":
        this.leave();
    }
  }

  linkChanged(): void {
    this.#link?.pump();
  }

  leaveIfSilent(now: number): void {
    if (this.#heardAt + TAB_PATIENCE_MS < now) this.leave();
  }

  /** The tab is gone, or is taken for it: what it followed is followed no more for it. */
  leave(): void {
    if (this.#left) return;
    this.#left = true;
    for (const feed of [...this.#opened.keys()]) this.#close(feed);
    this.#link = undefined;
    this.#host.left(this);
  }

  #hello(protocol: number, token: string | undefined): void {
    this.#send({ say: "welcome", protocol: PROTOCOL });
    if (protocol !== PROTOCOL) {
      this.leave();
      return;
    }
    if (token !== undefined) this.#host.setToken(token);
    const send = (state: LinkState): void => {
      this.#send({ say: "link", feed: LINK_FEED, state });
    };
    this.#link ??= new LinkFeed(this.#host, send);
    this.#link.pump();
  }

  #openTask(id: FeedId, task: string): void {
    const followed: FollowedTask = this.#host.task(task);
    const feed = new TaskFeed(followed, (batch) => {
      this.#send({ say: "task", feed: id, ...batch });
    });
    followed.feeds.add(feed);
    const close = (): void => {
      followed.feeds.delete(feed);
      this.#host.leaveTask(followed);
    };
    this.#opened.set(id, { feed, close });
    feed.pump();
  }

  #openList(id: FeedId): void {
    const { list } = this.#host;
    const feed = new ListFeed(list, (items) => {
      this.#send({ say: "list", feed: id, items });
    });
    list.feeds.add(feed);
    this.#host.openList();
    const close = (): void => {
      list.feeds.delete(feed);
      this.#host.leaveList();
    };
    this.#opened.set(id, { feed, close });
    feed.pump();
  }

  #close(id: FeedId): void {
    const opened = this.#opened.get(id);
    this.#opened.delete(id);
    opened?.close();
  }
}

/** Tells a tab how the connection is. */
class LinkFeed extends OneAtATime<LinkState> {
  readonly #host: Host;
  #told: string | undefined;

  constructor(host: Host, send: (state: LinkState) => void) {
    super(send);
    this.#host = host;
  }

  protected override next(): LinkState | undefined {
    const state = this.#host.link;
    const text = JSON.stringify(state);
    if (text === this.#told) return undefined;
    this.#told = text;
    return state;
  }
}
