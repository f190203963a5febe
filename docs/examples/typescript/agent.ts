// An agent and a viewer, by plain HTTP and Server-Sent Events, with nothing but Node's own library.
//
//   node docs/examples/typescript/agent.ts             the agent works, the viewer prints what it sees     (Node 22.18 or newer)
//   npx tsx docs/examples/typescript/agent.ts          the same with Node 20
//
// TASKLIGHT_HUB names the hub (http://127.0.0.1:8080), TASKLIGHT_TOKEN a token if it wants one, TASK the task (typescript-demo).
//
// The agent gives each activity an eventId and sends it again until it is stored: that is once. The viewer keeps the cursor of the last activity
// that it has seen and goes on after it, whatever happens to its connection.

import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";

const hub = process.env.TASKLIGHT_HUB ?? "http://127.0.0.1:8080";
const task = process.env.TASK ?? "typescript-demo";
const headers: Record<string, string> = process.env.TASKLIGHT_TOKEN ? { authorization: `Bearer ${process.env.TASKLIGHT_TOKEN}` } : {};

interface Activity {
  offset: number;
  cursor: string;
  invocationId: string;
  type: string;
  data: Record<string, unknown>;
}

/** Tries again, later each time, until `work` does not fail. */
async function persist<T>(work: () => Promise<T>, tries = 8): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await work();
    } catch (error) {
      if (attempt === tries || error instanceof Refused) throw error;
      await sleep(Math.random() * Math.min(5_000, 200 * 2 ** attempt));
    }
  }
}

/** The hub does not want this, and would not want it again. */
class Refused extends Error {}

class Run {
  readonly invocation = `run-${randomUUID().slice(0, 8)}`;
  private calls = 0;

  async publish(type: string, data: Record<string, unknown>): Promise<void> {
    const activity = { invocationId: this.invocation, type, eventId: randomUUID(), timestamp: Date.now(), data };
    await persist(async () => {
      const answer = await fetch(`${hub}/v1/tasks/${task}/activities`, { method: "POST", headers, body: JSON.stringify(activity) });
      if (answer.ok) return;
      const problem = (await answer.json()) as { code: string; detail: string };
      if (answer.status < 500 && answer.status !== 429) throw new Refused(`${problem.detail} (${problem.code})`);
      throw new Error(problem.detail);
    });
  }

  /** Calls a function as a tool: the call and its result are seen. */
  async tool<T>(name: string, input: Record<string, unknown>, work: () => Promise<T>): Promise<T> {
    const toolCallId = `${this.invocation}:${++this.calls}`;
    await this.publish("tool_call", { toolCallId, name, input });
    try {
      const output = await work();
      await this.publish("tool_result", { toolCallId, output });
      return output;
    } catch (error) {
      await this.publish("tool_result", { toolCallId, output: String(error), isError: true });
      throw error;
    }
  }
}

async function agent(run: Run): Promise<void> {
  await run.publish("status", { status: "running", agent: "typescript", title: "Add up the first ten squares" });
  await run.publish("message", { role: "user", text: "What do the first ten squares add up to?" });
  let sum = 0;
  for (let n = 1; n <= 10; n++) {
    sum += await run.tool("square", { n }, async () => n * n);
    await run.publish("progress", { current: n, total: 10 });
  }
  // Text as it is written: pieces of a series, then the whole.
  const text = `They add up to ${sum}.`;
  for (const piece of text.match(/\S+\s*/g) ?? []) {
    await run.publish("message", { role: "assistant", seriesId: "answer", delta: true, text: piece });
  }
  await run.publish("message", { role: "assistant", seriesId: "answer", final: true, text });
  await run.publish("status", { status: "completed", exitCode: 0 });
}

/** What happens on the task from now on, each activity once and in order. */
async function* follow(signal: AbortSignal): AsyncGenerator<Activity> {
  let cursor = "";
  while (!signal.aborted) {
    const position: Record<string, string> = cursor ? { "last-event-id": cursor } : {};
    const after = cursor ? "" : "?after=end";
    const answer = await persist(() => fetch(`${hub}/v1/tasks/${task}/stream${after}`, { headers: { ...headers, ...position }, signal }));
    if (!answer.ok || !answer.body) throw new Refused(`the stream is refused with ${answer.status}`);
    let rest = "";
    try {
      for await (const chunk of answer.body.pipeThrough(new TextDecoderStream())) {
        const events = (rest + chunk).split("\n\n");
        rest = events.pop() ?? "";
        for (const event of events) {
          const field = (name: string) => event.split("\n").find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2);
          const [name, id, data] = [field("event"), field("id"), field("data")];
          if (id) cursor = id;
          // Activities have no event name; everything else, such as `live`, has.
          if (!name && data) yield JSON.parse(data) as Activity;
        }
      }
    } catch {
      // The connection was lost, or the hub has told us to come back.
    }
    if (!signal.aborted) await sleep(Math.random() * 1_000);
  }
}

async function main(): Promise<void> {
  // The task must be there to be watched from its end on.
  await persist(() => fetch(`${hub}/v1/tasks/${task}`, { method: "PUT", headers, body: "{}" }));
  const stop = new AbortController();
  const run = new Run();
  const watching = (async () => {
    for await (const activity of follow(stop.signal)) {
      if (activity.invocationId !== run.invocation) continue;
      console.log(`${activity.offset} ${activity.type} ${JSON.stringify(activity.data)}`);
      if (activity.type === "status" && activity.data.status !== "running") break;
    }
  })();
  // The viewer is there a moment later; the agent does not need it.
  await sleep(200);
  await agent(run);
  await watching;
  stop.abort();
  console.log(`watch ${hub}/tasks/${task}`);
}

main().catch((error: unknown) => {
  console.error(`agent: ${error instanceof Error ? error.message : error}`);
  process.exit(1);
});
