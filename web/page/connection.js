// One WebSocket that comes back by itself: full jitter between tries, sooner or later as the hub advises when it stops.

const FIRST_WAIT_MS = 250;
const LONGEST_WAIT_MS = 10_000;
const SILENCE_MS = 60_000;
const FINAL_CODES = new Map([[4401, "access expired"], [4403, "access denied"]]);

export class Connection {
  #socket = null;
  #tries = 0;
  #advice = null;
  #silence = 0;
  #handlers;

  /** `handlers`: opened(send), message(object), lost(text, final). */
  constructor(handlers) {
    this.#handlers = handlers;
    this.#open();
  }

  send(message) {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message));
  }

  #open() {
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const socket = new WebSocket(`${scheme}://${location.host}/v1/ws`, "tasklight.v1");
    this.#socket = socket;
    this.#watch();
    socket.onopen = () => this.#handlers.opened();
    socket.onmessage = (event) => {
      this.#watch();
      const message = JSON.parse(event.data);
      if (message.op === "hello") this.#tries = 0;
      if (message.op === "drain") this.#advice = message.reconnectAfterMs;
      this.#handlers.message(message);
    };
    socket.onclose = (event) => this.#closed(event.code);
  }

  #watch() {
    clearTimeout(this.#silence);
    this.#silence = setTimeout(() => this.#socket?.close(), SILENCE_MS);
  }

  #closed(code) {
    clearTimeout(this.#silence);
    const final = FINAL_CODES.get(code);
    if (final) {
      this.#handlers.lost(final, true);
      return;
    }
    const bound = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** this.#tries);
    const wait = this.#advice ?? Math.random() * bound;
    this.#tries = Math.min(this.#tries + 1, 10);
    this.#advice = null;
    this.#handlers.lost("reconnecting", false);
    setTimeout(() => this.#open(), wait);
  }
}
