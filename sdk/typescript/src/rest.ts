/** Asking a hub: tasks, their activities, their invocations. Errors are `TasklightError` with the hub's codes. */
import type { Activity, ActivityType, Status } from "./activity.js";
import { TasklightError } from "./error.js";
import { Http, hubAddress, type HubOptions, type Query, TokenKeeper } from "./http.js";
import type { SearchPage, SearchQuery } from "./search.js";
import type { Invocation, Rates, TaskDetails, TaskSummary } from "./task.js";

export type { Activity, ActivityType, Data, Status } from "./activity.js";
export type { SearchHit, SearchPage, SearchQuery } from "./search.js";
export type { Invocation, Rate, Rates, Stalled, StalledReason, TaskDetails, TaskSummary } from "./task.js";
export type { HubOptions, Token } from "./http.js";
export { TasklightError } from "./error.js";

/** Which tasks. */
export interface TaskQuery {
  readonly status?: Status;
  /** `name=value`, or `name` for any value; all must fit. */
  readonly labels?: readonly string[];
  /** Text in id or title. */
  readonly q?: string;
  /** At most so many; 100 if left out. */
  readonly limit?: number;
  /** What an earlier answer gave as `next`. */
  readonly page?: string;
}

/** A page of the list of tasks, newest activity first. */
export interface TaskPage {
  readonly tasks: readonly TaskSummary[];
  readonly next: string | null;
}

/** Which activities. */
export interface ActivityQuery {
  /** A cursor to go on after. */
  readonly after?: string;
  /** A cursor to page backwards from. */
  readonly before?: string;
  /** The offset to begin at, or the oldest that is kept if that is later; instead of a cursor. */
  readonly from?: number;
  /** Begins where the log's timestamps pass this time, in epoch milliseconds; instead of a cursor. */
  readonly at?: number;
  /** At most so many; 100 if left out. */
  readonly limit?: number;
  readonly types?: readonly ActivityType[];
  readonly invocation?: string;
  readonly series?: "final";
}

/** A page of a log, oldest first. */
export interface ActivityPage {
  readonly activities: readonly Activity[];
  readonly head: number;
  readonly floor: number;
  readonly epoch: string;
  /** Where to go on, as `after` or `before`; null at the end. */
  readonly next: string | null;
}

/** A task's description; null takes away, what is left out stays. */
export interface Description {
  readonly title?: string | null;
  readonly labels?: Readonly<Record<string, string>> | null;
}

export class Hub {
  readonly #http: Http;
  readonly #tokens: TokenKeeper;

  constructor(options: HubOptions = {}) {
    this.#http = new Http(hubAddress(options));
    this.#tokens = new TokenKeeper(options.token);
  }

  tasks(query: TaskQuery = {}): Promise<TaskPage> {
    const { labels, ...rest } = query;
    return this.#ask("GET", ["tasks"], { ...rest, label: labels });
  }

  task(task: string): Promise<TaskDetails> {
    return this.#ask("GET", ["tasks", task]);
  }

  /** Creates the task if it is not there, and describes it. */
  putTask(task: string, description: Description = {}): Promise<TaskSummary> {
    return this.#ask("PUT", ["tasks", task], {}, description);
  }

  patchTask(task: string, description: Description): Promise<TaskSummary> {
    return this.#ask("PATCH", ["tasks", task], {}, description);
  }

  /** Deletes the task with everything below it. */
  async deleteTask(task: string): Promise<void> {
    await this.#ask("DELETE", ["tasks", task]);
  }

  activities(task: string, query: ActivityQuery = {}): Promise<ActivityPage> {
    const { types, ...rest } = query;
    return this.#ask("GET", ["tasks", task, "activities"], { ...rest, type: types });
  }

  /** Everything that is stored, page by page, up to the head as it is when that is reached. */
  async *history(task: string, query: Omit<ActivityQuery, "before" | "from" | "at"> = {}): AsyncGenerator<Activity, void> {
    let after = query.after;
    for (;;) {
      const page = await this.activities(task, { limit: 1_000, ...query, ...(after !== undefined && { after }) });
      yield* page.activities;
      if (page.next === null) return;
      after = page.next;
    }
  }

  /** Looks for text in a task's payloads; ask again with `next` until it is null, also if there were no hits. */
  search(task: string, query: SearchQuery): Promise<SearchPage> {
    const { types, ...rest } = query;
    return this.#ask("GET", ["tasks", task, "search"], { ...rest, type: types });
  }

  /** How many activities these tasks (at most 100) had in each minute of the last half hour. */
  rates(tasks: readonly string[]): Promise<Rates> {
    return this.#ask("GET", ["rates"], { task: tasks });
  }

  async invocations(task: string): Promise<readonly Invocation[]> {
    const { invocations } = await this.#ask<{ invocations: readonly Invocation[] }>("GET", ["tasks", task, "invocations"]);
    return invocations;
  }

  invocation(task: string, invocation: string): Promise<Invocation> {
    return this.#ask("GET", ["tasks", task, "invocations", invocation]);
  }

  /** What stands for the token in an address, once and for half a minute: for `EventSource`, and for links that download. */
  async ticket(): Promise<string> {
    const { ticket } = await this.#ask<{ ticket: string }>("POST", ["tickets"]);
    return ticket;
  }

  /** One request; a second one if the hub wants a new token and there is somebody to ask for it. */
  async #ask<T>(method: string, path: readonly string[], query: Query = {}, body?: object): Promise<T> {
    const more = body === undefined ? {} : { body: JSON.stringify(body) };
    const token = await this.#tokens.current();
    try {
      return (await this.#http.send(method, path, query, token, more)) as T;
    } catch (error) {
      if (!(error instanceof TasklightError) || error.status !== 401 || !this.#tokens.isRenewable) throw error;
      this.#tokens.refuse(token);
      return (await this.#http.send(method, path, query, await this.#tokens.current(), more)) as T;
    }
  }
}
