// What stands between a viewer and its hub and makes trouble.
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { onTestFinished } from "vitest";
import { WebSocket, WebSocketServer } from "ws";

/** Numbers that look random and are the same in every run. */
export function numbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
    return state / 2_147_483_648;
  };
}

async function listening(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => { server.close(); });
  return (server.address() as AddressInfo).port;
}

/** Cuts each connection after a number of bytes from the hub that `next` gives. Gives its address and how often it has cut. */
export async function cutting(hub: { readonly port: number }, next: () => number): Promise<{ url: string; cuts: () => number }> {
  let cuts = 0;
  const open = new Set<Socket>();
  onTestFinished(() => { open.forEach((socket) => { socket.destroy(); }); });
  const server = createServer((client) => {
    const upstream = connect(hub.port, "127.0.0.1");
    let left = next();
    const end = (): void => { client.destroy(); upstream.destroy(); };
    for (const socket of [client, upstream]) {
      open.add(socket);
      socket.on("error", end);
      socket.on("close", end);
    }
    client.pipe(upstream);
    upstream.on("data", (bytes) => {
      const part = bytes.subarray(0, left);
      left -= part.length;
      client.write(part);
      if (left !== 0) return;
      cuts += 1;
      client.end(end);
    });
  });
  const port = await listening(server);
  return { url: `http://127.0.0.1:${port.toString()}`, cuts: () => cuts };
}

/** What a test may do with messages on their way. */
export interface Meddling {
  /** Whether a message from the hub goes on. */
  readonly pass?: (message: Record<string, unknown>) => boolean;
  /** What a client says at first goes here if it says `auth`; a close code ends the connection. */
  readonly auth?: (token: unknown) => number | undefined;
  /** A client has connected. */
  readonly connected?: (socket: WebSocket) => void;
}

/** Passes WebSocket messages on one by one, or not. */
export async function meddling(hub: { readonly url: string }, how: Meddling): Promise<{ url: string }> {
  const server = new WebSocketServer({ port: 0, host: "127.0.0.1" });
  await new Promise((resolve) => server.once("listening", resolve));
  onTestFinished(() => {
    server.clients.forEach((client) => { client.terminate(); });
    server.close();
  });
  server.on("connection", (client) => {
    how.connected?.(client);
    const upstream = new WebSocket(`${hub.url.replace("http", "ws")}/v1/ws`, "tasklight.v1");
    const early: string[] = [];
    client.on("message", (data: Buffer) => {
      const text = data.toString();
      const said = JSON.parse(text) as { op: string; token?: unknown };
      const code = said.op === "auth" ? how.auth?.(said.token) : undefined;
      if (code !== undefined) client.close(code, "the token has expired");
      else if (upstream.readyState === WebSocket.OPEN) upstream.send(text);
      else early.push(text);
    });
    upstream.on("open", () => { early.forEach((text) => { upstream.send(text); }); });
    upstream.on("message", (data: Buffer) => {
      const text = data.toString();
      if (how.pass?.(JSON.parse(text) as Record<string, unknown>) !== false) client.send(text);
    });
    upstream.on("close", (code) => { client.close(code === 1006 ? 1011 : code); });
    upstream.on("error", () => { client.terminate(); });
    client.on("close", () => { upstream.terminate(); });
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port.toString()}` };
}
