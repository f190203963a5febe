// A way to the hub that can be cut and mended.
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { onTestFinished } from "vitest";

export class Proxy {
  readonly #hub: { readonly port: number };
  readonly #open = new Set<Socket>();
  readonly #server: Server;
  #cut = false;

  constructor(hub: { readonly port: number }) {
    this.#hub = hub;
    this.#server = createServer((client) => { this.#carry(client); });
  }

  async start(): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
    onTestFinished(() => {
      this.cut();
      this.#server.close();
    });
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port.toString()}`;
  }

  cut(): void {
    this.#cut = true;
    for (const socket of this.#open) socket.destroy();
  }

  mend(): void {
    this.#cut = false;
  }

  #carry(client: Socket): void {
    if (this.#cut) {
      client.destroy();
      return;
    }
    const upstream = connect(this.#hub.port, "127.0.0.1");
    for (const [one, other] of [[client, upstream], [upstream, client]] as const) {
      this.#open.add(one);
      one.on("error", () => other.destroy());
      one.on("close", () => {
        this.#open.delete(one);
        other.destroy();
      });
      one.pipe(other);
    }
  }
}
