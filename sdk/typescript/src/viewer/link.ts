/**
 * One connection after another, without I/O: when to connect, when a connection is dead, when to come back, and when not to. Times are
 * epoch milliseconds and come from outside.
 */
import { Backoff } from "../backoff.js";
import type { LinkState } from "./state.js";

/** The bounds of the wait before a connection is made anew. */
export const RECONNECT_FIRST_MS = 250;
export const RECONNECT_MOST_MS = 5_000;

/** The longest wait that a hub may ask for when it stops. */
export const LONGEST_DRAIN_MS = 60_000;

/** A connection that held for so long was a good one: the next failure starts with a short wait again. */
export const STEADY_MS = 10_000;

/** How long making a connection may take, its token included. */
export const CONNECT_MS = 10_000;

/** A ping that is not answered within this means that the connection is dead. */
export const PROBE_MS = 5_000;

/** Silence for so many heartbeats is a reason to ask. */
export const SILENT_HEARTBEATS = 1.5;

/** Without a connection for so long, it is called offline. */
export const OFFLINE_MS = 15_000;

/** How often in a row a token may be refused before it is taken for denied. */
export const TOKEN_TRIES = 3;

const HEARTBEAT_MS = 25_000;

type Phase =
  | { readonly is: "idle" }
  | { readonly is: "connecting"; readonly due: number }
  | { readonly is: "open"; readonly since: number }
  | { readonly is: "waiting"; readonly until: number }
  | { readonly is: "denied"; readonly code: "unauthorized" | "forbidden"; readonly reason: string };

/** What the clock asks for. */
export type LinkStep = "connect" | "ping" | "break" | undefined;

export class Link {
  readonly #backoff: Backoff;
  /** Whether there is somebody to ask for a new token. */
  readonly #renewable: boolean;
  #phase: Phase = { is: "idle" };
  #heartbeatMs = HEARTBEAT_MS;
  #heardAt = 0;
  #probeDue: number | undefined;
  /** A probe whose time went by unseen was repeated; it is not a second time. */
  #repeated = false;
  #advice: number | undefined;
  /** It waits because the hub asked for it. */
  #advised = false;
  #tokenTries = 0;
  #lost: { readonly since: number; readonly reason: string } | undefined;

  constructor(renewable: boolean, random: () => number) {
    this.#renewable = renewable;
    this.#backoff = new Backoff(RECONNECT_FIRST_MS, RECONNECT_MOST_MS, random);
  }

  get is(): Phase["is"] {
    return this.#phase.is;
  }

  get heartbeatMs(): number {
    return this.#heartbeatMs;
  }

  /** Why the last connection ended, or could not be made. */
  get trouble(): string {
    return this.#lost?.reason ?? "";
  }

  start(now: number): void {
    this.#phase = { is: "connecting", due: now + CONNECT_MS };
  }

  opened(now: number): void {
    this.#phase = { is: "open", since: now };
    this.#heardAt = now;
    this.#probeDue = undefined;
    this.#repeated = false;
  }

  heard(now: number): void {
    this.#heardAt = now;
    this.#probeDue = undefined;
    this.#repeated = false;
  }

  /** The hub's first words. */
  hello(heartbeatMs: number): void {
    this.#heartbeatMs = Math.max(1, heartbeatMs);
  }

  /** A subscription was confirmed: the token, if one is needed, is good, and there is a connection in every sense. */
  trusted(): void {
    this.#tokenTries = 0;
    this.#lost = undefined;
  }

  drain(reconnectAfterMs: number): void {
    this.#advice = Math.min(reconnectAfterMs, LONGEST_DRAIN_MS);
  }

  /** The connection was closed, by the close codes of the protocol. */
  closed(code: number, reason: string, now: number): void {
    const words = reason === "" ? `the connection was closed (${code.toString()})` : `${reason} (${code.toString()})`;
    const spent = !this.#renewable || TOKEN_TRIES <= this.#tokenTries;
    if (code === 4403) this.#phase = { is: "denied", code: "forbidden", reason: words };
    else if (code === 4401 && spent) this.#phase = { is: "denied", code: "unauthorized", reason: words };
    else {
      if (code === 4401) this.#tokenTries += 1;
      this.lost(words, now);
    }
  }

  /** There is no connection any more, or none could be made: come back after a while. */
  lost(reason: string, now: number): void {
    if (this.#phase.is === "open" && STEADY_MS <= now - this.#phase.since) this.#backoff.reset();
    // At a drain the hub spreads its clients itself; after that, jitter does.
    const wait = this.#advice ?? this.#backoff.next();
    this.#advised = this.#advice !== undefined;
    this.#advice = undefined;
    // While nobody knows whether it is there, what was last heard of it is all that is certain.
    const since = this.#phase.is === "open" && this.#probeDue !== undefined ? this.#heardAt : now;
    this.#lost = { since: this.#lost?.since ?? since, reason };
    this.#phase = { is: "waiting", until: now + wait };
  }

  /** Nobody wants a connection any more. */
  stop(): void {
    this.#phase = { is: "idle" };
    this.#lost = undefined;
  }

  /** Something gives reason to look: the network came back, the page is seen again. Gives what to do at once. */
  nudge(now: number): LinkStep {
    if (this.#phase.is === "waiting" && !this.#advised) {
      this.#backoff.reset();
      return "connect";
    }
    return this.#phase.is === "open" ? this.#probe(now) : undefined;
  }

  get due(): number | undefined {
    switch (this.#phase.is) {
      case "connecting":
        return this.#phase.due;
      case "waiting":
        return this.#phase.until;
      case "open":
        return this.#probeDue ?? this.#heardAt + this.#heartbeatMs * SILENT_HEARTBEATS;
      default:
        return undefined;
    }
  }

  /** When the state changes by time alone. */
  get offlineAt(): number | undefined {
    return this.#lost && this.#lost.since + OFFLINE_MS;
  }

  /** Looks at the clock. `late` if it was not looked at for too long for silence to mean anything. */
  tick(now: number, late: boolean): LinkStep {
    if (this.due === undefined || now < this.due) return undefined;
    switch (this.#phase.is) {
      case "waiting":
        return "connect";
      case "open":
        if (this.#probeDue === undefined) return this.#probe(now);
        if (!late || this.#repeated) return "break";
        this.#repeated = true;
        return this.#probe(now);
      default:
        return "break";
    }
  }

  state(now: number): LinkState {
    if (this.#phase.is === "denied") return { kind: "denied", code: this.#phase.code, reason: this.#phase.reason };
    // Until a subscription is confirmed nothing is back.
    if (this.#lost) return { kind: now - this.#lost.since < OFFLINE_MS ? "reconnecting" : "offline", ...this.#lost };
    return { kind: this.#phase.is === "open" ? "open" : "connecting" };
  }

  #probe(now: number): LinkStep {
    this.#probeDue = now + PROBE_MS;
    return "ping";
  }
}
