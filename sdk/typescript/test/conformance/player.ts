// Plays one scenario of the shared list against a real hub, by this package.
import { expect, onTestFinished } from "vitest";
import { WebSocket } from "ws";
import { type NewActivity, Publisher, TasklightError } from "../../src/publisher.js";
import type { InvocationPublisher } from "../../src/publisher.js";
import { type FollowOptions, type Following, type State, Viewer } from "../../src/viewer.js";
import type { Hub } from "../hub.js";
import { within } from "../hub.js";
import { fill, type Json, match, text, type Values } from "./matching.js";
import type { Proxy } from "./proxy.js";

export type Step = Readonly<Record<string, Json>>;

/** The keys of each verb, besides `do`, `expect` and `statuses`. */
const KEYS: Readonly<Record<string, readonly string[]>> = {
  request: ["method", "path", "body", "text", "headers"], publish: ["activities", "each", "task"],
  follow: ["as", "from", "types", "invocation", "series"], events: ["of"], cursor: ["of"], close: ["of"],
  cut: [], mend: [], kill: [], stop: [], start: [], trim: ["floor"],
  begin: ["as", "agent", "title"], say: ["of", "what", "args"], end: ["of", "how", "reason"],
};

/** Events that may come at any time. */
const AT_ANY_TIME = new Set(["live", "reconnecting"]);

interface Seen {
  readonly following: Following;
  readonly events: Json[];
  ended: TasklightError | undefined;
  wake: () => void;
}

export class Player {
  readonly #hub: Hub;
  readonly #proxy: Proxy | undefined;
  readonly #task: string;
  readonly #socket: typeof WebSocket | null;
  readonly #values: Values;
  readonly #viewers = new Map<string, Seen>();
  readonly #runs = new Map<string, InvocationPublisher>();
  #publisher: Publisher | undefined;

  constructor(hub: Hub, proxy: Proxy | undefined, task: string, socket: typeof WebSocket | null) {
    this.#hub = hub;
    this.#proxy = proxy;
    this.#task = task;
    this.#socket = socket;
    this.#values = new Map([["task", task]]);
  }

  async play(step: Step): Promise<void> {
    const verb = text(step["do"]);
    const allowed = KEYS[verb];
    if (!allowed) throw new Error(`the verb ${verb} is not known here`);
    const unknown = Object.keys(step).filter((key) => !["do", "expect", "statuses", ...allowed].includes(key));
    if (unknown.length !== 0) throw new Error(`${verb}: the keys ${unknown.join()} are not known here`);
    await this.#do(verb, step);
    if (step["statuses"] !== undefined) await this.#statuses(step["statuses"]);
  }

  async #do(verb: string, step: Step): Promise<void> {
    switch (verb) {
      case "request": return this.#request(step);
      case "publish": return this.#publish(step);
      case "follow": return this.#follow(step);
      case "events": return this.#events(this.#viewer(step), step["expect"] as readonly Step[]);
      case "cursor": match(step["expect"] ?? null, this.#viewer(step).following.cursor, this.#values, "cursor"); return;
      case "close": this.#viewer(step).following.close(); return;
      case "cut": this.#proxy?.cut(); return;
      case "mend": this.#proxy?.mend(); return;
      case "kill": return this.#hub.end("SIGKILL");
      case "stop": return this.#hub.end("SIGTERM");
      case "start": return this.#hub.start();
      case "trim": this.#hub.trim(this.#task, Number(step["floor"])); return;
      default: return this.#run(verb, step);
    }
  }

  async #request(step: Step): Promise<void> {
    const { method, path, body, text: sent, headers } = fill({ ...step, expect: null }, this.#values) as Record<string, Json>;
    const content = sent === undefined ? (body === undefined ? undefined : JSON.stringify(body)) : text(sent);
    const answer = await fetch(this.#hub.url + text(path), {
      method: text(method),
      ...(content !== undefined && { body: content }),
      ...(headers !== undefined && { headers: headers as Record<string, string> }),
    });
    const said = await answer.text();
    const { status, body: wanted, headers: heads, contains, lacks, ...rest } = step["expect"] as Record<string, Json>;
    expect(Object.keys(rest), "what is expected of an answer").toEqual([]);
    expect(answer.status, said).toBe(status);
    if (wanted !== undefined) match(wanted, JSON.parse(said), this.#values, "body");
    if (heads !== undefined) match(heads, Object.fromEntries(answer.headers), this.#values, "headers");
    for (const part of (contains ?? []) as string[]) expect(said).toContain(fill(part, this.#values));
    for (const part of (lacks ?? []) as string[]) expect(said).not.toContain(fill(part, this.#values));
  }

  async #publish(step: Step): Promise<void> {
    const publisher = step["task"] === undefined ? this.#own() : this.#made(text(fill(step["task"], this.#values)));
    const outcomes = this.#activities(step).map((activity) => this.#one(publisher, activity));
    const results = await within(Promise.all(outcomes), "all results");
    const { results: wanted, offsets, error, ...rest } = step["expect"] as Record<string, Json>;
    expect(Object.keys(rest), "what is expected of publishing").toEqual([]);
    if (wanted !== undefined) match(wanted, results, this.#values, "results");
    if (offsets !== undefined) {
      const [from, to] = offsets as [number, number];
      expect(results.map((result) => (result as { offset?: number }).offset)).toEqual(range(from, to));
    }
    // What is refused as a whole is refused for each.
    if (error !== undefined) for (const result of results) match({ error }, result, this.#values, "error");
  }

  #activities(step: Step): readonly Json[] {
    const templates = step["activities"] as readonly Json[];
    if (step["each"] === undefined) return templates.map((one) => fill(one, this.#values));
    const [from, to] = step["each"] as [number, number];
    return range(from, to).map((i) => {
      const numbered: Values = new Map([...this.#values, ["i", i.toString()], ["hex", i.toString(16).padStart(12, "0")]]);
      return fill(templates[0] ?? null, numbered);
    });
  }

  async #one(publisher: Publisher, activity: Json): Promise<unknown> {
    const { type, invocationId } = activity as Record<string, Json>;
    if (type === "heartbeat") {
      publisher.heartbeat(text(invocationId));
      return { heartbeat: true };
    }
    return publisher.publish(activity as unknown as NewActivity).catch((error: unknown) => {
      if (!(error instanceof TasklightError)) throw error;
      return { error: { code: error.code, field: error.field, status: error.status } };
    });
  }

  #own(): Publisher {
    this.#publisher ??= this.#made(this.#task);
    return this.#publisher;
  }

  #made(task: string): Publisher {
    const made = new Publisher({ hub: this.#hub.url, task, closeMs: 0 });
    onTestFinished(() => made.close());
    return made;
  }

  async #follow(step: Step): Promise<void> {
    const { as, from, types, invocation, series } = fill({ ...step, expect: null }, this.#values) as Record<string, Json>;
    const viewer = new Viewer({ hub: this.#proxy?.url ?? this.#hub.url, WebSocket: this.#socket });
    onTestFinished(() => { viewer.close(); });
    let wake: () => void = () => undefined;
    const events: Json[] = [];
    const options = {
      ...(typeof from === "string" ? { after: from } : (from as object)),
      ...(types !== undefined && { types }), ...(invocation !== undefined && { invocation }), ...(series !== undefined && { series }),
      onState: (state: State) => {
        if (state.kind === "reconnecting") events.push({ event: "reconnecting" });
        wake();
      },
      onEnd: (error?: TasklightError) => {
        seen.ended = error;
        wake();
      },
      onReady: () => { wake(); },
    } as FollowOptions;
    const seen: Seen = { following: viewer.follow(this.#task, options), events, ended: undefined, wake: () => { wake(); } };
    this.#viewers.set(text(as), seen);
    const begun = (): boolean => seen.ended !== undefined || ["live", "catchingUp", "waiting"].includes(seen.following.state.kind);
    while (!begun()) await within(new Promise<void>((resolve) => (wake = resolve)), "the subscription");
    const expected = (step["expect"] as { error?: Json } | undefined)?.error;
    if (expected !== undefined) match(expected, { code: seen.ended?.code, field: seen.ended?.field }, this.#values, "error");
    else if (seen.ended) throw seen.ended;
  }

  #viewer(step: Step): Seen {
    const seen = this.#viewers.get(text(step["of"]));
    if (!seen) throw new Error(`there is no viewer ${text(step["of"])}`);
    return seen;
  }

  async #events(seen: Seen, expected: readonly Step[]): Promise<void> {
    const list = expected.flatMap((one) => (one["event"] === "activities"
      ? range(Number(one["from"]), Number(one["to"])).map((offset): Step => ({ event: "activity", offset }))
      : [one]));
    for (const wanted of list) {
      // A place that moved over what is not wanted is no item here: it is where the viewer stands.
      if (wanted["event"] === "cursor") await this.#stands(seen, Number(wanted["offset"]));
      else await this.#event(seen, wanted);
    }
  }

  async #stands(seen: Seen, offset: number): Promise<void> {
    const place = (): string => seen.following.cursor?.split("-")[1] ?? "";
    await expect.poll(place, { timeout: 30_000 }).toBe(offset.toString());
  }

  async #event(seen: Seen, wanted: Step): Promise<void> {
    for (;;) {
      const came = await this.#next(seen);
      const name = (came as { event: string }).event;
      const fits = name === wanted["event"] && (name !== "live" || (came as { offset: number }).offset === wanted["offset"]);
      if (!fits && AT_ANY_TIME.has(name)) continue;
      match(wanted, came, this.#values, "event");
      return;
    }
  }

  async #next(seen: Seen): Promise<Json> {
    const waiting = seen.events.shift();
    if (waiting !== undefined) return waiting;
    const { value: item, done } = await within(seen.following.next(), "the next event");
    if (done === true) throw new Error("nothing more comes");
    switch (item.kind) {
      case "activity": return { event: "activity", ...item.activity } as unknown as Json;
      case "deleted": return { event: "unsubscribed", reason: "deleted" };
      default: {
        const { kind, ...rest } = item;
        return { event: kind, ...rest };
      }
    }
  }

  async #run(verb: string, step: Step): Promise<void> {
    const { as, agent, title, of, what, args, how, reason } = fill({ ...step, expect: null }, this.#values) as Record<string, string | undefined>;
    if (verb === "begin") {
      const run = this.#own().begin({ id: as ?? "", ...(agent !== undefined && { agent }), ...(title !== undefined && { title }) });
      this.#runs.set(run.id, run);
    } else {
      const run = this.#runs.get(of ?? "");
      if (!run) throw new Error(`there is no run ${text(of)}`);
      if (verb === "say") await run.publish(what as "custom", args as unknown as Record<string, unknown>);
      else if (how === "failed") await run.failed(new Error(reason));
      else await run[how as "completed" | "cancelled"](reason === undefined ? {} : { reason });
    }
    await within(this.#own().flush(), "everything stored");
  }

  async #statuses(wanted: Json): Promise<void> {
    const answer = await fetch(`${this.#hub.url}/v1/tasks/${this.#task}`);
    const { invocations } = (await answer.json()) as { invocations: { invocationId: string; status: string }[] };
    expect(Object.fromEntries(invocations.map(({ invocationId, status }) => [invocationId, status]))).toEqual(wanted);
  }
}

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from + 1 }, (_, n) => from + n);
}
