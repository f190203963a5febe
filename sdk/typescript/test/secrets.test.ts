// What goes wrong never says the token.
import { inspect } from "node:util";
import { expect, onTestFinished, test } from "vitest";
import { Publisher } from "../src/publisher.js";
import { Hub as Rest } from "../src/rest.js";
import { Viewer } from "../src/viewer.js";
import { Hub, message } from "./hub.js";

const TOKENS = ["PLANTED-token", "PLANTED\nin two lines", "PLANTED…", "PLANTED with spaces", "PLANTED\0"];

/** Everything that an error tells, with its causes, as a log would show it. */
async function told(what: () => Promise<unknown>): Promise<string> {
  try {
    return inspect(await what(), { depth: 9 });
  } catch (error) {
    return inspect(error, { depth: 9 });
  }
}

async function saysNothing(hub: string, token: string | (() => string)): Promise<void> {
  const publisher = new Publisher({ hub, task: "t", token, patienceMs: 1, closeMs: 0 });
  onTestFinished(() => publisher.close());
  expect(await told(() => publisher.publish(message("x")))).not.toContain("PLANTED");
  const rest = new Rest({ hub, token });
  expect(await told(() => rest.task("nothing"))).not.toContain("PLANTED");
  const viewer = new Viewer({ hub, token });
  onTestFinished(() => { viewer.close(); });
  const following = viewer.follow("t");
  expect(inspect([publisher, rest, viewer, following], { depth: 9 })).not.toContain("PLANTED");
}

test.each(TOKENS)("neither errors nor what is printed of a client hold the token %j", async (token) => {
  const real = await Hub.start();
  onTestFinished(() => real.remove());
  for (const hub of ["http://127.0.0.1:1", real.url]) {
    // As it is, it may be refused at once.
    expect(await told(() => saysNothing(hub, token))).not.toContain("Headers");
    await saysNothing(hub, () => token);
  }
});

test.each(TOKENS.slice(1))("the token %j is refused by the name of its option", async (token) => {
  const wrong = { code: "invalid_argument", field: "token" };
  expect(() => new Rest({ token, hub: "http://127.0.0.1:1" })).toThrow(expect.objectContaining(wrong) as Error);
  await expect(new Rest({ token: () => token, hub: "http://127.0.0.1:1" }).task("t")).rejects.toMatchObject(wrong);
});
