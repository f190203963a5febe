// Publishers against a real hub, also while it is away, and against answers that a hub gives seldom.
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { Publisher, type PublisherOptions, type Receipt } from "../src/publisher.js";
import { Hub as Rest } from "../src/rest.js";
import { cutting, numbers } from "./between.js";
import { Hub, message, within } from "./hub.js";

function publisher(hub: string, options: Partial<PublisherOptions> = {}): Publisher {
  const made = new Publisher({ hub, task: "t", closeMs: 0, ...options });
  onTestFinished(() => made.close());
  return made;
}

interface Answer {
  readonly status: number;
  readonly body?: object;
  readonly headers?: Record<string, string>;
}

/** Answers requests as a test wants, one after the other; the last answer stands. Gives what was asked. */
async function answering(answers: ((items: { eventId: string }[], request: IncomingMessage) => Answer)[]) {
  const asked: { eventId: string }[][] = [];
  const server = createServer((request, response) => {
    let text = "";
    request.on("data", (part: Buffer) => (text += part.toString()));
    request.on("end", () => {
      const items = JSON.parse(text) as { eventId: string }[];
      asked.push(items);
      const answer = (answers.length === 1 ? answers[0] : answers.shift())?.(items, request) ?? { status: 500 };
      response.writeHead(answer.status, answer.headers).end(answer.body && JSON.stringify(answer.body));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => { server.close(); server.closeAllConnections(); });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port.toString()}`, asked };
}

const stored = (items: { eventId: string }[]): Answer => ({
  status: 200,
  body: { results: items.map(({ eventId }, n) => ({ eventId, offset: n + 1, cursor: `aaaaaaaa-${(n + 1).toString()}`, duplicate: false })) },
});

const refused = (status: number, code: string) => (): Answer => ({ status, body: { code, detail: code, status } });

test("activities are stored in order, and each has its receipt", async () => {
  const hub = await Hub.start();
  const made = publisher(hub.url);
  const receipts: Promise<Receipt>[] = [];
  for (let n = 0; n < 2_000; n += 1) receipts.push(made.publish(message(n.toString())));
  const offsets = (await Promise.all(receipts)).map(({ offset }) => offset);
  expect(offsets).toEqual(Array.from({ length: 2_000 }, (_, n) => n + 1));
  const log = (await hub.log("t")) as { data: { text: string } }[];
  expect(log.map(({ data }) => data.text)).toEqual(Array.from({ length: 2_000 }, (_, n) => n.toString()));
  expect(made.waiting).toBe(0);
});

test("what is published while the hub is away is stored once it is back, once and in order", async () => {
  const hub = await Hub.start();
  const made = publisher(hub.url);
  await made.publish(message("0"));
  await hub.end("SIGKILL");
  for (let n = 1; n < 300; n += 1) void made.publish(message(n.toString()));
  await hub.start();
  await within(made.flush(), "everything stored");
  const log = (await hub.log("t")) as { data: { text: string } }[];
  expect(log.map(({ data }) => data.text)).toEqual(Array.from({ length: 300 }, (_, n) => n.toString()));
});

test("answers that are cut off lead to repetition, and repetition to nothing", async () => {
  const hub = await Hub.start();
  const random = numbers(3);
  const proxy = await cutting(hub, () => 1 + Math.floor(random() * 5_000));
  const made = publisher(proxy.url);
  const receipts: Promise<Receipt>[] = [];
  for (let n = 0; n < 20; n += 1) {
    receipts.push(made.publish(message(n.toString())));
    if (n % 5 === 0) await new Promise((resolve) => setTimeout(resolve, 10));
  }
  const all = await within(Promise.all(receipts), "all receipts");
  expect(await hub.log("t")).toHaveLength(20);
  expect(all.map(({ offset }) => offset)).toEqual(Array.from({ length: 20 }, (_, n) => n + 1));
  expect(proxy.cuts()).toBeGreaterThan(0);
});

test("one bad activity is refused with its code and field, and the others are stored", async () => {
  const hub = await Hub.start();
  const errors: string[] = [];
  const made = publisher(hub.url, { onError: (error) => errors.push(error.code) });
  const good = made.publish(message("good"));
  const bad = made.publish({ invocationId: "r", type: "nonsense" as "message" });
  await expect(bad).rejects.toMatchObject({ code: "unknown_type", field: "type" });
  await expect(made.publish({ invocationId: "", type: "message" })).rejects.toMatchObject({ code: "invalid_invocation_id" });
  await expect(made.publish({ invocationId: "r", type: "custom", data: { big: 1n } })).rejects.toMatchObject({ code: "invalid_argument" });
  expect((await good).offset).toBe(1);
  expect(errors).toEqual(["unknown_type", "invalid_invocation_id", "invalid_argument"]);
});

test("more than fits in one request is split", async () => {
  const hub = await Hub.start({ TASKLIGHT__LIMITS__REQUEST: "100KiB" });
  const made = publisher(hub.url);
  const text = "x".repeat(20_000);
  const receipts = await Promise.all(Array.from({ length: 12 }, () => made.publish(message(text))));
  expect(receipts.map(({ offset }) => offset)).toEqual(Array.from({ length: 12 }, (_, n) => n + 1));
});

test("a full queue says so at once, and there is room again after a flush", async () => {
  const hub = await Hub.start();
  const made = publisher(hub.url, { queueItems: 10 });
  const first = Array.from({ length: 10 }, (_, n) => made.publish(message(n.toString())));
  await expect(made.publish(message("too many"))).rejects.toMatchObject({ code: "publisher_full" });
  await made.flush();
  await made.publish(message("10"));
  expect((await Promise.all(first)).length).toBe(10);
  expect(await hub.log("t")).toHaveLength(11);
});

test("a run is running, then completed or failed, and says that it lives", async () => {
  const hub = await Hub.start();
  const made = publisher(hub.url);
  const rest = new Rest({ hub: hub.url });
  const value = await made.invocation(async (run) => {
    await run.message("working");
    expect(await rest.invocation("t", "good")).toMatchObject({ status: "running", agent: "test", title: "a run", heartbeatAt: null });
    made.heartbeat("good");
    await expect.poll(async () => (await rest.invocation("t", "good")).heartbeatAt, { timeout: 20_000 }).not.toBeNull();
    return 7;
  }, { id: "good", agent: "test", title: "a run" });
  expect(value).toBe(7);
  await expect(made.invocation(() => { throw new Error("out of cheese"); }, { id: "bad" })).rejects.toThrow("out of cheese");
  {
    await using run = made.begin({ id: "left" });
    void run.output("half of it");
  }
  await made.flush();
  expect(await rest.invocation("t", "good")).toMatchObject({ status: "completed" });
  expect(await rest.invocation("t", "bad")).toMatchObject({ status: "failed", reason: "out of cheese" });
  expect(await rest.invocation("t", "left")).toMatchObject({ status: "cancelled" });
});

test("Retry-After is waited for, and the same is sent again", async () => {
  const slow: () => Answer = () => ({ status: 503, headers: { "retry-after": "1" }, body: { code: "queue_full", detail: "later" } });
  const hub = await answering([slow, stored]);
  const from = Date.now();
  const receipt = await publisher(hub.url).publish(message("x"));
  expect(Date.now() - from).toBeGreaterThanOrEqual(990);
  expect(hub.asked[0]).toEqual(hub.asked[1]);
  expect(receipt.eventId).toBe(hub.asked[0]?.[0]?.eventId);
});

test("a refused token is replaced, and without a new one everything is refused", async () => {
  const tokens: unknown[] = [];
  const needs = (wanted: string) => (items: { eventId: string }[], request: IncomingMessage): Answer => {
    tokens.push(request.headers.authorization);
    return request.headers.authorization === `Bearer ${wanted}` ? stored(items) : refused(401, "unauthorized")();
  };
  const hub = await answering([needs("new")]);
  await publisher(hub.url, { token: (old?: string) => (old === undefined ? "old" : "new") }).publish(message("x"));
  expect(tokens).toEqual(["Bearer old", "Bearer new"]);
  await expect(publisher(hub.url, { token: "old" }).publish(message("x"))).rejects.toMatchObject({ code: "unauthorized", status: 401 });
});

test("what stays unanswered is given up in the end, and at the close", async () => {
  const hub = await answering([refused(500, "internal")]);
  await expect(publisher(hub.url, { patienceMs: 1 }).publish(message("x"))).rejects.toMatchObject({ code: "gave_up" });
  const closing = publisher(hub.url, { closeMs: 50 });
  const receipt = closing.publish(message("x"));
  const outcome = expect(receipt).rejects.toMatchObject({ code: "closed" });
  await closing.close();
  await outcome;
  await expect(closing.publish(message("y"))).rejects.toMatchObject({ code: "closed" });
});

test("an answer of something that is no hub is not taken for a receipt", async () => {
  const hub = await answering([() => ({ status: 200, body: { results: [] } }), () => ({ status: 404, body: {} }), stored]);
  expect((await publisher(hub.url).publish(message("x"))).offset).toBe(1);
  expect(hub.asked).toHaveLength(3);
});
