// A viewer of a test's own that goes with its test, and what it was given so far.
import { onTestFinished } from "vitest";
import { WebSocket } from "ws";
import { type Activity, type FollowOptions, type Following, type Item, type State, Viewer, type ViewerOptions } from "../src/viewer.js";
import { within } from "./hub.js";

/** Both ways of a viewer to its hub. */
export const ways = [
  ["a WebSocket", WebSocket],
  ["Server-Sent Events", null],
] as const;

export function viewer(hub: string, options: ViewerOptions = {}): Viewer {
  const made = new Viewer({ hub, WebSocket, ...options });
  onTestFinished(() => { made.close(); });
  return made;
}

export class Watch {
  readonly items: Item[] = [];
  readonly states: State[] = [];
  readonly losses: string[] = [];
  readonly following: Following;
  error: unknown;
  #wake: () => void = () => undefined;

  constructor(viewer: Viewer, task: string, options: FollowOptions = {}) {
    const onState = (state: State): void => {
      this.states.push(state);
      this.#wake();
    };
    this.following = viewer.follow(task, { ...options, onState, onLoss: (reason) => { this.losses.push(reason); } });
    void this.#read();
  }

  get activities(): Activity[] {
    return this.items.flatMap((item) => (item.kind === "activity" ? [item.activity] : []));
  }

  get texts(): unknown[] {
    return this.activities.map((activity) => activity.data["text"]);
  }

  get kinds(): string[] {
    return this.items.map((item) => item.kind);
  }

  async until(check: (watch: this) => boolean, what: string): Promise<void> {
    while (!check(this)) await within(new Promise<void>((resolve) => (this.#wake = resolve)), what);
  }

  async #read(): Promise<void> {
    try {
      for await (const item of this.following) {
        this.items.push(item);
        this.#wake();
      }
    } catch (error) {
      this.error = error;
      this.#wake();
    }
  }
}
