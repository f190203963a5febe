// The live tail of one task: what is shown is what is stored, and where it is not, the page says so.
import { say } from "/assets/app.js";
import { Connection } from "/assets/connection.js";
import { element } from "/assets/dom.js";
import { block, continues, extend, isPiece } from "/assets/render.js";

const MOST_ACTIVITIES = 2_000;
const FIRST_ACTIVITIES = 1_000;
const OLDER_PAGE = 200;
const NEAR_END_PX = 80;

const main = document.getElementById("main");
const more = document.getElementById("more");

let task;
let connection;
let epoch = null;
/** Everything up to here has been taken; null before the first `subscribed`. */
let offset = null;
let live = false;
/** Asked again after a loss: what still comes of the old subscription is passed over. */
let asking = false;
let head = 0;
let waiting = [];
let unseen = 0;
/** Blocks on the page, oldest first: {element, first activity, offsets it holds}. */
let blocks = [];
let shown = 0;

export function showTask(id) {
  task = id;
  document.title = `${id} · Tasklight`;
  document.getElementById("title").textContent = id;
  main.replaceChildren(element("button", { id: "older", type: "button", hidden: "", onclick: loadOlder }, "show older ones"), element("div", { id: "log", role: "log", "aria-label": `activities of ${id}` }), element("p", { id: "note", class: "note" }));
  connection = new Connection({ opened: subscribe, message: take, lost: (text, final) => say(final ? "bad" : "warn", text) });
  more.addEventListener("click", () => scrollTo({ top: document.body.scrollHeight }));
  addEventListener("scroll", () => atEnd() && seeAll(), { passive: true });
}

function subscribe() {
  const from = epoch !== null && offset !== null ? { after: `${epoch}-${offset}`, last: FIRST_ACTIVITIES } : { last: FIRST_ACTIVITIES };
  live = false;
  asking = true;
  connection.send({ op: "subscribe", task, ...from });
}

function take(message) {
  switch (message.op) {
    case "subscribed":
      asking = false;
      head = message.head;
      if (epoch === null && message.epoch !== null) {
        epoch = message.epoch;
        offset = Number(message.after.split("-")[1]);
      }
      if (message.epoch === null) say("behind", "waiting for the task");
      break;
    case "activity":
      takeActivity(message);
      break;
    case "live":
      live = true;
      head = message.offset;
      break;
    case "cursor":
      offset = message.offset;
      break;
    case "reset":
      clear();
      epoch = message.epoch;
      offset = null;
      note("The log was started over: the task was deleted and made again, or the hub was restored from a backup.");
      break;
    case "truncated":
      offset = message.floor - 1;
      note(`Activities below #${message.floor} are no longer kept.`);
      break;
    case "heartbeat":
      head = message.heads[task] ?? head;
      break;
    case "unsubscribed":
      live = false;
      note("The task was deleted. If it is made again, it appears here.");
      subscribe();
      return;
    case "error":
      note(`The hub says: ${message.message}`);
      break;
  }
  tell();
}

function takeActivity(activity) {
  if (asking) return;
  const life = activity.cursor.split("-")[0];
  if (epoch === null) epoch = life;
  if (offset !== null && activity.offset <= offset && life === epoch) return;
  if (offset !== null && activity.offset !== offset + 1) {
    note(`#${offset + 1} to #${activity.offset - 1} did not arrive; asking again.`);
    subscribe();
    return;
  }
  offset = activity.offset;
  head = Math.max(head, offset);
  waiting.push(activity);
  if (waiting.length === 1) requestAnimationFrame(paint);
}

function tell() {
  if (epoch === null) return;
  const behind = head - (offset ?? 0);
  if (live && behind <= 0) say("live", `live · complete to #${offset ?? 0}`);
  else if (live) say("live", "live");
  else say("behind", `catching up · ${Math.max(0, behind)} behind`);
}

function paint() {
  const follow = atEnd();
  const log = document.getElementById("log");
  const some = waiting;
  waiting = [];
  for (const activity of some) append(log, activity);
  trim();
  tell();
  const wanted = location.hash.slice(1);
  if (wanted && document.getElementById(wanted)) {
    document.getElementById(wanted).scrollIntoView({ block: "center" });
    history.replaceState(null, "", location.pathname);
  } else if (follow) scrollTo({ top: document.body.scrollHeight });
  else {
    unseen += some.length;
    more.textContent = `${unseen} new ↓`;
    more.hidden = false;
  }
}

function append(log, activity) {
  const last = blocks.at(-1);
  shown += 1;
  if (last && continues(last.first, activity)) {
    extend(last.element, activity);
    last.count += 1;
    return;
  }
  if (activity.data.seriesId !== undefined && !isPiece(activity)) dropPieces(activity);
  const made = block(activity);
  log.append(made);
  blocks.push({ element: made, first: activity, count: 1 });
}

/** The whole text is here: the pieces that it was made of go. */
function dropPieces(final) {
  const isPart = (entry) => isPiece(entry.first) && entry.first.invocationId === final.invocationId && entry.first.data.seriesId === final.data.seriesId;
  for (const entry of blocks.filter(isPart)) {
    entry.element.remove();
    shown -= entry.count;
  }
  blocks = blocks.filter((entry) => !isPart(entry));
}

function trim() {
  while (shown > MOST_ACTIVITIES && blocks.length > 1) {
    const oldest = blocks.shift();
    oldest.element.remove();
    shown -= oldest.count;
  }
  const first = blocks[0]?.first.offset ?? 1;
  document.getElementById("older").hidden = first <= 1;
}

async function loadOlder() {
  const first = blocks[0]?.first.offset;
  if (!first || epoch === null) return;
  const answer = await fetch(`/v1/tasks/${encodeURIComponent(task)}/activities?limit=${OLDER_PAGE}&before=${epoch}-${first}`);
  const page = await answer.json();
  if (!answer.ok) {
    note(`Older activities could not be read: ${page.detail}`);
    return;
  }
  const [kept, log] = [blocks, document.getElementById("log")];
  const holder = document.createElement("div");
  blocks = [];
  for (const activity of page.activities) append(holder, activity);
  const height = document.body.scrollHeight;
  log.prepend(...holder.childNodes);
  blocks.push(...kept);
  scrollBy({ top: document.body.scrollHeight - height });
  document.getElementById("older").hidden = page.next === null;
}

function clear() {
  document.getElementById("log").replaceChildren();
  blocks = [];
  waiting = [];
  shown = 0;
}

function note(text) {
  document.getElementById("note").textContent = text;
}

function atEnd() {
  return innerHeight + scrollY >= document.body.scrollHeight - NEAR_END_PX;
}

function seeAll() {
  unseen = 0;
  more.hidden = true;
}
