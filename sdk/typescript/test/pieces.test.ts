// The small parts, as tables: keys, waits, streams of events, queues, buffers.
import { expect, test } from "vitest";
import { Backoff } from "../src/backoff.js";
import { formatCursor, parseCursor } from "../src/cursor.js";
import { TasklightError } from "../src/error.js";
import { newEventId } from "../src/event-id.js";
import { fateOf } from "../src/publisher/delivery.js";
import { Queue } from "../src/publisher/queue.js";
import { EVENT_CHARS, EventReader, type Heard } from "../src/viewer/event-stream.js";
import { Following } from "../src/viewer/following.js";
import type { Item } from "../src/viewer/item.js";
import { readMessage } from "../src/viewer/protocol.js";
import { numbers } from "./between.js";

test("keys are UUIDs of version 7, differ, and ascend, also within a millisecond and when the clock goes back", () => {
  const now = 1_764_000_000_000;
  const keys = Array.from({ length: 10_000 }, (_, n) => newEventId(now - (n % 3)));
  for (const key of keys) expect(key).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  expect(new Set(keys).size).toBe(keys.length);
  expect([...keys].sort()).toEqual(keys);
  expect(parseInt((keys[0] ?? "").replace("-", "").slice(0, 12), 16)).toBe(now);
});

test("waits stay below a bound that doubles", () => {
  const backoff = new Backoff(10, 40, () => 0.999);
  expect([1, 2, 3, 4].map(() => Math.ceil(backoff.next()))).toEqual([10, 20, 40, 40]);
  backoff.reset();
  expect(Math.ceil(backoff.next())).toBe(10);
});

test("cursors are taken apart and put together, and what is none is seen", () => {
  expect(parseCursor("5f3a9c1e-17")).toEqual({ epoch: "5f3a9c1e", offset: 17 });
  expect(formatCursor({ epoch: "5f3a9c1e", offset: 17 })).toBe("5f3a9c1e-17");
  expect(parseCursor("5f3a9c1e-9007199254740991")?.offset).toBe(Number.MAX_SAFE_INTEGER);
  for (const text of ["", "17", "5f3a9c1e", "5f3a9c1e-", "5f3a9c1e-9007199254740992", "5F3A9C1E-1", "5f3a9c1e--1"]) {
    expect(parseCursor(text), text).toBeUndefined();
  }
});

test("a stream of events is the same however it is cut", () => {
  const stream = 'retry: 2000\n\n: heartbeat\n\nevent: live\nid: a-1\ndata: {"a":1}\n\n'
    + "data: x\r\ndata:y\r\n\r\nid: only\n\ndata: z\r\rdata: unfinished";
  const whole = new EventReader().read(stream);
  expect(whole).toEqual<Heard[]>(["comment", { data: '{"a":1}' }, { data: "x\ny" }, { data: "z" }]);
  const random = numbers(11);
  for (let round = 0; round < 200; round += 1) {
    const reader = new EventReader();
    const heard: Heard[] = [];
    for (let at = 0; at < stream.length; ) {
      const size = 1 + Math.floor(random() * 7);
      heard.push(...reader.read(stream.slice(at, at + size)));
      at += size;
    }
    expect(heard).toEqual(whole);
  }
  expect(() => new EventReader().read("x".repeat(EVENT_CHARS + 1))).toThrow(RangeError);
});

test("messages are checked before they are trusted", () => {
  for (const text of [
    "", "[]", "7", "{}", '{"op":7}', '{"op":"live","task":"t"}', '{"op":"live","task":"t","offset":1.5}', '{"op":"live","task":"t","offset":-1}',
    '{"op":"live","task":"t","offset":9007199254740992}', '{"op":"heartbeat","heads":{"t":"1"}}', '{"op":"activity","taskId":"t","offset":1}',
    '{"op":"task","taskId":"t"}', '{"op":"drain"}', '{"op":"subscribed","task":"t","epoch":1,"floor":1,"head":1,"after":null}',
  ]) {
    expect(() => readMessage(text), text).toThrow(/it is not|is not/);
  }
  expect(readMessage('{"op":"new","x":[]}')).toEqual({ op: "unknown" });
});

test("what became of a request decides what is done", () => {
  const of = (status: number | undefined, code: string, details = {}) => fateOf(new TasklightError(code, "", { status, details }));
  for (const [status, code, fate] of [
    [undefined, "unreachable", "retry"], [503, "queue_full", "retry"], [500, "internal", "retry"], [429, "not_a_hub", "retry"],
    [408, "body_timeout", "retry"],
    [404, "not_a_hub", "retry"], [401, "unauthorized", "renew"], [413, "body_too_large", "split"], [413, "too_many_activities", "split"],
    [413, "activity_too_large", "refused"], [400, "invalid_task_id", "refused"], [403, "forbidden", "refused"],
  ] as const) {
    expect(of(status, code).is, code).toBe(fate);
  }
  expect(of(503, "stopping", { retryAfterMs: 2_000 })).toEqual({ is: "retry", afterMs: 2_000 });
  expect(of(503, "stopping", { retryAfterMs: 9e9 })).toEqual({ is: "retry", afterMs: 60_000 });
});

test("a queue is bounded in count and bytes, and keeps its order", () => {
  const queue = new Queue({ items: 3, bytes: 100 });
  const rejected: string[] = [];
  const add = (text: string, bytes: number, queuedAt: number): void => {
    queue.add({ text, bytes, queuedAt, resolve: () => undefined, reject: () => rejected.push(text) });
  };
  expect(queue.isFullFor(1_000), "one always fits").toBe(false);
  add("a", 60, 1);
  expect([queue.isFullFor(41), queue.isFullFor(40)]).toEqual([true, false]);
  add("b", 10, 2);
  add("c", 10, 3);
  expect(queue.isFullFor(1)).toBe(true);
  const texts = (items: number, bytes: number): string[] => queue.first(items, bytes).map(({ text }) => text);
  expect([texts(2, 1_000), texts(9, 70), texts(9, 1)]).toEqual([["a", "b"], ["a", "b"], ["a"]]);
  queue.drop(1);
  expect([queue.size, queue.isFullFor(80), queue.isFullFor(81)]).toEqual([2, false, true]);
  queue.expire(3, new TasklightError("gave_up", ""));
  expect([rejected, texts(9, 99)]).toEqual([["b"], ["c"]]);
});

test("a consumer's place is what it took; what waits is bounded, and none of it is lost", async () => {
  const asked: string[] = [];
  const source = { pause: () => asked.push("pause"), resume: () => asked.push("resume"), close: () => asked.push("close") };
  let came = 0;
  const following = new Following("t", source, { bufferItems: 4 }, {
    cursor: () => `aaaaaaaa-${came.toString()}`,
    state: () => ({ kind: "connecting" }),
  });
  const come = (count: number): void => {
    for (let n = 0; n < count; n += 1) {
      following.push({ kind: "live", offset: came + 1 }, 10, `aaaaaaaa-${came.toString()}`);
      came += 1;
    }
  };
  const waited = following.next();
  come(1);
  expect((await waited).value).toEqual<Item>({ kind: "live", offset: 1 });
  come(4);
  expect([following.cursor, following.waiting, following.isPaused, asked]).toEqual(["aaaaaaaa-1", 4, true, ["pause"]]);
  await following.next();
  expect([following.cursor, asked]).toEqual(["aaaaaaaa-2", ["pause"]]);
  expect(following.take(1)).toHaveLength(1);
  expect([following.cursor, asked]).toEqual(["aaaaaaaa-3", ["pause", "resume"]]);
  following.close();
  expect([following.cursor, following.waiting, asked.at(-1)], "what was dropped was not taken").toEqual(["aaaaaaaa-3", 0, "close"]);
  following.end(new TasklightError("forbidden", ""));
  await expect(following.next()).rejects.toMatchObject({ code: "forbidden" });
});
