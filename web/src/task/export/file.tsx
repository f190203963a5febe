/**
 * A task's log as one file that needs nothing else: the timeline's own renderers, made still, without a script and with a policy that allows none. Pages are read and
 * rendered one after the other, so that no more of the log is held than a page and what was written of the file.
 */
import { For } from "solid-js";
import { render } from "solid-js/web";
import type { Activity } from "tasklight/viewer";
import type { HubSource } from "../../hub/source.ts";
import { Entries } from "../../model/entries.ts";
import type { Entry } from "../../model/entry.ts";
import { visible } from "../../model/text.ts";
import { clockTime } from "../../ui/badge.ts";
import { exact } from "../../ui/time.tsx";
import { Body } from "../timeline/body.tsx";
import { Folds } from "../timeline/folding.ts";
import { RenderingContext } from "../timeline/rendering.ts";
import { colourOf, shortName } from "../timeline/run-names.ts";
import bodyCss from "../timeline/body.css?inline";
import themeCss from "../../style/theme.css?inline";
import statusCss from "../../ui/status.css?inline";
import fileCss from "./file.css?inline";

/** A file holds no more than this. */
export const MOST_IN_FILE = 50_000;
export const LARGEST_FILE = 64 * 1024 * 1024;

/** Activities are rendered so many at a time; calls are paired with their results within about as many. */
const BATCH = 1_000;

export interface Told {
  readonly activities: number;
  readonly through: number;
  readonly head: number;
}

export interface Exported {
  readonly file: Blob;
  readonly activities: number;
  /** Where the file ends although the log goes on. */
  readonly cutAt: number | undefined;
}

/** Makes the file. Tells how far it is; ends with an `AbortError` when the signal says so. */
export async function exportFile(hub: HubSource, task: string, title: string | undefined, told: (told: Told) => void, signal: AbortSignal): Promise<Exported> {
  const parts: string[] = [];
  let [size, count, through] = [0, 0, 0];
  let cutAt: number | undefined;
  const { head } = await hub.rest.task(task);
  const add = (html: string): void => {
    parts.push(html);
    size += html.length;
  };
  add(before(task, title, head));
  let waiting: Activity[] = [];
  const write = (): void => {
    add(rendered(waiting));
    through = waiting.at(-1)?.offset ?? through;
    waiting = [];
  };
  for await (const activity of hub.rest.history(task)) {
    signal.throwIfAborted();
    waiting.push(activity);
    count += 1;
    if (waiting.length < BATCH) continue;
    write();
    told({ activities: count, through, head });
    if (MOST_IN_FILE <= count || LARGEST_FILE <= size) {
      cutAt = through;
      break;
    }
    await breath();
  }
  write();
  add(after(cutAt));
  return { file: new Blob(parts, { type: "text/html" }), activities: count, cutAt };
}

/** Lets the page paint. */
const breath = (): Promise<void> => new Promise((resolve) => setTimeout(resolve));

/** The activities as HTML. Elements are made as on the page and written out by the browser, which escapes every text. */
export function rendered(activities: readonly Activity[]): string {
  const entries = new Entries();
  entries.append(activities);
  const { list } = entries;
  const names = new Map(list.flatMap((entry) => (entry.kind === "tool" && entry.toolCallId !== undefined ? [[entry.toolCallId, entry.name] as const] : [])));
  const place = document.implementation.createHTMLDocument("").createElement("div");
  const dispose = render(
    () => (
      <RenderingContext.Provider
        value={{
          isStatic: true,
          folds: new Folds(),
          isFollowing: () => false,
          nameOf: (id) => names.get(id),
          isCut: () => false,
          full: () => Promise.reject(new Error("a file asks nobody")),
        }}
      >
        <For each={list}>{(entry) => <StillRow entry={entry} />}</For>
      </RenderingContext.Provider>
    ),
    place,
  );
  const writer = new XMLSerializer();
  const html = Array.from(place.children, (child) => asHtml(writer.serializeToString(child))).join("\n");
  dispose();
  return html;
}

/** What the serializer writes is XHTML: an empty element that is no void one needs its end, or HTML takes what follows as its content. */
const asHtml = (text: string): string => text.replaceAll(/ xmlns="http:\/\/www\.w3\.org\/(?:1999\/xhtml|2000\/svg)"/g, "").replaceAll(/<(?!area|br|hr|img|input|meta|wbr)([a-z]+)((?: [a-z-]+="[^"<>]*")*) ?\/>/g, "<$1$2></$1>");

const StillRow = (props: { entry: Entry }) => (
  <article class="tl-row" id={props.entry.key.toString()} data-kind={props.entry.kind} data-run={colourOf(props.entry.invocationId)} data-sub={props.entry.parent === undefined ? undefined : colourOf(props.entry.parent)}>
    <a class="tl-time" href={`#${props.entry.key.toString()}`} title={`#${props.entry.key.toString()} · ${exact(props.entry.timestamp)}`}>
      {clockTime(props.entry.timestamp)}
    </a>
    <span class="tl-who">{shortName(props.entry.invocationId)}</span>
    <div class="tl-body">
      <Body entry={props.entry} />
    </div>
  </article>
);

const ESCAPES: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };

export const escaped = (text: string): string => visible(text).replaceAll(/[&<>"']/g, (char) => ESCAPES[char] ?? "");

function before(task: string, title: string | undefined, head: number): string {
  const name = escaped(task);
  const said = title === undefined ? "" : `<p>${escaped(title)}</p>`;
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="referrer" content="no-referrer"><title>${name}</title>
<style>${[themeCss, statusCss, bodyCss, fileCss].join("\n").replaceAll("</", "<\\/")}</style></head>
<body><header><h1>${name}</h1>${said}<p class="file-note">Exported from ${escaped(location.origin)} on ${escaped(exact(Date.now()))}; the log reached to #${head.toString()}.</p></header>
<main>
`;
}

const after = (cutAt: number | undefined): string =>
  cutAt === undefined
    ? "\n</main></body></html>\n"
    : `\n<p class="tl-hole">This file ends at #${cutAt.toString()}: it holds at most ${MOST_IN_FILE.toLocaleString("en")} activities and ${(LARGEST_FILE / 1024 / 1024).toString()} MiB. The log goes on.</p></main></body></html>\n`;
