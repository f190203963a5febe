// Follows tasks with the TypeScript SDK, over one WebSocket, and prints a line for each thing it is given, in the words of the protocol.
//
//   node follow.mjs SDK_FOLDER HUB TASK…
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [folder, hub, ...tasks] = process.argv.slice(2);
const { Viewer } = await import(pathToFileURL(`${folder}/dist/viewer.js`));
// Node 20 has no WebSocket of its own.
const { WebSocket } = createRequire(pathToFileURL(`${folder}/package.json`))("ws");

const say = (message) => process.stdout.write(`${JSON.stringify(message)}\n`);

let connected = false;
const viewer = new Viewer({
  hub,
  WebSocket,
  onLink: (state) => {
    const now = state.kind === "open";
    if (now && !connected) say({ op: "connected" });
    connected = now;
  },
});

for (const task of tasks) {
  viewer.follow(task, {
    onItem: (item) => {
      if (item.kind === "activity") {
        const { taskId, offset, cursor, eventId, data } = item.activity;
        say({ op: "activity", taskId, offset, cursor, eventId, data: { n: data.n } });
      } else if (item.kind === "reset") {
        say({ op: "reset", task, epoch: item.epoch });
      } else if (item.kind !== "live") {
        say({ op: item.kind, task });
      }
    },
    onEnd: (error) => say({ op: "ended", task, reason: String(error) }),
  });
}
