// Which view the address asks for, and the badge that tells the truth about the connection.
import { showList } from "/assets/list.js";
import { showTask } from "/assets/task.js";

const badge = document.getElementById("badge");

/** Shows a state: `kind` is live, behind, warn or bad and gives the colour. */
export function say(kind, text) {
  if (badge.textContent !== text) badge.textContent = text;
  badge.dataset.kind = kind;
}

const match = /^\/tasks\/([^/]+)$/.exec(location.pathname);
if (match) showTask(decodeURIComponent(match[1]));
else showList();
