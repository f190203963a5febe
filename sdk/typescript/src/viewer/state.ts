/** What can truthfully be said about a followed task at this moment. */

export type State =
  /** Not connected yet. */
  | { readonly kind: "connecting" }
  /** The task does not exist yet; its activities come as soon as it does. */
  | { readonly kind: "waiting" }
  /** Everything up to `offset` is here, and what comes is shown as it comes. */
  | { readonly kind: "live"; readonly offset: number; readonly truncatedBelow?: number }
  /** `behind` activities are stored that are not here yet. */
  | { readonly kind: "catchingUp"; readonly offset: number; readonly behind: number; readonly truncatedBelow?: number }
  /** The connection is gone since then, and is made anew. */
  | { readonly kind: "reconnecting"; readonly since: number; readonly reason: string }
  /** The same, for so long that a person should know. */
  | { readonly kind: "offline"; readonly since: number; readonly reason: string }
  /** The hub does not grant it. Nothing more comes. */
  | { readonly kind: "denied"; readonly code: "unauthorized" | "forbidden"; readonly reason: string }
  /** It was closed, or the hub refused it. Nothing more comes. */
  | { readonly kind: "ended" };

/** How the connection is, for all that use it. */
export type LinkState =
  | { readonly kind: "connecting" }
  | { readonly kind: "open" }
  | Extract<State, { kind: "reconnecting" | "offline" | "denied" }>;

/** Whether the change from one to the other is worth telling at once: a number alone is not. */
export function differs(one: State, other: State): boolean {
  if (one.kind !== other.kind) return true;
  const floor = (state: State): number | undefined => ("truncatedBelow" in state ? state.truncatedBelow : undefined);
  return floor(one) !== floor(other);
}
