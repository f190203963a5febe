// TLS as Node speaks it: an answer, a socket and a stream of events, and a certificate that nobody knows.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { Agent, request } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import WebSocket from "ws";
import { Hub, message, within } from "./hub.mjs";

const folder = mkdtempSync(join(tmpdir(), "tasklight-tls-"));
const openssl = (...flags) => execFileSync("openssl", flags, { cwd: folder, stdio: "pipe" });
const KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
let hub, ca, agent;

before(async () => {
  openssl("req", "-x509", ...KEY, "-days", "1", "-subj", "/CN=My CA", "-keyout", "ca.key", "-out", "ca.pem");
  openssl("req", ...KEY, "-subj", "/CN=hub", "-keyout", "hub.key", "-out", "hub.csr");
  writeFileSync(join(folder, "hub.ext"), "subjectAltName=DNS:localhost,IP:127.0.0.1\n");
  const files = ["-CA", "ca.pem", "-CAkey", "ca.key", "-extfile", "hub.ext", "-out", "hub.pem"];
  openssl("x509", "-req", "-in", "hub.csr", "-days", "1", ...files);
  ca = readFileSync(join(folder, "ca.pem"));
  agent = new Agent({ ca, keepAlive: true });
  const [TASKLIGHT__TLS__CERT_FILE, TASKLIGHT__TLS__KEY_FILE] = ["hub.pem", "hub.key"].map((name) => join(folder, name));
  hub = await Hub.start({ TASKLIGHT__TLS__CERT_FILE, TASKLIGHT__TLS__KEY_FILE });
});

after(async () => {
  agent.destroy();
  await hub.remove();
  rmSync(folder, { recursive: true, force: true });
});

const address = (path) => hub.url.replace("http:", "https:") + path;

/** The response to a request, whose body is not read yet. */
async function ask(path, options = {}, body) {
  const asked = request(address(path), { agent, ...options });
  asked.end(body);
  const [response] = await within(once(asked, "response"), path);
  response.setEncoding("utf8");
  return response;
}

async function publish(...texts) {
  const body = JSON.stringify(texts.map((text) => message(text)));
  const response = await ask("/v1/tasks/t/activities", { method: "POST" }, body);
  await response.toArray();
  assert.equal(response.statusCode, 200);
}

test("a socket and a stream deliver what is published, on connections that are kept", async () => {
  const socket = new WebSocket(address("/v1/ws").replace("https:", "wss:"), ["tasklight.v1"], { ca });
  const texts = [];
  let wake = () => {};
  socket.on("message", (data) => {
    const heard = JSON.parse(data);
    if (heard.op === "activity") texts.push(heard.data.text);
    wake();
  });
  await within(once(socket, "open"), "the session");
  socket.send(JSON.stringify({ op: "subscribe", task: "t" }));
  const stream = await ask("/v1/tasks/t/stream");
  const long = "x".repeat(60_000);
  await publish("one");
  await publish(long, "three");
  while (texts.length < 3) await within(new Promise((resolve) => (wake = resolve)), "the activities");
  assert.deepEqual(texts, ["one", long, "three"]);
  let streamed = "";
  for await (const part of stream) {
    streamed += part;
    if (streamed.includes('"three"')) break;
  }
  assert.equal(streamed.match(/"type":"message"/g).length, 3);
  socket.close();
  assert.equal((await within(once(socket, "close"), "the end"))[0], 1005);
});

test("a certificate of an authority that is not known is refused by the client", async () => {
  const asked = request(address("/v1/tasks"), { agent: new Agent() });
  asked.end();
  const [error] = await within(once(asked, "error"), "a refusal");
  assert.match(error.code, /UNABLE_TO_VERIFY|SELF_SIGNED|UNABLE_TO_GET_ISSUER/);
});
