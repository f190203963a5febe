/** What the hub remembers of how active tasks were: asked for the tasks on screen, in few requests, once each. */
import type { Hub } from "tasklight/rest";
import { TasklightError } from "tasklight/rest";
import type { Pulses } from "../model/sparkline.ts";

/** The most tasks of one request, as the hub has it. */
const MOST_ASKED = 100;

/** Those that came on screen within so long are asked for together; scrolling past asks for nothing. */
const GATHER_MS = 150;

/** How long to wait after a request failed. */
const RETRY_MS = 30_000;

export class RateHistory {
  readonly #hub: Hub;
  readonly #pulses: Pulses;
  readonly #came: () => void;
  readonly #known = new Set<string>();
  #onScreen: readonly string[] = [];
  #timer: ReturnType<typeof setTimeout> | undefined;
  #asking = false;
  #over = false;

  constructor(hub: Hub, pulses: Pulses, came: () => void) {
    this.#hub = hub;
    this.#pulses = pulses;
    this.#came = came;
  }

  /** These are on screen now. */
  show(tasks: readonly string[]): void {
    this.#onScreen = tasks;
    this.#askIn(GATHER_MS);
  }

  /** What was answered may be old: something happened that this page did not count. */
  expire(): void {
    this.#known.clear();
    this.#askIn(GATHER_MS);
  }

  close(): void {
    this.#over = true;
    clearTimeout(this.#timer);
  }

  #askIn(millis: number): void {
    clearTimeout(this.#timer);
    if (this.#over || this.#asking) return;
    this.#timer = setTimeout(() => void this.#ask(), millis);
  }

  async #ask(): Promise<void> {
    const tasks = this.#onScreen.filter((task) => !this.#known.has(task)).slice(0, MOST_ASKED);
    if (tasks.length === 0) return;
    for (const task of tasks) this.#known.add(task);
    this.#asking = true;
    let wait = GATHER_MS;
    try {
      const { bucketMs, until, rates } = await this.#hub.rates(tasks);
      for (const { taskId, counts } of rates) this.#pulses.remember(taskId, { bucketMs, until, counts });
      this.#came();
    } catch (error) {
      for (const task of tasks) this.#known.delete(task);
      // A hub that does not know the question will not learn it.
      if (error instanceof TasklightError && (error.status === 404 || error.status === 405)) this.#over = true;
      wait = RETRY_MS;
    }
    this.#asking = false;
    this.#askIn(wait);
  }
}
