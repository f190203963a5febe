/**
 * Server-Sent Events by `fetch` as a transport, where there is no WebSocket: one stream for each task, and the list of tasks by asking
 * for it again and again. To the session it speaks as the WebSocket does; when one stream breaks, all are made anew.
 */
import type { Http } from "../http.js";
import { TasklightError } from "../error.js";
import type { TaskSummary } from "../task.js";
import { EventReader } from "./event-stream.js";
import type { Start } from "./place.js";
import { ABNORMAL, type Transport, type TransportEvents } from "./transport.js";

/** A stream in which not even a comment came for so long is dead. Hubs send one every 25 s. */
export const SILENCE_MS = 60_000;

/** How often the list of tasks is asked for. */
export const LIST_MS = 3_000;

/** The most tasks of the list that are looked at. */
export const LIST_TASKS = 1_000;

/** Never so short that the session would ask whether anybody is there: the streams are watched here. */
const HEARTBEAT_MS = 24 * 60 * 60 * 1000;

/** What a status means in the words of the session. */
const CLOSE_CODES: ReadonlyMap<number, number> = new Map([[401, 4401], [403, 4403]]);

interface Request extends Start {
  readonly op: string;
  readonly task?: string;
  readonly types?: readonly string[];
  readonly invocation?: string;
  readonly series?: string;
}

export function openStreams(http: Http, token: string | undefined, events: TransportEvents): Transport {
  const streams = new Streams(http, token, events);
  queueMicrotask(() => {
    streams.hello();
  });
  return streams;
}

class Streams implements Transport {
  readonly #http: Http;
  readonly #token: string | undefined;
  readonly #events: TransportEvents;
  readonly #streams = new Map<string, AbortController>();
  #list: AbortController | undefined;
  #closed = false;

  constructor(http: Http, token: string | undefined, events: TransportEvents) {
    this.#http = http;
    this.#token = token;
    this.#events = events;
  }

  hello(): void {
    if (this.#closed) return;
    this.#events.opened();
    this.#say({ op: "hello", heartbeatMs: HEARTBEAT_MS });
  }

  send(text: string): void {
    const request = JSON.parse(text) as Request;
    if (request.op === "ping") {
      // The streams themselves are watched; there is nobody to ask here.
      queueMicrotask(() => {
        this.#say({ op: "pong", timestamp: Date.now() });
      });
    } else if (request.task === undefined) this.#listen(request.op === "subscribe");
    else if (request.op === "subscribe") void this.#follow(request.task, request);
    else this.#leave(request.task);
  }

  close(): void {
    this.#closed = true;
    for (const stream of this.#streams.values()) stream.abort();
    this.#list?.abort();
  }

  #say(message: object): void {
    if (!this.#closed) this.#events.heard(JSON.stringify(message));
  }

  #end(code: number, reason: string): void {
    if (this.#closed) return;
    this.close();
    this.#events.closed(code, reason);
  }

  #fail(error: unknown): void {
    const asked = error instanceof TasklightError ? error.details["retryAfterMs"] : undefined;
    if (typeof asked === "number") this.#say({ op: "drain", reconnectAfterMs: asked });
    const code = error instanceof TasklightError && error.status !== undefined ? CLOSE_CODES.get(error.status) : undefined;
    this.#end(code ?? ABNORMAL, error instanceof Error ? error.message : String(error));
  }

  #leave(task: string): void {
    this.#streams.get(task)?.abort();
    this.#streams.delete(task);
    queueMicrotask(() => {
      this.#say({ op: "unsubscribed", task, reason: "requested" });
    });
  }

  async #follow(task: string, request: Request): Promise<void> {
    const stream = new AbortController();
    this.#streams.set(task, stream);
    const { after, last, types, invocation, series } = request;
    const query = { after, last, type: types, invocation, series };
    try {
      const answer = await this.#http.open(["tasks", task, "stream"], query, this.#token, stream.signal);
      await this.#read(task, answer, stream);
    } catch (error) {
      if (stream.signal.aborted && this.#streams.get(task) !== stream) return;
      if (error instanceof TasklightError && error.status === 400) this.#say({ op: "error", code: error.code, message: error.message, task });
      else this.#fail(error);
    }
  }

  async #read(task: string, answer: ReadableStream<Uint8Array>, stream: AbortController): Promise<void> {
    const reader = answer.pipeThrough(new TextDecoderStream() as ReadableWritablePair<string, Uint8Array>).getReader();
    const events = new EventReader();
    for (;;) {
      const silence = setTimeout(() => {
        this.#end(ABNORMAL, "nothing was heard of the hub");
      }, SILENCE_MS);
      const { value, done } = await reader.read().finally(() => {
        clearTimeout(silence);
      });
      if (this.#closed || this.#streams.get(task) !== stream) return;
      if (done) break;
      for (const heard of events.read(value)) {
        // Nothing of an old stream may follow once a message has ended it.
        if (this.#streams.get(task) !== stream) return;
        if (heard !== "comment") this.#take(task, heard.data);
      }
    }
    if (this.#streams.get(task) === stream) this.#end(ABNORMAL, "a stream ended");
  }

  #take(task: string, text: string): void {
    // A deleted task ends its stream, and that alone is not the end of the others.
    if (text.startsWith('{"op":"unsubscribed"')) this.#streams.delete(task);
    if (!this.#closed) this.#events.heard(text);
  }

  #listen(wanted: boolean): void {
    this.#list?.abort();
    this.#list = wanted ? new AbortController() : undefined;
    if (this.#list) void this.#ask(this.#list.signal);
  }

  /** Says what changed since the last answer, until it is told to stop. */
  async #ask(signal: AbortSignal): Promise<void> {
    let known: ReadonlyMap<string, string> | undefined;
    try {
      while (!signal.aborted) {
        const { tasks } = await this.#http.get<{ tasks: readonly TaskSummary[] }>(["tasks"], { limit: LIST_TASKS }, this.#token, signal);
        const found = new Map(tasks.map((task) => [task.taskId, JSON.stringify(task)]));
        for (const task of tasks) if (known?.get(task.taskId) !== found.get(task.taskId)) this.#say({ op: "task", ...task });
        if (known === undefined) this.#say({ op: "live", list: "tasks" });
        // One that is not among the newest of a long list may still be there.
        else if (tasks.length < LIST_TASKS) {
          for (const taskId of known.keys()) if (!found.has(taskId)) this.#say({ op: "task", taskId, deleted: true });
        }
        known = found;
        await new Promise((resolve) => setTimeout(resolve, LIST_MS));
      }
    } catch (error) {
      if (!signal.aborted) this.#fail(error);
    }
  }
}
