/** An entry on the clipboard: its link, its text, or its activities as they are stored. */
import type { Entry } from "../../model/entry.ts";
import { activitiesOf, plainText } from "../../model/place.ts";
import { copyText } from "../../ui/copy.tsx";
import { goTo, taskAddress } from "../../ui/route.ts";
import type { TaskView } from "./view.ts";

/** So many activities of one entry are copied as JSON. */
const MOST_COPIED = 1_000;

/** The link to it; the address becomes the same, so that it can be taken from there too. */
export async function copyLink(view: TaskView, entry: Entry): Promise<void> {
  const address = taskAddress(view.log.task, entry.key);
  view.mark(entry.key);
  goTo(address, "replace");
  told(view, await copyText(new URL(address, location.href).href), "link copied");
}

export async function copyWords(view: TaskView, entry: Entry): Promise<void> {
  told(view, await copyText(plainText(await whole(view, entry))), "text copied");
}

/** One activity a line, whole even where only the beginning is held. */
export async function copyJson(view: TaskView, entry: Entry): Promise<void> {
  const held = new Map(view.log.activities().map((activity) => [activity.offset, activity]));
  try {
    const lines: string[] = [];
    for (const offset of activitiesOf(entry).slice(0, MOST_COPIED)) {
      const activity = held.get(offset);
      lines.push(JSON.stringify(activity && !view.log.isCut(activity) ? activity : await view.log.full(offset)));
    }
    told(view, await copyText(lines.join("\n")), "JSON copied");
  } catch {
    view.say("could not be loaded");
  }
}

/** The entry with its payload whole, where that is a single activity. */
async function whole(view: TaskView, entry: Entry): Promise<Entry> {
  if (!("activity" in entry) || !view.log.isCut(entry.activity)) return entry;
  const activity = await view.log.full(entry.activity.offset);
  const text = activity.data["text"];
  return "text" in entry ? { ...entry, activity, text: typeof text === "string" ? text : entry.text } : { ...entry, activity };
}

function told(view: TaskView, isCopied: boolean, words: string): void {
  view.say(isCopied ? words : "could not copy");
}
