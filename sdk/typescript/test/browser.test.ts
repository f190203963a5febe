// The built package in a real browser, on a page of the hub's own origin.
import { existsSync, readFileSync } from "node:fs";
import { createServer, type IncomingMessage, request as ask, type ServerResponse } from "node:http";
import { type AddressInfo, connect, type Socket } from "node:net";
import { join } from "node:path";
import { type Browser, chromium, type Page } from "playwright-core";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import type * as Tasklight from "../src/index.js";
import { Hub, messages } from "./hub.js";
import { examples } from "./readme.js";

const BROWSER = process.env["TASKLIGHT_CHROMIUM"] ?? "/usr/bin/chromium";
const FLAGS = [
  "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync",
];
const BUILT = join(import.meta.dirname, "../dist");

let browser: Browser;

beforeAll(async () => {
  if (!existsSync(BROWSER)) throw new Error(`${BROWSER} is missing: install the package chromium, or set TASKLIGHT_CHROMIUM`);
  if (!existsSync(join(BUILT, "index.js"))) throw new Error("dist is missing: run npm run build");
  browser = await chromium.launch({ executablePath: BROWSER, args: FLAGS });
});

afterAll(() => browser.close());

interface Shown {
  tasklight: typeof Tasklight;
  texts: unknown[];
  states: string[];
}

/** The hub's own policy: only its own scripts, nothing inline, connections to itself. */
const POLICY = "default-src 'none'; script-src 'self'; connect-src 'self'";
const PAGE = '<!doctype html><title>package</title><script type="module" src="start.js"></script>';
const START = 'import * as tasklight from "./index.js"; Object.assign(globalThis, { tasklight, texts: [], states: [] });';

/** Puts a page with the package before the hub, as a part of it. Gives its address. */
async function front(hub: Hub): Promise<string> {
  const server = createServer((request, response) => {
    const path = request.url ?? "";
    if (path === "/package/") response.writeHead(200, { "content-type": "text/html", "content-security-policy": POLICY }).end(PAGE);
    else if (path.startsWith("/package/")) {
      const name = path.slice("/package/".length);
      const [file = "", code = ""] = name.split("?");
      const made: Record<string, string> = { "start.js": START, "example.js": decodeURIComponent(code) };
      response.writeHead(200, { "content-type": "text/javascript" }).end(made[file] ?? readFileSync(join(BUILT, file)));
    } else pass(hub, request, response);
  });
  server.on("upgrade", (request, client: Socket) => {
    const upstream = connect(hub.port, "127.0.0.1", () => {
      const headers = Object.entries(request.headers).map(([name, value]) => `${name}: ${String(value)}`);
      upstream.write([`GET ${request.url ?? ""} HTTP/1.1`, ...headers, "", ""].join("\r\n"));
      client.pipe(upstream).pipe(client);
    });
    for (const [one, other] of [[client, upstream], [upstream, client]] as const) {
      one.on("error", () => other.destroy());
      one.on("close", () => other.destroy());
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => { server.close(); server.closeAllConnections(); });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port.toString()}`;
}

function pass(hub: Hub, request: IncomingMessage, response: ServerResponse): void {
  const { method, url: path, headers } = request;
  const upstream = ask({ host: "127.0.0.1", port: hub.port, method, path, headers }, (answer) => {
    response.writeHead(answer.statusCode ?? 502, answer.headers);
    answer.pipe(response);
  });
  upstream.on("error", () => response.writeHead(502).end());
  request.pipe(upstream);
}

/** A page that has loaded the package. */
async function open(hub: Hub): Promise<Page> {
  const page = await browser.newPage();
  await page.goto(`${await front(hub)}/package/`);
  await page.waitForFunction(() => "tasklight" in globalThis);
  return page;
}

test("a page publishes, watches, and goes on through kill -9 of the hub", async () => {
  const hub = await Hub.start();
  const page = await open(hub);
  await page.evaluate(async () => {
    const { tasklight, texts, states } = globalThis as unknown as Shown;
    const viewer = new tasklight.Viewer();
    viewer.follow("t", {
      onItem: (item) => { if (item.kind === "activity") texts.push(item.activity.data["text"]); },
      onState: (state) => states.push(state.kind),
    });
    const publisher = new tasklight.Publisher({ task: "t" });
    await publisher.publish({ invocationId: "page", type: "message", data: { text: "from the page" } });
  });
  await page.waitForFunction(() => (globalThis as unknown as Shown).texts.length === 1);
  await hub.restart("SIGKILL");
  await hub.publish("t", ...messages(500));
  await page.waitForFunction(() => (globalThis as unknown as Shown).texts.length === 501);
  await page.waitForFunction(() => (globalThis as unknown as Shown).states.at(-1) === "live");
  const { texts, states } = await page.evaluate(() => {
    const { texts, states } = globalThis as unknown as Shown;
    return { texts, states };
  });
  expect(texts).toEqual(["from the page", ...messages(500).map(({ data }) => data.text)]);
  expect(states).toContain("reconnecting");
  await page.close();
});

test("what is published as the page goes away is stored", async () => {
  const hub = await Hub.start();
  const page = await open(hub);
  await page.evaluate(() => {
    const { tasklight } = globalThis as unknown as Shown;
    const publisher = new tasklight.Publisher({ task: "last" });
    const say = (text: string) => void publisher.publish({ invocationId: "page", type: "message", data: { text } });
    addEventListener("pagehide", () => { say("goodbye"); }, { capture: true });
    say("hello");
  });
  await page.goto("about:blank");
  await page.close();
  await expect.poll(async () => (await fetch(`${hub.url}/v1/tasks/last`)).ok, { timeout: 20_000 }).toBe(true);
  await expect.poll(async () => ((await hub.log("last")) as { data: unknown }[]).map(({ data }) => data), { timeout: 20_000 })
    .toEqual([{ text: "hello" }, { text: "goodbye" }]);
});

test("the README's example for a page does what it says", async () => {
  const hub = await Hub.start();
  const [code = "", ...more] = examples("browser", hub.url);
  expect(more).toEqual([]);
  const page = await open(hub);
  const said: string[] = [];
  page.on("console", (line) => said.push(line.text()));
  await page.evaluate((name) => {
    const script = document.createElement("script");
    script.type = "module";
    script.src = name;
    document.head.append(script);
  }, `example.js?${encodeURIComponent(code.replaceAll('"tasklight/viewer"', '"./viewer.js"'))}`);
  await expect.poll(() => said, { timeout: 20_000 }).toContain("waiting");
  await hub.publish("hello", ...messages(3));
  await expect.poll(() => said.filter((line) => line === "activity").length, { timeout: 20_000 }).toBe(3);
  await expect.poll(() => said.at(-1), { timeout: 20_000 }).toBe("live");
  await page.close();
});

test("when the network goes or comes back the viewer asks at once whether its hub is there", async () => {
  const hub = await Hub.start();
  const page = await open(hub);
  const pings: string[] = [];
  page.on("websocket", (socket) => {
    socket.on("framesent", ({ payload }) => { if (payload.includes("ping")) pings.push(payload.toString()); });
  });
  await page.evaluate(() => {
    const { tasklight, states } = globalThis as unknown as Shown;
    new tasklight.Viewer().follow("t", { onState: (state) => states.push(state.kind) });
  });
  await page.waitForFunction(() => (globalThis as unknown as Shown).states.at(-1) === "waiting");
  await page.context().setOffline(true);
  await expect.poll(() => pings.length, { timeout: 20_000 }).toBe(1);
  await page.context().setOffline(false);
  await expect.poll(() => pings.length, { timeout: 20_000 }).toBe(2);
  await page.close();
});
