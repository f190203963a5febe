/**
 * A hub in memory, as the protocol describes one, for tests that need to decide what happens when: logs that grow, lose their beginning, are
 * deleted and made again; a WebSocket that ends; REST through `fetch`. Everything on this side of it is real.
 */
import type { Activity, SocketConstructor, SocketLike, TaskSummary } from "tasklight/viewer";
import type { Chance } from "./random.ts";
import { act, stored } from "./agent.ts";

interface Log {
  epoch: string;
  floor: number;
  activities: Activity[];
}

interface Subscription {
  readonly task: string;
  next: number;
  live: boolean;
}

type Heard = Readonly<Record<string, unknown>> & { readonly op: string; readonly task?: string; readonly after?: string; readonly last?: number };

export class ScriptedHub {
  readonly logs = new Map<string, Log>();
  readonly sockets = new Set<ScriptedSocket>();
  readonly Socket: SocketConstructor;
  /** How many connections were made. */
  connections = 0;
  /** Answers to requests wait while this is set. */
  #held: (() => void)[] | undefined;
  #epochs = 0;

  constructor() {
    const open = (socket: ScriptedSocket): void => {
      this.connections += 1;
      this.sockets.add(socket);
    };
    // eslint-disable-next-line @typescript-eslint/no-this-alias -- a class of its own for each hub
    const hub = this;
    this.Socket = class extends ScriptedSocket {
      constructor() {
        super(hub);
        open(this);
      }
    };
  }

  log(task: string): readonly Activity[] {
    const log = this.logs.get(task);
    return log ? log.activities.filter(({ offset }) => log.floor <= offset) : [];
  }

  /** So many activities more, and whoever follows gets them. */
  publish(task: string, chance: Chance, count: number): void {
    const log = this.#log(task);
    for (let n = 0; n < count; n += 1) log.activities.push(stored(act(chance), log.activities.length + 1, log.epoch, task));
    this.#told(task);
  }

  publishOne(task: string, made: Pick<Activity, "type" | "data" | "invocationId">): void {
    const log = this.#log(task);
    log.activities.push(stored(made, log.activities.length + 1, log.epoch, task));
    this.#told(task);
  }

  /** What is below is no longer kept. */
  trim(task: string, floor: number): void {
    const log = this.#log(task);
    log.floor = Math.max(log.floor, Math.min(floor, log.activities.length + 1));
  }

  delete(task: string): void {
    this.logs.delete(task);
    for (const socket of this.sockets) socket.deleted(task);
  }

  /** Ends all connections. */
  cut(code = 1006): void {
    for (const socket of [...this.sockets]) socket.end(code);
  }

  /** Keeps answers to requests back until `answer`. */
  hold(): void {
    this.#held ??= [];
  }

  answer(): void {
    const held = this.#held ?? [];
    this.#held = undefined;
    for (const go of held) go();
  }

  summary(taskId: string): TaskSummary {
    const log = this.#log(taskId);
    return {
      taskId,
      title: null,
      labels: {},
      status: "running",
      epoch: log.epoch,
      head: log.activities.length,
      floor: log.floor,
      createdAt: 1,
      lastActivityAt: log.activities.length,
      invocationCounts: { running: 1 },
      agents: [],
      stalled: null,
    };
  }

  readonly fetch = async (address: string): Promise<Response> => {
    if (this.#held) await new Promise<void>((resolve) => this.#held?.push(resolve));
    const { pathname, searchParams } = new URL(address);
    const task = /^\/v1\/tasks\/([^/]+)\/activities$/.exec(pathname)?.[1];
    const log = task === undefined ? undefined : this.logs.get(task);
    return log ? this.#page(log, searchParams) : problem(404, "task_not_found");
  };

  #page(log: Log, query: URLSearchParams): Response {
    const limit = Number(query.get("limit") ?? 100);
    const [types, invocation] = [query.getAll("type"), query.get("invocation")];
    const fits = ({ type, invocationId }: Activity): boolean =>
      (types.length === 0 || types.includes(type)) && (invocation === null || invocation === invocationId);
    const kept = log.activities.filter(({ offset }) => log.floor <= offset);
    const place = query.get("before") ?? query.get("after");
    if (place !== null && place.split("-")[0] !== log.epoch) return problem(409, "cursor_reset");
    const offset = Number(place?.split("-")[1] ?? 0);
    const head = log.activities.length;
    const rest = { head, floor: log.floor, epoch: log.epoch };
    if (query.has("before")) {
      const found = kept.filter((one) => one.offset < offset && fits(one));
      const activities = found.slice(-limit);
      const more = activities.length < found.length ? (activities[0]?.offset ?? 0) : undefined;
      return json({ ...rest, activities, next: more === undefined ? null : `${log.epoch}-${more.toString()}` });
    }
    if (place !== null && offset + 1 < log.floor) return problem(410, "cursor_truncated", { floor: log.floor });
    const at = query.get("at");
    const from = query.has("from") ? Number(query.get("from")) : (kept.find((one) => at !== null && Number(at) <= one.timestamp)?.offset ?? Infinity);
    const found = kept.filter((one) => (place === null ? from <= one.offset : offset < one.offset) && fits(one));
    const activities = found.slice(0, limit);
    const last = activities.length < found.length ? activities.at(-1)?.offset : undefined;
    return json({ ...rest, activities, next: last === undefined ? null : `${log.epoch}-${last.toString()}` });
  }

  #log(task: string): Log {
    let log = this.logs.get(task);
    if (!log) {
      this.#epochs += 1;
      log = { epoch: this.#epochs.toString(16).padStart(8, "0"), floor: 1, activities: [] };
      this.logs.set(task, log);
    }
    return log;
  }

  #told(task: string): void {
    for (const socket of this.sockets) socket.advance(task);
  }
}

class ScriptedSocket implements SocketLike {
  onopen: ((event: never) => void) | null = null;
  onmessage: ((event: never) => void) | null = null;
  onerror: ((event: never) => void) | null = null;
  onclose: ((event: never) => void) | null = null;
  readyState = 0;
  readonly #hub: ScriptedHub;
  readonly #followed = new Map<string, Subscription>();
  #list = false;

  constructor(hub: ScriptedHub) {
    this.#hub = hub;
    queueMicrotask(() => {
      this.readyState = 1;
      this.onopen?.({} as never);
      this.#say({ op: "hello", node: "n", heartbeatMs: 25_000, limits: {} });
    });
  }

  send(text: string): void {
    const heard = JSON.parse(text) as Heard;
    queueMicrotask(() => {
      if (this.readyState === 1) this.#hear(heard);
    });
  }

  close(): void {
    this.readyState = 3;
    this.#hub.sockets.delete(this);
  }

  end(code: number): void {
    this.close();
    this.onclose?.({ code, reason: "" } as never);
  }

  /** Says what is new of the task. */
  advance(task: string): void {
    const followed = this.#followed.get(task);
    const log = this.#hub.logs.get(task);
    if (this.#list && log) this.#say({ op: "task", ...this.#hub.summary(task) });
    if (!followed || !log) return;
    if (followed.next < log.floor) {
      this.#say({ op: "truncated", task, floor: log.floor });
      followed.next = log.floor;
    }
    for (const activity of log.activities.slice(followed.next - 1)) this.#say({ op: "activity", ...activity });
    followed.next = log.activities.length + 1;
    if (!followed.live) this.#say({ op: "live", task, offset: log.activities.length });
    followed.live = true;
  }

  deleted(task: string): void {
    if (this.#followed.delete(task)) this.#say({ op: "unsubscribed", task, reason: "deleted" });
    if (this.#list) this.#say({ op: "task", taskId: task, deleted: true });
  }

  #hear(heard: Heard): void {
    const { op, task } = heard;
    if (op === "ping") this.#say({ op: "pong", timestamp: 1 });
    else if (op === "subscribe") {
      if (task === undefined) this.#showList();
      else this.#subscribe(task, heard);
    } else if (op === "unsubscribe") {
      if (task === undefined) this.#list = false;
      else {
        this.#followed.delete(task);
        this.#say({ op: "unsubscribed", task, reason: "requested" });
      }
    }
  }

  #showList(): void {
    this.#list = true;
    for (const task of this.#hub.logs.keys()) this.#say({ op: "task", ...this.#hub.summary(task) });
    this.#say({ op: "live", list: "tasks" });
  }

  #subscribe(task: string, { after, last }: Heard): void {
    const log = this.#hub.logs.get(task);
    if (!log) {
      this.#followed.set(task, { task, next: 1, live: false });
      this.#say({ op: "subscribed", task, epoch: null, floor: 1, head: 0, after: null });
      return;
    }
    const head = log.activities.length;
    const newest = Math.max(log.floor - 1, last === undefined ? 0 : head - last);
    const [epoch, offset] = after?.includes("-") === true ? after.split("-") : [log.epoch, undefined];
    const isReset = epoch !== log.epoch;
    const place = isReset || offset === undefined ? newest : Number(offset);
    this.#followed.set(task, { task, next: place + 1, live: false });
    this.#say({ op: "subscribed", task, epoch: log.epoch, floor: log.floor, head, after: after?.includes("-") === true ? after : `${log.epoch}-${place.toString()}` });
    if (isReset) this.#say({ op: "reset", task, epoch: log.epoch });
    this.advance(task);
  }

  #say(message: object): void {
    const data = JSON.stringify(message);
    queueMicrotask(() => {
      if (this.readyState === 1) this.onmessage?.({ data } as never);
    });
  }
}

const json = (body: object): Response => new Response(JSON.stringify(body), { status: 200 });

const problem = (status: number, code: string, more: object = {}): Response =>
  new Response(JSON.stringify({ code, detail: code, ...more }), { status, headers: { "content-type": "application/problem+json" } });
