/** What the badge says of how complete a view is. Pure: texts out of states. */
import type { LinkState, State } from "tasklight/viewer";

export interface Badge {
  readonly kind: "live" | "behind" | "warn" | "bad";
  readonly text: string;
  /** More, for whoever points at it. */
  readonly detail: string;
  /** What a screen reader is told: without numbers that change all the time. */
  readonly spoken: string;
}

/** What else a view may say of itself: the list of tasks is no log and has no offset. */
export type ListState =
  | Exclude<LinkState, { kind: "open" }>
  /** Not all of it has come; so many have. */
  | { readonly kind: "loading"; readonly count: number }
  | { readonly kind: "complete"; readonly count: number };

export function badgeOf(state: State | LinkState | ListState): Badge {
  switch (state.kind) {
    case "connecting":
      return same("behind", "connecting", "Waiting for the hub's first answer");
    case "open":
      return same("live", "connected", "The hub is connected");
    case "waiting":
      return same("behind", "waiting for the task", "This task does not exist yet. Its activities appear as soon as it does.");
    case "live":
      return {
        kind: "live",
        text: `live · complete to #${state.offset.toString()}${truncated(state)}`,
        detail: `Everything that is stored up to #${state.offset.toString()} is here; new activities appear as they are stored.${kept(state)}`,
        spoken: `live${truncated(state)}`,
      };
    case "catchingUp":
      return {
        kind: "behind",
        text: `catching up · ${counted(state.behind)} behind${truncated(state)}`,
        detail: `Complete to #${state.offset.toString()}; ${counted(state.behind)} more are stored and on their way.${kept(state)}`,
        spoken: `catching up${truncated(state)}`,
      };
    case "loading":
      return { ...same("behind", "loading", `${counted(state.count)} tasks so far`) };
    case "complete":
      return {
        kind: "live",
        text: `live · ${counted(state.count)} ${state.count === 1 ? "task" : "tasks"}`,
        detail: "The list is complete and changes as the tasks do.",
        spoken: "live",
      };
    case "reconnecting":
      return same("warn", "reconnecting", `Since ${clockTime(state.since)}: ${state.reason}. What is shown may be old; nothing will be missing.`);
    case "offline":
      return same("bad", `offline since ${clockTime(state.since)}`, `${state.reason}. What is shown is as of then; it goes on by itself.`);
    case "denied":
      return state.code === "unauthorized"
        ? same("bad", "access expired", `The hub wants a valid token: ${state.reason}`)
        : same("bad", "access denied", `The token does not grant this: ${state.reason}`);
    case "ended":
      return same("bad", "ended", "The hub ended this view. Nothing more comes; load the page again to go on.");
  }
}

function same(kind: Badge["kind"], text: string, detail: string): Badge {
  return { kind, text, detail, spoken: text };
}

const truncated = (state: { truncatedBelow?: number }): string =>
  state.truncatedBelow === undefined ? "" : ` · truncated below #${state.truncatedBelow.toString()}`;

const kept = (state: { truncatedBelow?: number }): string =>
  state.truncatedBelow === undefined ? "" : ` What was before #${state.truncatedBelow.toString()} is no longer kept.`;

const counted = (count: number): string => count.toLocaleString("en");

/** The local time of day, to the second. */
export function clockTime(millis: number): string {
  const time = new Date(millis);
  return [time.getHours(), time.getMinutes(), time.getSeconds()].map((part) => part.toString().padStart(2, "0")).join(":");
}

/** The shortest time between two announcements, so that a state that flickers does not chatter. */
export const ANNOUNCE_EVERY_MS = 4_000;

/** Decides when a change of the spoken words is told to a screen reader: at once after a pause, else when the pause is over, as it is then. */
export class Announcer {
  #told = "";
  #toldAt = Number.NEGATIVE_INFINITY;

  /** How long to wait before telling `words`: 0 for now; nothing if they are what was told last. */
  wait(words: string, now: number): number | undefined {
    if (words === this.#told) return undefined;
    return Math.max(0, this.#toldAt + ANNOUNCE_EVERY_MS - now);
  }

  told(words: string, now: number): void {
    this.#told = words;
    this.#toldAt = now;
  }
}
