// docs/asyncapi.json is an AsyncAPI 3 document in which the parser of its makers finds nothing to say.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";
import { Parser } from "@asyncapi/parser";

// The tests run beside their packages, away from the documents; the hub's program is told by its path, and the examples, too.
const file = new URL("../asyncapi.json", `file://${process.env.TASKLIGHT_EXAMPLES}/`);

test("the parser has neither errors nor warnings", async () => {
  const { document, diagnostics } = await new Parser().parse(readFileSync(file, "utf8"));
  assert.deepEqual(diagnostics.map(({ code, message, path }) => ({ code, message, path })), []);
  assert.match(document.version(), /^3\./);
  assert.deepEqual(document.channels().all().map((channel) => channel.id()).sort(), ["acks", "activities", "announcements", "socket", "stream"]);
});

test("a document that is wrong is found so", async () => {
  const wrong = JSON.parse(readFileSync(file, "utf8"));
  wrong.operations.answer.channel.$ref = "#/channels/nowhere";
  const { document } = await new Parser().parse(JSON.stringify(wrong));
  assert.equal(document, undefined);
});
