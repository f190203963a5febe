/** One run of an agent, from its beginning to its end. */
import type { ActivityType, Data, Receipt } from "../activity.js";
import { asyncDispose } from "../dispose.js";
import type { Publisher } from "../publisher.js";

/** A run that has published nothing for so long says that it is alive. */
export const HEARTBEAT_MS = 10_000;

const LONGEST_REASON = 1_000;

/** What is known of a run when it begins. */
export interface InvocationOptions {
  /** Its id; made here if left out. A run that has ended is not begun again. */
  readonly id?: string;
  readonly agent?: string;
  readonly title?: string;
}

/** How a run ended. */
export interface End {
  readonly exitCode?: number;
  readonly reason?: string;
}

/** Publishes the activities of one run. Each method gives the receipt, which need not be waited for. */
export class InvocationPublisher {
  readonly id: string;
  readonly #publisher: Publisher;
  readonly #timer: ReturnType<typeof setInterval>;
  #quiet = false;
  #ended = false;

  constructor(publisher: Publisher, id: string, options: InvocationOptions) {
    this.id = id;
    this.#publisher = publisher;
    const { agent, title } = options;
    void this.publish("status", { status: "running", ...(agent !== undefined && { agent }), ...(title !== undefined && { title }) });
    this.#timer = setInterval(() => {
      if (this.#quiet) publisher.heartbeat(id);
      this.#quiet = true;
    }, HEARTBEAT_MS);
    // In Node a timer is an object; this one is no reason to stay.
    (this.#timer as { unref?: () => void }).unref?.();
  }

  publish(type: ActivityType, data: Data = {}): Promise<Receipt> {
    this.#quiet = false;
    return this.#publisher.publish({ invocationId: this.id, type, data });
  }

  message(text: string, role = "assistant"): Promise<Receipt> {
    return this.publish("message", { role, text });
  }

  output(text: string, stream: "stdout" | "stderr" = "stdout"): Promise<Receipt> {
    return this.publish("output", { stream, text });
  }

  progress(progress: { percent?: number; current?: number; total?: number; text?: string }): Promise<Receipt> {
    return this.publish("progress", progress);
  }

  completed(end: End = {}): Promise<Receipt> {
    return this.#end("completed", end);
  }

  /** It failed: by what was thrown, or as described. */
  failed(cause: unknown, end: End = {}): Promise<Receipt> {
    const reason = cause instanceof Error ? cause.message : String(cause);
    return this.#end("failed", { reason: reason.slice(0, LONGEST_REASON), ...end });
  }

  cancelled(end: End = {}): Promise<Receipt> {
    return this.#end("cancelled", end);
  }

  /** For `await using`: an end that nobody gave is none of success, so the run is cancelled; then waits until everything is stored. */
  async [asyncDispose](): Promise<void> {
    if (!this.#ended) void this.cancelled({ reason: "left before it was completed" });
    await this.#publisher.flush();
  }

  #end(status: string, end: End): Promise<Receipt> {
    this.#ended = true;
    clearInterval(this.#timer);
    return this.publish("status", { status, ...end });
  }
}
