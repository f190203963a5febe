/** What a viewer is given, in order. */
import type { Activity, ActivityType } from "../activity.js";
import type { TaskSummary } from "../task.js";
import type { Start } from "./place.js";

/** What comes of a followed task. Every activity comes once, in order; what cannot be continued is said. */
export type Item =
  | { readonly kind: "activity"; readonly activity: Activity }
  /** Everything up to `offset` was given; what comes next is new. Comes again after each time of catching up. */
  | { readonly kind: "live"; readonly offset: number }
  /** What was between the last activity and `floor` is no longer kept: it goes on with `floor`. Show the hole. */
  | { readonly kind: "truncated"; readonly floor: number }
  /** The log lives another life (deleted and made again, or restored): forget what you have of it, it starts over. */
  | { readonly kind: "reset"; readonly epoch: string }
  /** The task was deleted. Should it be made again, its activities come from the first one on. */
  | { readonly kind: "deleted" };

/** What comes of the list of tasks. */
export type ListItem =
  /** The list begins anew: what you have and do not get until `live` is gone. */
  | { readonly kind: "snapshot" }
  /** A task's present state; replaces what you had. */
  | { readonly kind: "task"; readonly task: TaskSummary }
  | { readonly kind: "gone"; readonly taskId: string }
  /** The list is complete; what comes next are changes. */
  | { readonly kind: "live" };

/** Which task, from where, and what of it. */
export interface FollowRequest extends Start {
  readonly task: string;
  /** Only these types. */
  readonly types?: readonly ActivityType[];
  /** Only this invocation. */
  readonly invocation?: string;
  /** Leaves the pieces of closed series out of history. */
  readonly series?: "final";
}
