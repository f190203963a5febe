// Webhooks as an independent implementation of Standard Webhooks checks them.
import assert from "node:assert/strict";
import { createServer } from "node:http";
import test from "node:test";
import { Webhook } from "standardwebhooks";

import { Hub, within } from "./hub.mjs";

const SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const OTHER = "whsec_c29tZWJvZHkgZWxzZSdzIHNlY3JldCwgbm90IG91cnM=";

test("a request is signed as the standard says", async (t) => {
  let arrived;
  const arrival = new Promise((resolve) => { arrived = resolve; });
  const server = createServer(async (request, response) => {
    const pieces = [];
    for await (const piece of request) pieces.push(piece);
    response.writeHead(204).end();
    arrived([Buffer.concat(pieces).toString(), request.headers]);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => server.close());
  const endpoint = { name: "ops", url: `http://127.0.0.1:${server.address().port}/`, secret: SECRET, on: "failed" };
  const hub = await Hub.start({
    TASKLIGHT__WEBHOOKS__ENDPOINT: JSON.stringify([endpoint]),
    TASKLIGHT__WEBHOOKS__ALLOW_HTTP: "true",
    TASKLIGHT__WEBHOOKS__ALLOW_PRIVATE: "127.0.0.1",
    TASKLIGHT__WEBHOOKS__INTERVAL: "20ms",
  });
  t.after(() => hub.end("SIGKILL"));
  const activity = { invocationId: "r", type: "status", data: { status: "failed", reason: "é \u2028 💥 \" \\" } };
  const answer = await fetch(`${hub.url}/v1/tasks/t/activities`, { method: "POST", body: JSON.stringify(activity) });
  assert.equal(answer.status, 200);
  const [body, headers] = await within(arrival, "the request");
  const event = new Webhook(SECRET).verify(body, headers);
  assert.equal(event.type, "invocation.failed");
  assert.equal(event.invocation.reason, activity.data.reason);
  assert.throws(() => new Webhook(OTHER).verify(body, headers));
  assert.throws(() => new Webhook(SECRET).verify(`${body} `, headers));
  assert.throws(() => new Webhook(SECRET).verify(body, { ...headers, "webhook-id": "another" }));
});
