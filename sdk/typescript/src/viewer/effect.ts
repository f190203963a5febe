/** What a session wants to be carried out. */
import type { TasklightError } from "../error.js";
import type { Item, ListItem } from "./item.js";
import type { LinkState, State } from "./state.js";

/** One thing to do. They are done in order. */
export type Effect =
  /** Make a connection, with a new token if the last one was refused, and tell `opened` or `closed`. */
  | { readonly do: "connect" }
  | { readonly do: "send"; readonly text: string }
  /** Let go of the connection, and tell nothing of it any more. */
  | { readonly do: "disconnect" }
  /** The next item, and the place before it. */
  | { readonly do: "item"; readonly task: string; readonly item: Item; readonly size: number; readonly before: string | undefined }
  | { readonly do: "state"; readonly task: string; readonly state: State }
  /** The hub ended it: nothing more comes of this task. */
  | { readonly do: "end"; readonly task: string; readonly cursor: string | undefined; readonly error: TasklightError }
  /** Something was lost on the way, and is asked for again after this cursor. */
  | { readonly do: "loss"; readonly task: string; readonly reason: string; readonly after: string | undefined }
  | { readonly do: "listItem"; readonly item: ListItem; readonly size: number }
  | { readonly do: "listEnd"; readonly error: TasklightError }
  | { readonly do: "link"; readonly state: LinkState };
