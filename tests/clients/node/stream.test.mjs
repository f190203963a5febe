// Server-Sent Events through an EventSource that is not ours, and the same script over WebSocket.
import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";
import { EventSource } from "eventsource";
import WebSocket from "ws";
import { Hub, message, plain, within } from "./hub.mjs";

const NAMES = ["subscribed", "live", "reset", "truncated", "cursor", "drain", "unsubscribed"];
let hub;
let sources = [];

beforeEach(async () => {
  hub = await Hub.start({ TASKLIGHT__SESSION__HEARTBEAT: "300ms" });
});

afterEach(async () => {
  sources.forEach((source) => source.close());
  sources = [];
  await hub.remove();
});

/** Opens an EventSource that remembers what it hears; `until(check)` waits for it. */
function listen(path, options) {
  const source = new EventSource(hub.url + path, options);
  sources.push(source);
  const heard = { activities: [], named: [], source };
  let wake = () => {};
  const note = (list) => (event) => {
    list.push({ name: event.type, id: event.lastEventId, data: JSON.parse(event.data) });
    wake();
  };
  source.onmessage = note(heard.activities);
  NAMES.forEach((name) => source.addEventListener(name, note(heard.named)));
  heard.until = async (check, what) => {
    while (!check(heard)) await within(new Promise((resolve) => (wake = resolve)), what);
  };
  return heard;
}

test("activities come as messages, everything else by name", async () => {
  await hub.publish("t", message("one"));
  const heard = listen("/v1/tasks/t/stream");
  await heard.until(({ named }) => named.some(({ name }) => name === "live"), "live");
  await hub.publish("t", message("two"));
  await heard.until(({ activities }) => activities.length === 2, "the second activity");
  assert.deepEqual(heard.activities.map(({ data }) => data.data.text), ["one", "two"]);
  assert.deepEqual(heard.named.map(({ name }) => name), ["subscribed", "live"]);
  assert.ok(heard.activities.every(({ id, data }) => id === data.cursor), "the id is the cursor");
});

test("an EventSource goes on through kill -9 with nothing missing or twice", async () => {
  await hub.publish("t", ...Array.from({ length: 50 }, (_, n) => message(`before ${n}`)));
  const heard = listen("/v1/tasks/t/stream");
  await heard.until(({ activities }) => activities.length >= 20, "some activities");
  await hub.restart("SIGKILL");
  await hub.publish("t", ...Array.from({ length: 50 }, (_, n) => message(`after ${n}`)));
  await heard.until(({ activities }) => activities.length >= 100, "all activities");
  assert.deepEqual(heard.activities.map(({ data }) => plain(data)), await hub.log("t"));
});

test("a cursor of another life is reset, and the log starts over", async () => {
  const [{ cursor }] = await hub.publish("t", message("old"));
  await hub.deleteTask("t");
  await hub.publish("t", message("new"));
  const heard = listen(`/v1/tasks/t/stream?after=${cursor}`);
  await heard.until(({ activities }) => activities.length === 1, "the new log");
  assert.deepEqual(heard.named.map(({ name }) => name).slice(0, 2), ["subscribed", "reset"]);
  assert.equal(heard.activities[0].data.data.text, "new");
});

test("a filter leaves out, and the id still moves along", async () => {
  await hub.publish("t", message("a"), { invocationId: "run-1", type: "error", data: { message: "b" } }, message("c"));
  const heard = listen("/v1/tasks/t/stream?type=error");
  await heard.until(({ named }) => named.some(({ id }) => id.endsWith("-3")), "the place after the filtered ones");
  assert.deepEqual(heard.activities.map(({ data }) => data.type), ["error"]);
});

test("no payload breaks out of its event", async () => {
  const nasty = ["a\nb", "a\r\nb", "\n\ndata: forged\n\n", "\nevent: live\n", "\u2028\u2029", "id: x\n", ": comment\n", "\ufeff", "\u0000"];
  await hub.publish("t", ...nasty.map((text) => message(text)));
  const heard = listen("/v1/tasks/t/stream");
  await heard.until(({ named }) => named.some(({ name }) => name === "live"), "live");
  const expected = nasty.map((text) => text.replace("\u0000", "\ufffd"));
  assert.deepEqual(heard.activities.map(({ data }) => data.data.text), expected);
});

test("the stream is marked so that nothing on the way holds it back", async () => {
  const answer = await fetch(`${hub.url}/v1/tasks/t/stream`);
  assert.equal(answer.headers.get("content-type"), "text/event-stream");
  assert.equal(answer.headers.get("cache-control"), "no-store");
  assert.equal(answer.headers.get("x-accel-buffering"), "no");
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  while (!text.includes(": heartbeat\n\n")) text += (await within(reader.read(), "a heartbeat")).value;
  assert.ok(text.startsWith("retry: "), "it begins with how long to wait before coming back");
  await reader.cancel();
});

test("the same script over SSE and WebSocket is the same log", async () => {
  const heard = listen("/v1/tasks/t/stream");
  const socket = new WebSocket(`${hub.url.replace("http", "ws")}/v1/ws`, "tasklight.v1");
  const messages = [];
  const all = new Promise((resolve) => {
    socket.on("message", (text) => {
      const received = JSON.parse(text);
      if (received.op === "hello") socket.send(JSON.stringify({ op: "subscribe", task: "t" }));
      if (received.op === "activity") messages.push(received);
      if (messages.length === 60) resolve();
    });
  });
  for (let n = 0; n < 20; n += 1) await hub.publish("t", message(`${n}`), message("x", "run-2"), { invocationId: "run-1", type: "usage", data: { n } });
  await within(all, "all messages");
  await heard.until(({ activities }) => activities.length === 60, "all events");
  socket.close();
  assert.deepEqual(heard.activities.map(({ data }) => data), messages);
  assert.deepEqual(messages.map(plain), await hub.log("t"));
});
