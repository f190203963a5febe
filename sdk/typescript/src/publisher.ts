/**
 * Publishing to a task over HTTP: in order, in batches, again and again until the hub has given a receipt. What is sent again is stored once,
 * because each activity has its `eventId` from the moment it is published here.
 */
import type { NewActivity, Receipt } from "./activity.js";
import { Backoff } from "./backoff.js";
import { asyncDispose } from "./dispose.js";
import { TasklightError } from "./error.js";
import { newEventId } from "./event-id.js";
import { Http, hubAddress, type HubOptions, TokenKeeper } from "./http.js";
import { fateOf, settle } from "./publisher/delivery.js";
import { InvocationPublisher, type InvocationOptions } from "./publisher/invocation.js";
import { type Entry, Queue } from "./publisher/queue.js";

export type { Activity, ActivityType, Data, NewActivity, Receipt, Status } from "./activity.js";
export type { HubOptions, Token } from "./http.js";
export { InvocationPublisher, type End, type InvocationOptions } from "./publisher/invocation.js";
export { TasklightError } from "./error.js";
export { newEventId } from "./event-id.js";

/** The most activities and bytes that wait, unless the options say otherwise. */
export const QUEUE_ITEMS = 10_000;
export const QUEUE_BYTES = 8 * 1024 * 1024;

/** For how long an activity is tried, and for how long `close` waits, unless the options say otherwise. */
export const PATIENCE_MS = 600_000;
export const CLOSE_MS = 10_000;

/** The most activities and bytes of one request; a hub takes 1,000 and 4 MiB. */
export const BATCH_ITEMS = 500;
export const BATCH_BYTES = 1024 * 1024;

/** The bounds of the wait before a request is made again. */
export const RETRY_FIRST_MS = 250;
export const RETRY_MOST_MS = 30_000;

/** What may be sent while the page goes away: browsers allow 64 KiB. */
export const KEEPALIVE_BYTES = 60 * 1024;

/** How often in a row a new token is tried. */
const TOKEN_TRIES = 3;

/** The most runs whose heartbeats wait. */
const HEARTBEATS = 1_000;

/** A publisher's task and bounds. */
export interface PublisherOptions extends HubOptions {
  readonly task: string;
  /** The most activities that wait; 10,000 if left out. */
  readonly queueItems?: number;
  /** The most bytes that wait; 8 MiB if left out. */
  readonly queueBytes?: number;
  /** For how long an activity is tried; 10 minutes if left out. */
  readonly patienceMs?: number;
  /** For how long `close` waits for receipts; 10 seconds if left out. */
  readonly closeMs?: number;
  /** An activity was refused or given up, whether or not somebody waits for its receipt. */
  readonly onError?: (error: TasklightError, activity: NewActivity) => void;
}

export class Publisher {
  readonly #http: Http;
  readonly #tokens: TokenKeeper;
  readonly #task: string;
  readonly #options: PublisherOptions;
  readonly #queue: Queue;
  readonly #backoff = new Backoff(RETRY_FIRST_MS, RETRY_MOST_MS);
  readonly #heartbeats = new Set<string>();
  readonly #stop = new AbortController();
  readonly #encoder = new TextEncoder();
  readonly #unwatch: () => void;
  #sending: Promise<void> | undefined;
  #batchItems = BATCH_ITEMS;
  #tokenTries = 0;
  #closed = false;

  constructor(options: PublisherOptions) {
    this.#http = new Http(hubAddress(options));
    this.#tokens = new TokenKeeper(options.token);
    this.#task = options.task;
    this.#options = options;
    this.#queue = new Queue({ items: options.queueItems ?? QUEUE_ITEMS, bytes: options.queueBytes ?? QUEUE_BYTES });
    this.#unwatch = onPageHide(() => void this.#sendLast());
  }

  /** How many activities have no receipt yet. */
  get waiting(): number {
    return this.#queue.size;
  }

  /**
   * Publishes an activity. The receipt comes once it is stored; it is rejected with the hub's code if the hub refuses it, with `publisher_full` at
   * once if too much waits (then `flush` first), with `gave_up` after `patienceMs`. Nobody has to wait for it.
   */
  publish(activity: NewActivity): Promise<Receipt> {
    const receipt = this.#enqueue(activity);
    receipt.catch((error: unknown) => {
      if (error instanceof TasklightError) this.#options.onError?.(error, activity);
    });
    return receipt;
  }

  /** Says that a run is alive. Never queued twice, and not said again if it does not arrive. */
  heartbeat(invocationId: string): void {
    if (this.#closed || HEARTBEATS <= this.#heartbeats.size) return;
    this.#heartbeats.add(invocationId);
    void this.#wake();
  }

  /** Begins a run; whoever begins it says how it ended. */
  begin(options: InvocationOptions = {}): InvocationPublisher {
    return new InvocationPublisher(this, options.id ?? newEventId(), options);
  }

  /** A run from beginning to end: completed when `work` is, failed with what it throws. Does not wait for receipts: `flush` or `close` do. */
  async invocation<T>(work: (run: InvocationPublisher) => T | Promise<T>, options: InvocationOptions = {}): Promise<T> {
    const run = this.begin(options);
    try {
      const value = await work(run);
      void run.completed();
      return value;
    } catch (error) {
      void run.failed(error);
      throw error;
    }
  }

  /** Waits until everything published is stored or refused, and nothing waits any more. */
  async flush(): Promise<void> {
    while (this.#queue.size !== 0) await this.#wake();
  }

  /** Waits for what is on its way, at most `closeMs`, and gives up on the rest. */
  async close(): Promise<void> {
    this.#closed = true;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<void>((resolve) => (timer = setTimeout(resolve, this.#options.closeMs ?? CLOSE_MS)));
    await Promise.race([this.flush(), late]);
    clearTimeout(timer);
    this.#stop.abort();
    this.#unwatch();
    this.#queue.expire(Number.POSITIVE_INFINITY, new TasklightError("closed", "the publisher was closed before this was stored"));
  }

  [asyncDispose](): Promise<void> {
    return this.close();
  }

  #enqueue(activity: NewActivity): Promise<Receipt> {
    if (this.#closed) return Promise.reject(new TasklightError("closed", "the publisher is closed"));
    const now = Date.now();
    const text = encode(activity, now);
    if (text instanceof TasklightError) return Promise.reject(text);
    const bytes = this.#encoder.encode(text).length + 1;
    if (this.#queue.isFullFor(bytes)) {
      return Promise.reject(new TasklightError("publisher_full", `${this.#queue.size.toString()} activities wait already: flush first`));
    }
    const receipt = new Promise<Receipt>((resolve, reject) => {
      this.#queue.add({ text, bytes, queuedAt: now, resolve, reject });
    });
    void this.#wake();
    return receipt;
  }

  /** Sends what waits, if nobody does yet; ends when nothing waits. */
  #wake(): Promise<void> {
    // What is published in one go is sent in one go.
    this.#sending ??= Promise.resolve()
      .then(() => this.#send())
      .finally(() => (this.#sending = undefined));
    return this.#sending;
  }

  async #send(): Promise<void> {
    while ((this.#queue.size !== 0 || this.#heartbeats.size !== 0) && !this.#stop.signal.aborted) {
      const batch = this.#queue.first(this.#batchItems, BATCH_BYTES);
      const beats = [...this.#heartbeats];
      this.#heartbeats.clear();
      const token = await this.#token();
      try {
        if (token instanceof TasklightError) throw token;
        this.#settle(batch, await this.#post(batch, beats, token));
      } catch (error) {
        if (!(error instanceof TasklightError)) throw error;
        if (batch.length !== 0 || error.status === 401) await this.#failed(batch, error, token);
      }
    }
  }

  async #token(): Promise<string | undefined | TasklightError> {
    try {
      return await this.#tokens.current();
    } catch (cause) {
      return new TasklightError("unreachable", "no token was given", { cause });
    }
  }

  async #post(batch: readonly Entry[], beats: readonly string[], token: string | undefined): Promise<unknown> {
    const texts = [...batch.map((entry) => entry.text), ...beats.map((id) => JSON.stringify({ invocationId: id, type: "heartbeat" }))];
    const more = { body: `[${texts.join(",")}]`, signal: this.#stop.signal };
    try {
      return await this.#http.send("POST", ["tasks", this.#task, "activities"], {}, token, more);
    } catch (error) {
      // When all of them were refused, the results come with a problem.
      if (error instanceof TasklightError && error.code === "all_refused") return error.details;
      throw error;
    }
  }

  #settle(batch: readonly Entry[], answer: unknown): void {
    settle(batch, answer);
    this.#queue.drop(batch.length);
    this.#backoff.reset();
    this.#tokenTries = 0;
    this.#batchItems = BATCH_ITEMS;
  }

  async #failed(batch: readonly Entry[], error: TasklightError, token: string | undefined | TasklightError): Promise<void> {
    let fate = fateOf(error);
    if (fate.is === "renew" && this.#tokens.isRenewable && this.#tokenTries < TOKEN_TRIES && !(token instanceof TasklightError)) {
      this.#tokenTries += 1;
      this.#tokens.refuse(token);
      fate = { is: "retry", afterMs: 0 };
    }
    if (fate.is === "split" && 1 < batch.length) this.#batchItems = Math.ceil(batch.length / 2);
    else if (fate.is === "retry") {
      await pause(Math.max(fate.afterMs, this.#backoff.next()), this.#stop.signal);
      const patience = this.#options.patienceMs ?? PATIENCE_MS;
      this.#queue.expire(Date.now() - patience, new TasklightError("gave_up", `not stored within ${patience.toString()} ms`, { cause: error }));
    } else {
      this.#queue.drop(batch.length);
      for (const entry of batch) entry.reject(error);
    }
  }

  /**
   * The page goes away: sends what has no receipt in a request that outlives it. Should the page stay, everything is sent again in the
   * ordinary way, and stored once.
   */
  async #sendLast(): Promise<void> {
    const batch = this.#queue.first(BATCH_ITEMS, KEEPALIVE_BYTES);
    if (batch.length === 0) return;
    const token = await this.#token();
    if (token instanceof TasklightError) return;
    const body = `[${batch.map((entry) => entry.text).join(",")}]`;
    await this.#http.send("POST", ["tasks", this.#task, "activities"], {}, token, { body, keepalive: true }).catch(() => undefined);
  }
}

/** The activity as it is sent, however often. */
function encode(activity: NewActivity, now: number): string | TasklightError {
  if ((activity.type as string) === "heartbeat") {
    return new TasklightError("invalid_argument", "a heartbeat has no receipt: call heartbeat", { field: "type" });
  }
  try {
    return JSON.stringify({ ...activity, eventId: activity.eventId ?? newEventId(now), timestamp: activity.timestamp ?? now });
  } catch (cause) {
    return new TasklightError("invalid_argument", "data cannot be written as JSON", { field: "data", cause });
  }
}

/** Waits so long, or until it is aborted. */
function pause(millis: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(done, millis);
    function done(): void {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    }
    signal.addEventListener("abort", done);
  });
}

/** In a browser: calls when the page is hidden, which is the last thing that a page is sure to hear. Gives what ends it. */
function onPageHide(leave: () => void): () => void {
  const { document } = globalThis as { document?: Document };
  if (!document) return () => undefined;
  const hidden = (): void => {
    if (document.visibilityState === "hidden") leave();
  };
  document.addEventListener("visibilitychange", hidden);
  globalThis.addEventListener("pagehide", leave);
  return () => {
    document.removeEventListener("visibilitychange", hidden);
    globalThis.removeEventListener("pagehide", leave);
  };
}
