// Payloads that were made to break a stream of events, through a parser that is not ours, cut everywhere: what it gives is what REST gives, byte for byte.
import assert from "node:assert/strict";
import { test } from "node:test";
import { createParser } from "eventsource-parser";
import { Hub, within } from "./hub.mjs";

/** Texts of JSON strings, as they are sent: with escapes, and with characters that need none. */
const STRINGS = [
  ..."\u2028 \u2029 \u0085 \ufeff \u007f \u0080 \u{10ffff} \u{1f468}\u200d\u{1f469}\u200d\u{1f467}".split(" "),
  ..."\\r \\n \\r\\n \\n\\n \\u000a \\u000d\\u000a \\u2028 \\ufeff \\u0000 \\ud800 \\udc00 \\ud83d\\ude00 \\u000b\\f\\u001c\\u0085".split(" "),
  ..."data: id: event: retry: data:x id:1 event:live retry:1 : :comment".split(" "),
  "data: {}\\n\\ndata: forged\\n\\n",
  "\\nevent: live\\ndata: {}\\n\\n",
  "id: 00000000-9\\n\\n",
  '\\"},\\"op\\":\\"live\\",{\\"',
  "\\\\n\\\\r",
];

const LONG = ["x".repeat(60_000), "\u{1f600}".repeat(15_000), "\\n".repeat(30_000), "é\u2028".repeat(12_000)];

const item = (text) => `{"invocationId":"r","type":"message","data":{"text":"${text}", "${text.slice(0, 40).replace(/\\u?$/, "")}": [1.50, null]}}`;
const plainItem = (text) => `{"invocationId":"r","type":"message","data":{"text":"${text}"}}`;

async function publish(hub, task, items) {
  const answer = await fetch(`${hub.url}/v1/tasks/${task}/activities`, { method: "POST", body: `[${items.join(",")}]` });
  const { results } = await answer.json();
  assert.ok(answer.ok && results.every(({ offset }) => offset), JSON.stringify(results).slice(0, 2_000));
}

/** What REST gives, a line for each activity. */
async function lines(hub, task) {
  const answer = await fetch(`${hub.url}/v1/tasks/${task}/activities?format=ndjson`);
  return (await answer.text()).split("\n").filter(Boolean);
}

/** The bytes of the stream up to where it has caught up. */
async function bytes(hub, task) {
  const answer = await fetch(`${hub.url}/v1/tasks/${task}/stream`);
  const reader = answer.body.getReader();
  let all = Buffer.alloc(0);
  const caughtUp = () => /\nevent: live\ndata: [^\n]*\n\n$/.test(all.subarray(-300).toString());
  while (!caughtUp()) all = Buffer.concat([all, (await within(reader.read(), "more of the stream")).value]);
  await reader.cancel();
  return all;
}

/** The data of every activity, and the place that its event names. */
function parse(chunks) {
  const found = [];
  const decoder = new TextDecoder();
  const parser = createParser({ onEvent: ({ id, event, data }) => event ?? found.push([id, data]) });
  for (const chunk of chunks) parser.feed(decoder.decode(chunk, { stream: true }));
  return found;
}

/** The same by REST: the stream's form has one member more, at its beginning. */
const expected = (all) => all.map((line) => [JSON.parse(line).cursor, `{"op":"activity",${line.slice(1)}`]);

test("hostile payloads come through a foreign parser byte for byte, cut at every byte", async () => {
  const hub = await Hub.start();
  try {
    await publish(hub, "t", STRINGS.map(item));
    const [rest, stream] = [expected(await lines(hub, "t")), await bytes(hub, "t")];
    assert.equal(rest.length, STRINGS.length);
    assert.deepEqual(parse([stream]), rest);
    for (let at = 1; at < stream.length; at += 1) {
      assert.deepEqual(parse([stream.subarray(0, at), stream.subarray(at)]), rest, `cut after ${at} bytes`);
    }
    assert.deepEqual(parse(Array.from(stream, (byte) => Uint8Array.of(byte))), rest, "one byte at a time");
  } finally {
    await hub.remove();
  }
});

test("so do payloads of 64 KiB, in any pieces", async () => {
  const hub = await Hub.start();
  try {
    await publish(hub, "t", LONG.map(plainItem));
    const [rest, stream] = [expected(await lines(hub, "t")), await bytes(hub, "t")];
    assert.ok(rest.every(([, data]) => data.length > 24_000));
    for (const size of [1, 2, 3, 7, 1_000, 4_096, 65_537]) {
      const chunks = Array.from({ length: Math.ceil(stream.length / size) }, (_, n) => stream.subarray(n * size, (n + 1) * size));
      assert.deepEqual(parse(chunks), rest, `pieces of ${size}`);
    }
  } finally {
    await hub.remove();
  }
});
