/** Requests to a hub: addresses, tokens, time limits, and problem documents as errors. */
import { TasklightError } from "./error.js";

/** A token, or who to ask for one. It is asked at the beginning, and again with the old one when the hub refuses that. */
export type Token = string | ((refused?: string) => string | Promise<string>);

/** What all parts of this package need to know. */
export interface HubOptions {
  /** The hub's address, such as `http://127.0.0.1:8080`; in a browser the page's own origin if left out. */
  readonly hub?: string;
  readonly token?: Token;
}

/** A value for each name; several values for a name that may be repeated. Those that are undefined are left out. */
export type Query = Readonly<Record<string, string | number | readonly string[] | undefined>>;

/** How long a request may take. */
export const REQUEST_MS = 15_000;

/** The hub's address without a slash at its end. */
export function hubAddress(options: HubOptions): string {
  const page = (globalThis as { location?: { origin: string } }).location?.origin;
  const text = options.hub ?? page;
  if (text === undefined || !URL.canParse(text)) {
    throw new TasklightError("invalid_argument", "hub is an address such as http://127.0.0.1:8080", { field: "hub" });
  }
  const { protocol, origin, pathname } = new URL(text);
  if (protocol !== "http:" && protocol !== "https:") {
    throw new TasklightError("invalid_argument", "hub begins with http:// or https://", { field: "hub" });
  }
  return origin + pathname.replace(/\/+$/, "");
}

/** Keeps the token in use, and asks for a new one when it was refused. */
export class TokenKeeper {
  readonly #source: Token | undefined;
  #token: string | undefined;
  #refused = false;

  constructor(source: Token | undefined) {
    this.#source = typeof source === "string" ? sendable(source) : source;
  }

  get isRenewable(): boolean {
    return typeof this.#source === "function";
  }

  async current(): Promise<string | undefined> {
    if (typeof this.#source !== "function") return this.#source;
    if (this.#token === undefined || this.#refused) {
      this.#token = sendable(await this.#source(this.#token));
      this.#refused = false;
    }
    return this.#token;
  }

  /** The hub refused this one; the next is asked for, unless that has happened. */
  refuse(token: string | undefined): void {
    if (token === this.#token) this.#refused = true;
  }
}

/** The token, if it can stand in a header. What the platform says of one that cannot would hold it. */
function sendable(token: string): string {
  if (!/^[!-~]+$/.test(token)) throw new TasklightError("invalid_argument", "token is printable ASCII without spaces", { field: "token" });
  return token;
}

/** Further settings of one request. */
export interface RequestMore {
  readonly body?: string;
  readonly keepalive?: boolean;
  readonly signal?: AbortSignal;
}

export class Http {
  readonly hub: string;

  constructor(hub: string) {
    this.hub = hub;
  }

  /** A JSON answer, or the error that it is. */
  async get<T>(path: readonly string[], query: Query, token: string | undefined, signal?: AbortSignal): Promise<T> {
    return (await this.send("GET", path, query, token, signal ? { signal } : {})) as T;
  }

  /** A request with a time limit, and its JSON answer; nothing if it has no body. */
  async send(method: string, path: readonly string[], query: Query, token: string | undefined, more: RequestMore = {}): Promise<unknown> {
    const limit = AbortSignal.timeout(REQUEST_MS);
    const signal = more.signal ? AbortSignal.any([limit, more.signal]) : limit;
    const answer = await this.#fetch(path, query, token, { ...more, method, signal });
    const text = await answer.text().catch((cause: unknown) => {
      throw unreachable(cause);
    });
    if (!answer.ok) throw problem(answer, text);
    return text === "" ? undefined : parse(text);
  }

  /** The body of an answer that goes on; it ends with the signal only. */
  async open(path: readonly string[], query: Query, token: string | undefined, signal: AbortSignal): Promise<ReadableStream<Uint8Array>> {
    const answer = await this.#fetch(path, query, token, { method: "GET", signal });
    if (!answer.ok) throw problem(answer, await answer.text());
    if (!answer.body) throw new TasklightError("not_a_hub", "the answer has no body", { status: answer.status });
    return answer.body;
  }

  async #fetch(path: readonly string[], query: Query, token: string | undefined, init: RequestInit): Promise<Response> {
    const headers = {
      ...(token !== undefined && { authorization: `Bearer ${token}` }),
      ...(init.body !== undefined && { "content-type": "application/json" }),
    };
    try {
      return await fetch(this.#address(path, query), { ...init, headers });
    } catch (cause) {
      throw unreachable(cause);
    }
  }

  #address(path: readonly string[], query: Query): string {
    const parameters = new URLSearchParams();
    for (const [name, value] of Object.entries(query)) {
      for (const one of Array.isArray(value) ? (value as readonly string[]) : [value]) {
        if (one !== undefined) parameters.append(name, String(one));
      }
    }
    const text = parameters.toString();
    return `${this.hub}/v1/${path.map(encodeURIComponent).join("/")}${text === "" ? "" : `?${text}`}`;
  }
}

function unreachable(cause: unknown): TasklightError {
  const nested = cause instanceof Error && cause.cause instanceof Error ? cause.cause : cause;
  return new TasklightError("unreachable", `the hub does not answer: ${nested instanceof Error ? nested.message : String(nested)}`, { cause });
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new TasklightError("not_a_hub", "the answer is not JSON", { cause });
  }
}

/** The error of an answer that is none; what a proxy says in its own words gets a code of ours. */
function problem(answer: Response, text: string): TasklightError {
  const body = text.startsWith("{") ? (parse(text) as Record<string, unknown>) : {};
  const { code, detail, field, ...rest } = body;
  const retryAfter = Number(answer.headers.get("retry-after") ?? Number.NaN);
  const details = { ...rest, ...(Number.isFinite(retryAfter) && { retryAfterMs: retryAfter * 1000 }) };
  const known = typeof code === "string" ? code : undefined;
  const own = { 401: "unauthorized", 403: "forbidden" }[answer.status] ?? "not_a_hub";
  return new TasklightError(known ?? own, typeof detail === "string" ? detail : `status ${answer.status.toString()}`, {
    status: answer.status,
    field: typeof field === "string" ? field : undefined,
    details,
  });
}
