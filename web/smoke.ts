import { connectHub } from "./src/hub/connect.ts";
import { openTaskLog } from "./src/model/task-log.ts";
const hub = connectHub();
const w = window as any;
w.hub = hub;
w.lists = []; w.links = [];
hub.openList({ items: (i) => w.lists.push(...i) });
hub.onLink((s) => w.links.push(s.kind));
w.open = (t: string) => (w.log = openTaskLog(hub, t));
