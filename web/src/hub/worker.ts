/** The SharedWorker: a host for all tabs of this browser, and nothing else. It ends with the last of them. */
import { Host } from "./host.ts";
import type { TabMessage } from "./port.ts";

/** What there is of a SharedWorker's own scope; the page's types know nothing of it. */
interface WorkerScope {
  onconnect: ((event: MessageEvent) => void) | null;
}

const host = new Host();

(globalThis as unknown as WorkerScope).onconnect = (event) => {
  const [port] = event.ports;
  if (!port) return;
  const hear = host.connect((message) => {
    port.postMessage(message);
  });
  port.onmessage = (heard: MessageEvent<TabMessage>) => {
    hear(heard.data);
  };
};
