/**
 * What a view puts into the header while it is shown: the name of the place and what the badge says. A view calls `say` once, in its
 * component, with what to read; the header follows it, and forgets it when the view goes.
 */
import { type Accessor, createSignal, onCleanup } from "solid-js";
import type { LinkState, State } from "tasklight/viewer";
import type { ListState } from "./badge.ts";

export interface Said {
  /** The place: the header's heading, and the document's title. */
  readonly title: string;
  /** A few words beside it, such as a task's title. */
  readonly detail?: string | undefined;
  /** What the badge tells; how the connection is, if left out. */
  readonly state?: State | LinkState | ListState | undefined;
}

const [views, setViews] = createSignal<readonly Accessor<Said>[]>([]);

/** Says this for as long as the calling component is there. The last view to come is the one that is heard. */
export function say(what: Accessor<Said>): void {
  setViews((before) => [...before, what]);
  onCleanup(() => {
    setViews((before) => before.filter((one) => one !== what));
  });
}

export const said: Accessor<Said> = () => views().at(-1)?.() ?? { title: "" };
