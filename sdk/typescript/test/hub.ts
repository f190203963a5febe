// A hub of a test's own: a process on an empty store at a free port that it keeps over restarts.
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { onTestFinished } from "vitest";

const PROGRAM = process.env["TASKLIGHT_BIN"] ?? resolve(import.meta.dirname, "../../../target/debug/tasklight");
const PATIENCE_MS = 30_000;

/** The promise's value, or a failure that says what was waited for. */
export async function within<T>(promise: Promise<T>, what: string): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => { reject(new Error(`${what} did not happen in time`)); }, PATIENCE_MS);
  });
  return Promise.race([promise, late]).finally(() => { clearTimeout(timer); });
}

export class Hub {
  readonly #environment: Record<string, string>;
  readonly #folder = mkdtempSync(join(tmpdir(), "tasklight-"));
  #listen = "127.0.0.1:0";
  #process: ChildProcess | undefined;

  constructor(environment: Record<string, string>) {
    this.#environment = environment;
  }

  /** A hub that goes with its test. */
  static async start(environment: Record<string, string> = {}): Promise<Hub> {
    const hub = new Hub(environment);
    onTestFinished(() => hub.remove());
    await hub.start();
    return hub;
  }

  get url(): string {
    return `http://${this.#listen}`;
  }

  get port(): number {
    return Number(this.#listen.split(":")[1]);
  }

  async start(): Promise<void> {
    if (!existsSync(PROGRAM)) throw new Error(`${PROGRAM} is missing: run cargo build, or set TASKLIGHT_BIN`);
    const flags = ["serve", "--listen", this.#listen, "--admin-listen", "127.0.0.1:0", "--store", `sqlite://${this.#folder}/log.db`];
    const started = spawn(PROGRAM, flags, { env: { ...process.env, ...this.#environment }, stdio: ["ignore", "pipe", "ignore"] });
    this.#process = started;
    const said = new Promise<string>((resolve, reject) => {
      started.stdout.once("data", (text: Buffer) => { resolve(text.toString()); });
      started.once("exit", (code) => { reject(new Error(`the hub ended with ${String(code)}`)); });
    });
    this.#listen = new URL((await within(said, "the hub's start")).split(/\s+/)[1] ?? "").host;
  }

  async end(signal: NodeJS.Signals): Promise<void> {
    const running = this.#process;
    if (!running || running.exitCode !== null || running.signalCode !== null) return;
    const ended = new Promise((resolve) => running.once("exit", resolve));
    running.kill(signal);
    await within(ended, "the hub's end");
  }

  /** Ends it by this signal and starts it again at the same port. */
  async restart(signal: NodeJS.Signals = "SIGKILL"): Promise<void> {
    await this.end(signal);
    await this.start();
  }

  async remove(): Promise<void> {
    await this.end("SIGKILL");
    rmSync(this.#folder, { recursive: true, force: true });
  }

  async publish(task: string, ...activities: object[]): Promise<{ cursor: string; offset: number }[]> {
    const answer = await fetch(`${this.url}/v1/tasks/${task}/activities`, { method: "POST", body: JSON.stringify(activities) });
    const text = await answer.text();
    if (!answer.ok) throw new Error(text);
    return (JSON.parse(text) as { results: { cursor: string; offset: number }[] }).results;
  }

  async deleteTask(task: string): Promise<void> {
    await fetch(`${this.url}/v1/tasks/${task}`, { method: "DELETE" });
  }

  /** All activities of a task, as the hub tells them to anybody. */
  async log(task: string): Promise<unknown[]> {
    const answer = await fetch(`${this.url}/v1/tasks/${task}/activities`, { headers: { accept: "application/x-ndjson" } });
    return (await answer.text()).split("\n").filter(Boolean).map((line) => JSON.parse(line) as unknown);
  }

  /** Takes what is below `floor` away, as retention will: in the file, while no hub has it. */
  trim(task: string, floor: number): void {
    const statements = `
import sqlite3, sys
store = sqlite3.connect(sys.argv[1])
head, = store.execute("SELECT max(a.offset) FROM activities a JOIN tasks t ON t.id = a.task WHERE t.name = ?", sys.argv[2:3]).fetchone()
store.execute("DELETE FROM activities WHERE task = (SELECT id FROM tasks WHERE name = ?) AND offset < ?", sys.argv[2:4])
store.execute("UPDATE tasks SET head = ?, floor = ? WHERE name = ?", (head, sys.argv[3], sys.argv[2]))
store.commit()`;
    execFileSync("python3", ["-c", statements, `${this.#folder}/log.db`, task, floor.toString()]);
  }
}

export const message = (text: string, invocationId = "run-1") => ({ invocationId, type: "message", data: { text } }) as const;

/** So many messages, numbered. */
export const messages = (count: number, prefix = "") => Array.from({ length: count }, (_, n) => message(`${prefix}${n.toString()}`));
