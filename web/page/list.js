// The live list of tasks, newest activity first.
import { say } from "/assets/app.js";
import { Connection } from "/assets/connection.js";
import { ago, element, exact } from "/assets/dom.js";

const MOST_ROWS = 500;
const main = document.getElementById("main");
const tasks = new Map();
let complete = false;
let pending = false;

export function showList() {
  document.getElementById("title").textContent = "Tasks";
  const connection = new Connection({
    opened() {
      tasks.clear();
      complete = false;
      connection.send({ op: "subscribe", list: "tasks" });
      say("behind", "loading");
    },
    message(message) {
      if (message.op === "live") {
        complete = true;
        say("live", "live");
      } else if (message.op === "task" && message.deleted) tasks.delete(message.taskId);
      else if (message.op === "task") tasks.set(message.taskId, message);
      else return;
      redrawSoon();
    },
    lost: (text, final) => say(final ? "bad" : "warn", text),
  });
  setInterval(redrawSoon, 15_000);
}

function redrawSoon() {
  if (pending || !complete) return;
  pending = true;
  requestAnimationFrame(() => {
    pending = false;
    redraw();
  });
}

const listedAt = (task) => task.lastActivityAt ?? task.createdAt;

function redraw() {
  if (tasks.size === 0) {
    main.replaceChildren(lesson());
    return;
  }
  const newest = [...tasks.values()].sort((a, b) => listedAt(b) - listedAt(a));
  const rows = newest.slice(0, MOST_ROWS).map(row);
  const rest = newest.length - rows.length;
  main.replaceChildren(
    element("ul", { class: "tasks" }, ...rows),
    rest > 0 ? element("p", { class: "note" }, `and ${rest} more: tasklight tasks list`) : "",
  );
}

function row(task) {
  const status = task.status ?? "empty";
  const counts = Object.entries(task.invocationCounts).map(([name, count]) => `${count} ${name}`).join(", ");
  const labels = Object.entries(task.labels).map(([name, value]) => element("span", { class: "label" }, value ? `${name}=${value}` : name));
  return element(
    "li",
    {},
    element(
      "a",
      { href: `/tasks/${encodeURIComponent(task.taskId)}`, class: "task" },
      element("span", { class: `dot ${status}`, title: status, role: "img", "aria-label": status }),
      element("span", { class: "id" }, task.taskId),
      element("span", { class: "about" }, task.title ?? "", ...labels),
      element("span", { class: "counts" }, counts),
      element("span", { class: "offset" }, `#${task.head}`),
      element("time", { title: exact(listedAt(task)) }, ago(listedAt(task))),
    ),
  );
}

/** What to do when there is nothing yet. */
function lesson() {
  const hub = location.origin;
  const flag = hub === "http://127.0.0.1:8080" ? "" : ` --hub ${hub}`;
  const body = `{"invocationId":"me","type":"message","data":{"text":"hello"}}`;
  const commands = [
    ["Wrap any command and watch it here", `tasklight run${flag} --task build -- make`],
    ["Publish from anything that speaks HTTP", `curl ${hub}/v1/tasks/hello/activities -d '${body}'`],
    ["Follow it in a terminal", `tasklight tail${flag} build`],
  ];
  const items = commands.map(([what, command]) => element("li", {}, element("p", {}, what), element("pre", {}, element("code", {}, command))));
  return element("section", { class: "lesson" }, element("h2", {}, "Nothing has been published yet"), element("ol", {}, ...items));
}
