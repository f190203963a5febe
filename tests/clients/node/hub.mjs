// A hub of a test's own: a process on an empty store, or on the one that the environment names, at a free port that it keeps over restarts.
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const PATIENCE_MS = 30_000;

/** The promise's value, or a failure that says what was waited for. */
export async function within(promise, what) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} did not happen in time`)), PATIENCE_MS);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

export class Hub {
  #environment;
  #folder = mkdtempSync(join(tmpdir(), "tasklight-"));
  #listen = "127.0.0.1:0";
  #admin;
  #process;

  static async start(environment = {}) {
    const hub = new Hub();
    hub.#environment = environment;
    await hub.#spawn();
    return hub;
  }

  get url() {
    return `http://${this.#listen}`;
  }

  /** How many sessions the hub has open now. */
  async sessions() {
    const answer = await fetch(`http://${this.#admin}/metrics`);
    return Number(/^tasklight_sessions_open (\d+)$/m.exec(await answer.text())?.[1]);
  }

  async #spawn() {
    const store = this.#environment.TASKLIGHT__STORE__URL ?? `sqlite://${join(this.#folder, "log.db")}`;
    const flags = ["serve", "--listen", this.#listen, "--admin-listen", "127.0.0.1:0", "--store", store];
    const env = { ...process.env, ...this.#environment };
    this.#process = spawn(process.env.TASKLIGHT_BIN, flags, { env, stdio: ["ignore", "pipe", "pipe"] });
    this.#process.stderr.on("data", (text) => {
      this.#admin = /"admin":"([^"]+)"/.exec(text)?.[1] ?? this.#admin;
    });
    const said = new Promise((resolve, reject) => {
      this.#process.stdout.once("data", (text) => resolve(String(text)));
      this.#process.once("exit", (code) => reject(new Error(`the hub ended with ${code}`)));
    });
    this.#listen = new URL((await within(said, "the hub's start")).split(/\s+/)[1]).host;
  }

  async end(signal) {
    const ended = new Promise((resolve) => this.#process.once("exit", resolve));
    this.#process.kill(signal);
    await within(ended, "the hub's end");
  }

  /** Ends it by this signal and starts it again at the same port. */
  async restart(signal = "SIGKILL") {
    await this.end(signal);
    await this.#spawn();
  }

  /** Ends it and takes its folder away. */
  async remove() {
    if (this.#process.exitCode === null && this.#process.signalCode === null) await this.end("SIGKILL");
    rmSync(this.#folder, { recursive: true, force: true });
  }

  async publish(task, ...activities) {
    const address = `${this.url}/v1/tasks/${task}/activities`;
    const answer = await fetch(address, { method: "POST", body: JSON.stringify(activities) });
    const body = await answer.json();
    if (!answer.ok) throw new Error(JSON.stringify(body));
    return body.results;
  }

  async deleteTask(task) {
    await fetch(`${this.url}/v1/tasks/${task}`, { method: "DELETE" });
  }

  /** All activities of a task. */
  async log(task) {
    const answer = await fetch(`${this.url}/v1/tasks/${task}/activities`, { headers: { accept: "application/x-ndjson" } });
    const lines = (await answer.text()).split("\n").filter(Boolean);
    return lines.map((line) => JSON.parse(line));
  }
}

export const message = (text, invocationId = "run-1") => ({ invocationId, type: "message", data: { text } });

/** Without the mark that tells activities from protocol messages. */
export function plain({ op, ...activity }) {
  return activity;
}
