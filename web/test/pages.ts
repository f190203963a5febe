/** Pages that a test shows, hides and gives frames to; all at one host, as the tabs of a browser are. */
import { Host } from "../src/hub/host.ts";
import type { HostMessage, TabMessage } from "../src/hub/port.ts";
import { type Page, type Reach, Tab } from "../src/hub/tab.ts";
import type { ScriptedHub } from "./scripted-hub.ts";

export const HUB = "http://hub.test";

/** Lets everything happen that needs no time. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 5; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}

/** A browser with a SharedWorker: what is said is copied, as between threads. */
export class Browser {
  readonly host: Host;
  readonly pages: TestPage[] = [];

  constructor(hub: ScriptedHub) {
    this.host = new Host({ hub: HUB, WebSocket: hub.Socket });
  }

  open(): TestPage {
    const page = new TestPage(this.host);
    this.pages.push(page);
    return page;
  }

  /** A frame for each page that is seen, as often as needed until none has anything to show. */
  async frames(): Promise<void> {
    do {
      await settle();
      for (const page of this.pages) page.frame();
      await settle();
    } while (this.pages.some((page) => page.wantsFrame));
  }
}

export class TestPage implements Page {
  readonly tab: Tab;
  isFrozen = false;
  hidden = false;
  /** How many messages came of feeds. */
  messages = 0;
  #frames: (() => void)[] = [];
  #inbox: HostMessage[] = [];
  #heard: ((message: HostMessage) => void) | undefined;

  constructor(host: Host) {
    const reach: Reach = (heard) => {
      this.#heard = heard;
      const hear = host.connect((message) => {
        this.#inbox.push(structuredClone(message));
        queueMicrotask(() => {
          this.#read();
        });
      });
      return {
        send: (message) => {
          const copy: TabMessage = structuredClone(message);
          queueMicrotask(() => {
            hear(copy);
          });
        },
        close: () => undefined,
      };
    };
    this.tab = new Tab({ page: this, ways: [{ reach, isShared: true }], hub: HUB });
  }

  get wantsFrame(): boolean {
    return this.#frames.length !== 0 && !this.hidden && !this.isFrozen;
  }

  /** What the browser keeps for it while it is frozen. */
  get inbox(): readonly HostMessage[] {
    return this.#inbox;
  }

  onFrame(call: () => void): void {
    this.#frames.push(call);
  }

  isHidden(): boolean {
    return this.hidden;
  }

  frame(): void {
    if (!this.wantsFrame) return;
    for (const call of this.#frames.splice(0)) call();
  }

  hide(hidden: boolean): void {
    this.hidden = hidden;
    this.tab.seen();
  }

  /** Frozen pages run nothing; what is said to them waits. */
  freeze(frozen: boolean): void {
    this.isFrozen = frozen;
    this.#read();
  }

  #read(): void {
    if (this.isFrozen) return;
    for (const message of this.#inbox.splice(0)) {
      if (message.say === "task" || message.say === "list") this.messages += 1;
      this.#heard?.(message);
    }
  }
}
