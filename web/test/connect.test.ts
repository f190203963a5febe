// How a page comes to its host: through a worker that answers in our version, else from within.
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { connectHub, WORKER_PATIENCE_MS } from "../src/hub/connect.ts";
import { Host } from "../src/hub/host.ts";
import { BEAT_MS, type HostMessage, MOST_MISSED_BEATS, PROTOCOL, type TabMessage } from "../src/hub/port.ts";
import type { HubSource } from "../src/hub/source.ts";
import { HUB, settle } from "./pages.ts";
import { PlainSink } from "./plain-sink.ts";
import { Chance } from "./random.ts";
import { ScriptedHub } from "./scripted-hub.ts";

let hub: ScriptedHub;
let source: HubSource | undefined;
let frames: (() => void)[];

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "setInterval", "clearInterval", "Date"] });
  hub = new ScriptedHub();
  hub.publish("t", new Chance(1), 10);
  frames = [];
  vi.stubGlobal("WebSocket", hub.Socket);
  vi.stubGlobal("requestAnimationFrame", (call: () => void) => frames.push(call));
});

afterEach(() => {
  source?.close();
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

/** What a browser would give for a SharedWorker: a port to this end of a channel. */
function stubWorker(connected: (port: MessagePort) => void): void {
  vi.stubGlobal(
    "SharedWorker",
    class {
      readonly port: MessagePort;
      onerror: (() => void) | null = null;
      constructor() {
        const { port1, port2 } = new MessageChannel();
        this.port = port1;
        connected(port2);
      }
    },
  );
}

async function follow(): Promise<PlainSink> {
  source = connectHub();
  const sink = new PlainSink();
  source.openTask("t", sink);
  await settle();
  return sink;
}

async function show(): Promise<void> {
  do {
    await settle();
    for (const call of frames.splice(0)) call();
    await settle();
  } while (frames.length !== 0);
}

test("a worker that answers serves the page", async () => {
  const host = new Host({ hub: HUB, WebSocket: hub.Socket });
  stubWorker((port) => {
    const hear = host.connect((message) => {
      port.postMessage(message);
    });
    port.onmessage = ({ data }: MessageEvent<TabMessage>) => {
      hear(data);
    };
  });
  const sink = await follow();
  await show();
  expect([source?.isShared, sink.log.length, host.counts.tabs]).toEqual([true, 10, 1]);
  await vi.advanceTimersByTimeAsync(BEAT_MS * 10);
  expect([source?.isShared, hub.connections]).toEqual([true, 1]);
  source?.close();
  await settle();
  expect(host.counts.tabs).toBe(0);
  host.close();
});

const troubles: Record<string, () => void> = {
  "there is none": () => {
    vi.stubGlobal("SharedWorker", undefined);
  },
  "it cannot be made": () => {
    stubWorker(() => {
      throw new DOMException("refused", "SecurityError");
    });
  },
  "it does not answer": () => {
    stubWorker(() => undefined);
  },
  "it speaks another version": () => {
    stubWorker((port) => {
      port.onmessage = () => {
        port.postMessage({ say: "welcome", protocol: PROTOCOL + 1 } satisfies HostMessage);
        port.postMessage({ say: "task", feed: 1, start: [] } satisfies HostMessage);
      };
    });
  },
};

for (const [trouble, arrange] of Object.entries(troubles)) {
  test(`without a worker, as ${trouble}, the page has a host of its own and misses nothing`, async () => {
    arrange();
    const sink = await follow();
    await vi.advanceTimersByTimeAsync(WORKER_PATIENCE_MS);
    await show();
    expect([source?.isShared, sink.log]).toEqual([false, hub.log("t")]);
    hub.publish("t", new Chance(2), 5);
    await show();
    expect(sink.log).toEqual(hub.log("t"));
  });
}

test("a worker that falls silent is left", async () => {
  const host = new Host({ hub: HUB, WebSocket: hub.Socket });
  let dead = false;
  stubWorker((port) => {
    const hear = host.connect((message) => {
      if (!dead) port.postMessage(message);
    });
    port.onmessage = ({ data }: MessageEvent<TabMessage>) => {
      if (!dead) hear(data);
    };
  });
  const sink = await follow();
  await show();
  dead = true;
  hub.publish("t", new Chance(2), 5);
  for (let beats = 0; beats <= MOST_MISSED_BEATS; beats += 1) {
    expect(source?.isShared).toBe(true);
    await vi.advanceTimersByTimeAsync(BEAT_MS);
    await settle();
  }
  await show();
  expect([source?.isShared, sink.log]).toEqual([false, hub.log("t")]);
  host.close();
});
