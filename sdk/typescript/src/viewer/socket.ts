/** A WebSocket as a transport: that of the platform, or one that is given, such as the one of the package `ws`. */
import { ABNORMAL, type Transport, type TransportEvents } from "./transport.js";

const SUBPROTOCOL = "tasklight.v1";

/** What is needed of a WebSocket; that of browsers, of Node 22 and of `ws` are such. */
export interface SocketLike {
  onopen: ((event: never) => void) | null;
  onmessage: ((event: never) => void) | null;
  onerror: ((event: never) => void) | null;
  onclose: ((event: never) => void) | null;
  readonly readyState: number;
  send(text: string): void;
  close(code?: number): void;
}

export type SocketConstructor = new (url: string, protocols: string[]) => SocketLike;

const OPEN = 1;

/** Connects. The token goes as the first message, so that it is in no header that something on the way might write down. */
export function openSocket(Socket: SocketConstructor, hub: string, token: string | undefined, events: TransportEvents): Transport {
  const address = new URL(`${hub}/v1/ws`);
  address.protocol = address.protocol === "https:" ? "wss:" : "ws:";
  const socket = new Socket(address.href, [SUBPROTOCOL]);
  let trouble = "";
  socket.onopen = () => {
    if (token !== undefined) socket.send(JSON.stringify({ op: "auth", token }));
    events.opened();
  };
  socket.onmessage = ({ data }: { data: unknown }) => {
    if (typeof data === "string") events.heard(data);
  };
  // What went wrong is said by the close; that of `ws` has words only here.
  socket.onerror = (event: { message?: unknown }) => {
    trouble = typeof event.message === "string" ? event.message : "";
  };
  socket.onclose = ({ code, reason }: { code?: number; reason?: string }) => {
    events.closed(code ?? ABNORMAL, reason === undefined || reason === "" ? trouble : reason);
  };
  return {
    send: (text) => {
      if (socket.readyState === OPEN) socket.send(text);
    },
    close: () => {
      socket.onopen = socket.onmessage = socket.onclose = null;
      // An error of a connection that was given up must not become an exception of its own.
      socket.onerror = () => undefined;
      end(socket);
    },
  };
}

/** How long the other side may take to answer the goodbye. `ws` would wait for half a minute, and keep its process alive for it. */
const GOODBYE_MS = 1_000;

function end(socket: SocketLike): void {
  socket.close();
  const { terminate } = socket as { terminate?: () => void };
  if (terminate) setTimeout(() => { terminate.call(socket); }, GOODBYE_MS);
}
