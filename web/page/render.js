// One activity as an element, by its type. Blocks of terminal output take several.
import { appendTerminal, visible } from "/assets/ansi.js";
import { clock, element, exact } from "/assets/dom.js";

const LONGEST_TEXT = 20_000;

const shortened = (text) => (text.length > LONGEST_TEXT ? `${text.slice(0, LONGEST_TEXT)}\n… ${text.length - LONGEST_TEXT} more characters` : text);
const words = (value) => visible(shortened(typeof value === "string" ? value : JSON.stringify(value, null, 2) ?? ""));
const text = (value) => (typeof value === "string" ? value : JSON.stringify(value) ?? "");

/** Whether `activity` goes into the block that `last` began: consecutive output of one stream, or pieces of one series. */
export function continues(last, activity) {
  if (!last || last.invocationId !== activity.invocationId || last.type !== activity.type) return false;
  if (activity.type === "output") return last.data.stream === activity.data.stream;
  return isPiece(activity) && last.data.seriesId === activity.data.seriesId;
}

export const isPiece = (activity) => activity.data.seriesId !== undefined && activity.data.delta === true;

/** A new block for the activity. */
export function block(activity) {
  const { type, data } = activity;
  const body = element("div", { class: "body" });
  const kind = type === "output" && data.stream === "stderr" ? "output stderr" : type;
  const made = element(
    "article",
    { class: `activity ${kind}`, id: String(activity.offset), tabindex: "-1" },
    element("a", { class: "place", href: `#${activity.offset}`, title: `${activity.invocationId} · ${exact(activity.timestamp)}` }, clock(activity.timestamp)),
    element("span", { class: "who", title: activity.invocationId }, visible(activity.invocationId)),
    body,
  );
  (PAINTERS[type] ?? PAINTERS.custom)(body, data, activity);
  return made;
}

/** More of what the block shows. */
export function extend(made, activity) {
  const body = made.querySelector(".body");
  if (activity.type === "output") {
    const pre = body.querySelector("pre");
    made.terminal = appendTerminal(pre, text(activity.data.text), made.terminal);
  } else body.querySelector(".text").append(words(activity.data.text ?? ""));
}

const paragraph = (className, value) => element("div", { class: `text ${className}` }, words(value ?? ""));

function folded(summary, content, open = false) {
  const details = element("details", {}, element("summary", {}, ...summary), content);
  details.open = open;
  return details;
}

const PAINTERS = {
  status(body, data) {
    const more = [data.title, data.reason, data.exitCode === undefined ? null : `exit ${data.exitCode}`].filter(Boolean).map(text);
    body.append(element("span", { class: `dot ${text(data.status)}` }), element("b", {}, visible(text(data.status))), ` ${visible([data.agent, ...more].filter(Boolean).map(text).join(" · "))}`);
  },
  message(body, data) {
    if (data.role) body.append(element("span", { class: "role" }, visible(text(data.role))));
    body.append(paragraph("", data.text));
  },
  thinking(body, data) {
    body.append(folded(["thinking"], paragraph("faint", data.text)));
  },
  tool_call(body, data) {
    const input = data.input ?? {};
    const line = text(input.command ?? input.file_path ?? input.path ?? input.query ?? input.pattern ?? "");
    body.append(folded([element("b", {}, visible(text(data.name ?? "tool"))), ` ${visible(line.slice(0, 200))}`], element("pre", {}, words(input))));
  },
  tool_result(body, data) {
    const output = typeof data.output === "string" ? data.output : JSON.stringify(data.output ?? null, null, 2);
    const pre = element("pre", {});
    appendTerminal(pre, shortened(output));
    const first = output.split("\n", 1)[0].slice(0, 120);
    body.append(folded([data.isError ? element("b", { class: "bad" }, "failed ") : "result ", visible(first)], pre, Boolean(data.isError)));
  },
  output(body, data, activity) {
    const pre = element("pre", {});
    body.append(pre);
    body.parentElement.terminal = appendTerminal(pre, text(data.text ?? activity.data));
  },
  progress(body, data) {
    const percent = data.percent ?? (data.total > 0 ? (100 * data.current) / data.total : undefined);
    if (Number.isFinite(percent)) body.append(element("progress", { max: "100", value: String(Math.min(100, Math.max(0, percent))) }), ` ${Math.round(percent)}% `);
    body.append(visible(text(data.text ?? "")));
  },
  error(body, data) {
    body.append(element("b", { class: "bad" }, "error "), data.code ? `${visible(text(data.code))} ` : "", paragraph("bad", data.message));
  },
  usage(body, data) {
    const cost = typeof data.costUsd === "number" ? `$${data.costUsd.toFixed(4)}` : null;
    const parts = [data.inputTokens && `${data.inputTokens} in`, data.outputTokens && `${data.outputTokens} out`, cost].filter(Boolean);
    body.append(element("span", { class: "faint" }, `usage ${parts.join(" · ") || JSON.stringify(data)}`));
  },
  custom(body, data) {
    body.append(folded([visible(text(data.name ?? "custom"))], element("pre", {}, words(data))));
  },
};
