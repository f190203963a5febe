// The bytes of a stream through a parser that is not ours, however they are cut.
import assert from "node:assert/strict";
import { test } from "node:test";
import { createParser } from "eventsource-parser";
import { Hub, message, plain, within } from "./hub.mjs";

const COUNT = 300;

/** Numbers that look random and are the same in every run. */
function* numbers(seed) {
  for (let state = seed; ; ) {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
    yield state / 2_147_483_648;
  }
}

function parse(chunks) {
  const events = [];
  const parser = createParser({ onEvent: (event) => events.push(event) });
  chunks.forEach((chunk) => parser.feed(chunk));
  return events.filter(({ event }) => event === undefined).map(({ data }) => plain(JSON.parse(data)));
}

test("any cut of the stream gives the same activities, and a cut connection continues exactly", async () => {
  const hub = await Hub.start();
  try {
    await hub.publish("t", ...Array.from({ length: COUNT }, (_, n) => message(`é${n}\n\ndata: \u{1f600}`.repeat((n % 5) + 1))));
    const log = await hub.log("t");
    const text = await read(hub, undefined, (so_far) => so_far.includes("event: live"));
    assert.deepEqual(parse([text]), log);
    const random = numbers(7);
    for (let round = 0; round < 5; round += 1) {
      const chunks = [];
      for (let at = 0; at < text.length; ) {
        const size = 1 + Math.floor(random.next().value * 400);
        chunks.push(text.slice(at, at + size));
        at += size;
      }
      assert.deepEqual(parse(chunks), log, `round ${round}`);
      const cut = text.slice(0, Math.floor(random.next().value * text.length));
      const before = parse([cut]);
      const rest = await read(hub, before.at(-1)?.cursor, (so_far) => so_far.includes("event: live"));
      assert.deepEqual([...before, ...parse([rest])], log, `cut after ${cut.length} characters`);
    }
  } finally {
    await hub.remove();
  }
});

/** The stream's text until `enough`. */
async function read(hub, lastEventId, enough) {
  const headers = lastEventId ? { "last-event-id": lastEventId } : {};
  const answer = await fetch(`${hub.url}/v1/tasks/t/stream`, { headers });
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  while (!enough(text) || !text.endsWith("\n\n")) text += (await within(reader.read(), "more of the stream")).value;
  await reader.cancel();
  return text;
}
