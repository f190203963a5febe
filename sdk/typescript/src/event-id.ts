/** Idempotency keys: UUIDs of version 7 (RFC 9562), so that they sort by time. */

const RANDOM_BYTES = 10;

let last = { millis: 0, counter: 0 };

/**
 * A new key. Those of one process ascend: within a millisecond a counter of 12 bits does it, and when that is full the next
 * millisecond is begun early. Needs no secure context.
 */
export function newEventId(now = Date.now()): string {
  const millis = Math.max(now, last.millis);
  const counter = millis === last.millis ? last.counter + 1 : 0;
  last = 0xfff < counter ? { millis: millis + 1, counter: 0 } : { millis, counter };
  const time = last.millis.toString(16).padStart(12, "0");
  const random = crypto.getRandomValues(new Uint8Array(RANDOM_BYTES));
  const hex = Array.from(random, (byte) => byte.toString(16).padStart(2, "0")).join("");
  const variant = (0x8 | ((random[0] ?? 0) & 0x3)).toString(16);
  const version = `7${last.counter.toString(16).padStart(3, "0")}`;
  return `${time.slice(0, 8)}-${time.slice(8)}-${version}-${variant}${hex.slice(2, 5)}-${hex.slice(5, 17)}`;
}
