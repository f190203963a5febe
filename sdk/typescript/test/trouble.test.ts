// Viewers whose connections are cut, whose messages are lost, and whose tokens expire.
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { WebSocketServer } from "ws";
import { cutting, meddling, numbers } from "./between.js";
import { activity } from "./clock.js";
import { Hub, message, messages } from "./hub.js";
import { viewer, Watch, ways } from "./watch.js";

test.each(ways)("by %s: connections that are cut at any byte lose nothing and repeat nothing", async (_name, WebSocket) => {
  const hub = await Hub.start();
  const random = numbers(7);
  const proxy = await cutting(hub, () => 1 + Math.floor(random() * 200_000));
  await hub.publish("t", ...messages(1_000, "é\u{1f600} before "));
  const watch = new Watch(viewer(proxy.url, { WebSocket }), "t");
  for (let n = 0; n < 10; n += 1) await hub.publish("t", ...messages(100, "while "));
  await watch.until(({ activities }) => activities.length === 2_000, "everything");
  expect(watch.activities).toEqual(await hub.log("t"));
  expect(proxy.cuts()).toBeGreaterThan(2);
  expect(watch.losses).toEqual([]);
});

test("an activity that is lost on the way is noticed by the next, and fetched", async () => {
  const hub = await Hub.start();
  let lost = false;
  const proxy = await meddling(hub, {
    pass: (said) => {
      const lose = !lost && said["offset"] === 5 && said["op"] === "activity";
      lost ||= lose;
      return !lose;
    },
  });
  const watch = new Watch(viewer(proxy.url), "t");
  await hub.publish("t", ...messages(10));
  await watch.until(({ activities }) => activities.length === 10, "everything");
  expect(watch.activities).toEqual(await hub.log("t"));
  expect(watch.losses).toEqual(["an activity did not come"]);
});

test("the last activity, lost on the way, is noticed by a heartbeat", async () => {
  const hub = await Hub.start({ TASKLIGHT__SESSION__HEARTBEAT: "500ms" });
  let lost = 0;
  const proxy = await meddling(hub, {
    pass: (said) => {
      const lose = lost === 0 && said["offset"] === 3 && said["op"] === "activity";
      if (lose) lost += 1;
      return !lose;
    },
  });
  const watch = new Watch(viewer(proxy.url), "t");
  await hub.publish("t", ...messages(2));
  await watch.until(({ states }) => states.at(-1)?.kind === "live", "live");
  await hub.publish("t", message("the last"));
  await watch.until(({ activities }) => activities.length === 3, "everything");
  expect(watch.activities).toEqual(await hub.log("t"));
  expect(watch.losses).toEqual(["the log has gone on, but nothing came"]);
  expect(lost).toBe(1);
});

test("a token that has expired is replaced, and the viewer goes on after its cursor", async () => {
  const hub = await Hub.start();
  const valid = new Set(["first"]);
  const used: unknown[] = [];
  let expire: () => void = () => undefined;
  const proxy = await meddling(hub, {
    auth: (token) => {
      used.push(token);
      return valid.has(String(token)) ? undefined : 4401;
    },
    connected: (socket) => { expire = () => { socket.close(4401, "expired"); }; },
  });
  const asked: unknown[] = [];
  const given = ["first", "wrong", "second"];
  const token = (refused?: string): string => {
    asked.push(refused);
    return given.shift() ?? "none";
  };
  const watch = new Watch(viewer(proxy.url, { token }), "t");
  await hub.publish("t", message("one"));
  await watch.until(({ activities }) => activities.length === 1, "the first activity");
  valid.clear();
  valid.add("second");
  expire();
  await hub.publish("t", message("two"));
  await watch.until(({ activities }) => activities.length === 2, "the second activity");
  expect(watch.texts).toEqual(["one", "two"]);
  expect(asked).toEqual([undefined, "first", "wrong"]);
  expect(used).toEqual(["first", "wrong", "second"]);
});

test.each([[4403, "forbidden"], [4401, "unauthorized"]])("close code %i ends everything, and nothing is tried again", async (code, name) => {
  let connections = 0;
  const hub = await Hub.start();
  const proxy = await meddling(hub, {
    connected: (socket) => {
      connections += 1;
      socket.close(code, "not for you");
    },
  });
  const all = viewer(proxy.url, { token: "one-that-cannot-be-renewed" });
  const watch = new Watch(all, "t");
  await watch.until(({ error }) => error !== undefined, "the end");
  expect(watch.error).toMatchObject({ code: name, message: expect.stringContaining("not for you") as string });
  expect(watch.states.at(-1)?.kind).toBe("denied");
  expect(all.link.kind).toBe("denied");
  const next = new Watch(all, "u");
  await next.until(({ error }) => error !== undefined, "the end of the next");
  expect(connections).toBe(1);
});

test("a stream that is refused waits as long as it is told, and takes a new token when it must", async () => {
  const asked: { at: number; token: string | undefined }[] = [];
  const server = createServer((request, response) => {
    asked.push({ at: Date.now(), token: request.headers.authorization });
    if (asked.length === 1) response.writeHead(503, { "retry-after": "1" }).end('{"code":"stopping","detail":"wait"}');
    else if (asked.length === 2) response.writeHead(401).end('{"code":"unauthorized","detail":"expired"}');
    else {
      const told = [{ op: "subscribed", task: "t", epoch: "aaaaaaaa", floor: 1, head: 1, after: "aaaaaaaa-0" }, activity("t", 1)];
      response.writeHead(200, { "content-type": "text/event-stream" }).write(told.map((one) => `data: ${JSON.stringify(one)}\n\n`).join(""));
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => { server.close(); server.closeAllConnections(); });
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port.toString()}`;
  const watch = new Watch(viewer(url, { WebSocket: null, token: (old) => (old === undefined ? "old" : "new") }), "t");
  await watch.until(({ activities }) => activities.length === 1, "the activity");
  expect(asked.map(({ token }) => token)).toEqual(["Bearer old", "Bearer old", "Bearer new"]);
  expect((asked[1]?.at ?? 0) - (asked[0]?.at ?? 0)).toBeGreaterThanOrEqual(990);
});

test("a hub that accepts and says nothing is left for dead", async () => {
  const silent = new WebSocketServer({ port: 0, host: "127.0.0.1" });
  await new Promise((resolve) => silent.once("listening", resolve));
  const { port } = silent.address() as { port: number };
  let gone: (value: unknown) => void = () => undefined;
  const left = new Promise((resolve) => (gone = resolve));
  silent.on("connection", (socket) => {
    socket.send(JSON.stringify({ op: "hello", node: "n", heartbeatMs: 100, limits: {} }));
    socket.on("close", gone);
  });
  const watch = new Watch(viewer(`http://127.0.0.1:${port.toString()}`), "t");
  await left;
  await watch.until(({ states }) => states.at(-1)?.kind === "reconnecting", "the viewer to notice");
  expect(watch.following.state).toMatchObject({ kind: "reconnecting", reason: "nothing was heard of the hub" });
  silent.clients.forEach((socket) => { socket.terminate(); });
  silent.close();
});

test("one socket follows as many tasks as the hub allows, and the next is refused by name", async () => {
  const hub = await Hub.start({ TASKLIGHT__LIMITS__SUBSCRIPTIONS: "20" });
  const all = viewer(hub.url);
  const watches = Array.from({ length: 21 }, (_, n) => new Watch(all, `t${n.toString()}`));
  await watches[20]?.until(({ error }) => error !== undefined, "the refusal");
  expect(watches[20]?.error).toMatchObject({ code: "too_many_subscriptions" });
  for (let n = 0; n < 20; n += 1) await hub.publish(`t${n.toString()}`, message(n.toString()));
  for (const watch of watches.slice(0, 20)) await watch.until(({ texts }) => texts[0] === watch.following.task.slice(1), "its own activity");
});
