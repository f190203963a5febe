/** What carries a viewer's messages: a WebSocket, or streams of events where there is none. */

/** A connection that is being made or is there. */
export interface Transport {
  send(text: string): void;
  /** Lets go of it; nothing of it is told any more. */
  close(): void;
}

/** What a transport tells. After `closed` nothing. */
export interface TransportEvents {
  opened(): void;
  heard(text: string): void;
  /** With the close code of the protocol, or 1006 if there was none. */
  closed(code: number, reason: string): void;
}

/** Where no close code was given. */
export const ABNORMAL = 1006;
