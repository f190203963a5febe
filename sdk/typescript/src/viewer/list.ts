/**
 * The followed list of tasks, without I/O. The hub does not confirm the end of this subscription, so a ping marks it: what comes before its
 * pong is old.
 */
import type { ListItem } from "./item.js";
import type { ListMessage } from "./protocol.js";

type Wire =
  | { readonly is: "idle" }
  | { readonly is: "following" }
  /** Until the pong of this number. */
  | { readonly is: "leaving"; readonly pong: number };

export class ListFollower {
  #wire: Wire = { is: "idle" };
  #paused = false;
  #closed = false;
  #live = false;

  get isClosed(): boolean {
    return this.#closed;
  }

  get isOver(): boolean {
    return this.#closed && this.#wire.is === "idle";
  }

  get isLive(): boolean {
    return this.#live && this.#wire.is === "following";
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
  }

  close(): void {
    this.#closed = true;
  }

  disconnected(): void {
    this.#wire = { is: "idle" };
    this.#live = false;
  }

  /** Whether to subscribe or to leave now; `leave` must be followed by a ping whose number is told to `left`. */
  wants(): "subscribe" | "leave" | undefined {
    const wanted = !this.#paused && !this.#closed;
    if (wanted && this.#wire.is === "idle") {
      this.#wire = { is: "following" };
      this.#live = false;
      return "subscribe";
    }
    return !wanted && this.#wire.is === "following" ? "leave" : undefined;
  }

  left(pong: number): void {
    this.#wire = { is: "leaving", pong };
    this.#live = false;
  }

  hearPong(number: number): void {
    if (this.#wire.is === "leaving" && this.#wire.pong <= number) this.#wire = { is: "idle" };
  }

  hear(message: ListMessage): ListItem | undefined {
    if (this.#wire.is !== "following") return undefined;
    switch (message.op) {
      case "task":
        return { kind: "task", task: message.summary };
      case "gone":
        return { kind: "gone", taskId: message.taskId };
      case "listLive":
        this.#live = true;
        return { kind: "live" };
    }
  }
}
