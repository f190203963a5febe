/**
 * Signed envelopes around what is published over Redis, where hubs ask for them (docs/protocol.md, "Signed envelopes"). Publishing is the Redis client's
 * work; this seals what it publishes. For Node and whatever else has Web Crypto; a page has no business with such a key.
 */
import { TasklightError } from "./error.js";

const KEY = /^tle_([A-Za-z0-9]{1,32})_([A-Za-z0-9]{32,128})$/;

/** What the signed bytes begin with. */
const FORM = "tasklight-envelope-1";

/** Half of a pair, which no UTF-8 can hold: it would be sealed as something else than it is published as. */
const LONE_SURROGATE = /\p{Surrogate}/u;

/** A secret that an agent shares with the hubs, and its public name: `tle_ID_SECRET`. What is printed of it is its name. */
export class EnvelopeKey {
  /** Its public name. */
  readonly id: string;
  readonly #secret: Uint8Array<ArrayBuffer>;
  #imported: Promise<CryptoKey> | undefined;

  /** Throws `invalid_argument`, without the text, if it is no key. */
  constructor(text: string) {
    const [, id, secret] = KEY.exec(text) ?? [];
    if (id === undefined || secret === undefined) {
      throw new TasklightError("invalid_argument", "a key is tle_ID_SECRET, with 1 to 32 letters and digits for the id and 32 to 128 for the secret");
    }
    this.id = id;
    this.#secret = new TextEncoder().encode(secret);
  }

  /**
   * The envelope around `body`, the JSON text of an activity or an array of them, each with an `eventId`; to be published on `channel`, such as
   * `tasklight:task:build-42`, within some minutes of `at`, in epoch milliseconds. Seal anew each time that you send.
   */
  async seal(channel: string, body: string, at = Date.now()): Promise<string> {
    if (channel.includes("\n") || LONE_SURROGATE.test(channel)) {
      throw new TasklightError("invalid_argument", "a channel is one line of text", { field: "channel" });
    }
    if (LONE_SURROGATE.test(body)) {
      throw new TasklightError("invalid_argument", "the body has half of a surrogate pair in it: JSON.stringify writes it as an escape", { field: "body" });
    }
    if (!Number.isSafeInteger(at) || at < 0) {
      throw new TasklightError("invalid_argument", "a time is a whole number of milliseconds since 1970", { field: "at" });
    }
    this.#imported ??= crypto.subtle.importKey("raw", this.#secret, { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
    const signed = new TextEncoder().encode([FORM, channel, this.id, at.toString(), body].join("\n"));
    const mac = new Uint8Array(await crypto.subtle.sign("HMAC", await this.#imported, signed));
    const hex = Array.from(mac, (byte) => byte.toString(16).padStart(2, "0")).join("");
    return JSON.stringify({ signed: { key: this.id, at, body, mac: hex } });
  }
}
