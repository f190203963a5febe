// What agents publish in these tests.

/** So many fit into one request. */
const BATCH = 500;

export const message = (text, invocationId = "run-1", more = {}) => ({ invocationId, type: "message", data: { role: "assistant", text }, ...more });
export const status = (to, invocationId = "run-1", more = {}) => ({ invocationId, type: "status", data: { status: to, ...more } });
export const call = (toolCallId, name, input, invocationId = "run-1", more = {}) => ({ invocationId, type: "tool_call", data: { toolCallId, name, input, ...more } });
export const result = (toolCallId, output, invocationId = "run-1", more = {}) => ({ invocationId, type: "tool_result", data: { toolCallId, output, ...more } });
export const output = (text, invocationId = "run-1", stream = "stdout") => ({ invocationId, type: "output", data: { stream, text } });

/** Publishes all of it in order, in as many requests as it takes. */
export async function publishAll(hub, task, activities) {
  for (let from = 0; from < activities.length; from += BATCH) await hub.publish(task, ...activities.slice(from, from + BATCH));
}

/** A log as agents make it: mostly messages, with calls and their results, output and an error now and then. Activity n says `line n`. */
export function mixed(count) {
  return Array.from({ length: count }, (_, i) => {
    const n = i + 1;
    if (n % 10 === 4) return call(`call-${n}`, "bash", { command: `make step-${n}` });
    if (n % 10 === 5) return result(`call-${n - 1}`, `step ${n - 1} is done\nline ${n}`);
    if (n % 10 === 8) return output(`line ${n}\n`);
    if (n % 1000 === 0) return { invocationId: "run-1", type: "error", data: { message: `line ${n} went wrong` } };
    return message(`line ${n}`, n % 3 === 0 ? "run-2" : "run-1");
  });
}

/** Publishes without end, `rate` a second in batches of a tenth, until it is stopped; waits for a hub that is away and goes on. */
export class Publisher {
  #stopped = false;
  #sent = 0;
  #done;

  constructor(hub, task, rate, make = (n) => message(`live ${n}`)) {
    this.#done = this.#run(hub, task, rate, make);
  }

  async #run(hub, task, rate, make) {
    const began = performance.now();
    while (!this.#stopped) {
      const due = Math.min(BATCH, Math.floor(((performance.now() - began) / 1000) * rate) - this.#sent);
      if (0 < due) {
        const batch = Array.from({ length: due }, (_, i) => ({ eventId: crypto.randomUUID(), ...make(this.#sent + i + 1) }));
        await this.#send(hub, task, batch);
        this.#sent += due;
      }
      await new Promise((done) => setTimeout(done, 100));
    }
  }

  // Nothing is known of a request whose answer did not come: it is sent again with the same ids.
  async #send(hub, task, batch) {
    for (let tries = 0; ; tries += 1) {
      try {
        return await hub.publish(task, ...batch);
      } catch (error) {
        if (tries === 300) throw error;
        await new Promise((done) => setTimeout(done, 100));
      }
    }
  }

  get sent() {
    return this.#sent;
  }

  /** Stops, and gives how many are stored. */
  async stop() {
    this.#stopped = true;
    await this.#done;
    return this.#sent;
  }
}
