/** Connects the page to the hub that served it: through a SharedWorker where there is one that answers, else from within the page. */
import { Host } from "./host.ts";
import type { HostMessage, TabMessage } from "./port.ts";
import type { HubSource } from "./source.ts";
import { type Page, type Reach, Tab } from "./tab.ts";

/** A worker that has not answered for so long after it was made will not. */
export const WORKER_PATIENCE_MS = 3_000;

const WORKER_NAME = "tasklight";

export function connectHub(): HubSource {
  const inPage = { reach: reachWithin(() => new Host()), isShared: false };
  const ways = typeof SharedWorker === "undefined" ? [inPage] : [{ reach: reachWorker, isShared: true }, inPage];
  const tab = new Tab({ page, ways });
  document.addEventListener("visibilitychange", () => {
    tab.seen();
  });
  addEventListener("pagehide", () => {
    tab.leave();
  });
  addEventListener("pageshow", ({ persisted }) => {
    if (persisted) tab.rejoin();
  });
  return tab;
}

const page: Page = {
  onFrame: (call) => {
    requestAnimationFrame(call);
  },
  isHidden: () => document.visibilityState === "hidden",
};

/** A host of the page's own. What is said arrives a little later, as it does from a worker. */
export const reachWithin =
  (makeHost: () => Host): Reach =>
  (heard) => {
    const host = makeHost();
    let isOpen = true;
    const hear = host.connect((message) => {
      queueMicrotask(() => {
        if (isOpen) heard(message);
      });
    });
    return {
      send: (message) => {
        queueMicrotask(() => {
          if (isOpen) hear(message);
        });
      },
      close: () => {
        isOpen = false;
        host.close();
      },
    };
  };

/** The worker that all tabs share. It is lost if it cannot be made, breaks at its start, or does not answer. */
const reachWorker: Reach = (heard, lost) => {
  let worker: SharedWorker;
  try {
    worker = new SharedWorker(new URL("./worker.ts", import.meta.url), { type: "module", name: WORKER_NAME });
  } catch {
    queueMicrotask(lost);
    return { send: () => undefined, close: () => undefined };
  }
  const { port } = worker;
  const patience = setTimeout(lost, WORKER_PATIENCE_MS);
  worker.onerror = lost;
  port.onmessage = ({ data }: MessageEvent<HostMessage>) => {
    clearTimeout(patience);
    heard(data);
  };
  return {
    send: (message: TabMessage) => {
      port.postMessage(message);
    },
    close: () => {
      clearTimeout(patience);
      port.postMessage({ say: "bye" } satisfies TabMessage);
      port.onmessage = null;
      port.close();
    },
  };
};
