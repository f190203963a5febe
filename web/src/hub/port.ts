/**
 * What a tab and the host of its connection say to each other: through the port of a SharedWorker, or within the page. Nothing is queued for a
 * tab: of each feed one message is under way at a time, and the next one is made when the tab has said that it took that.
 */
import type { Activity, Item, LinkState, ListItem, State } from "tasklight/viewer";

/** Counts changes to these messages. A host that speaks another version is left alone. */
export const PROTOCOL = 1;

/** How often a tab says that it is there. */
export const BEAT_MS = 20_000;

/** A tab that was not heard for so long is gone, or so deeply asleep that it may join again. Hidden tabs get a timer a minute at the least. */
export const TAB_PATIENCE_MS = 300_000;

/** So many beats without an answer, and the host is gone. */
export const MOST_MISSED_BEATS = 2;

/** Names something that a tab follows; chosen by the tab, never used twice. */
export type FeedId = number;

/** The feed of the connection's own state, which every tab has. */
export const LINK_FEED: FeedId = 0;

export type TabMessage =
  /** First. */
  | { readonly say: "hello"; readonly protocol: number; readonly token: string | undefined }
  | { readonly say: "openTask"; readonly feed: FeedId; readonly task: string }
  | { readonly say: "openList"; readonly feed: FeedId }
  | { readonly say: "close"; readonly feed: FeedId }
  /** What was under way on this feed is shown. */
  | { readonly say: "taken"; readonly feed: FeedId }
  | { readonly say: "token"; readonly token: string | undefined }
  | { readonly say: "look" }
  | { readonly say: "beat" }
  /** Last: the tab goes. */
  | { readonly say: "bye" };

export type HostMessage =
  /** Answers `hello`, with the host's own version. */
  | { readonly say: "welcome"; readonly protocol: number }
  /** Answers `beat`. */
  | { readonly say: "beat" }
  /** The host has given the tab up: it must say hello again, and open what it follows anew. */
  | { readonly say: "again" }
  | ({ readonly say: "link"; readonly feed: FeedId } & { readonly state: LinkState })
  | ({ readonly say: "task"; readonly feed: FeedId } & TaskBatch)
  | { readonly say: "list"; readonly feed: FeedId; readonly items: readonly ListItem[] };

/** What is new of a task: a new beginning if there must be one, then what followed, then what can be said of it now. */
export interface TaskBatch {
  readonly start?: readonly Activity[];
  readonly items?: readonly Item[];
  readonly state?: State;
}

/** The tab's end of a connection to its host. */
export interface Port {
  send(message: TabMessage): void;
  close(): void;
}
