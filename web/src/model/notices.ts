/** What is worth telling somebody who is not looking. Pure: from how a task was and how it is. */
import type { Summary } from "./tasks.ts";

export interface Notice {
  readonly kind: "failed" | "lost" | "waiting";
  readonly taskId: string;
  readonly title: string;
  readonly body: string;
  /** The same for the same event, wherever it is seen. */
  readonly key: string;
}

/** How many told events are remembered. */
export const MOST_TOLD = 1_000;

export class Notices {
  readonly #told = new Set<string>();

  /**
   * What the change means to a person, once for each event. Without a `before` the task is new to this page: then its past is not news. Only
   * what is heard after the list was complete belongs here.
   */
  hear(before: Summary | undefined, after: Summary): Notice | undefined {
    if (!before || before.epoch !== after.epoch) return undefined;
    const notice = noticeOf(before, after);
    if (!notice || this.#told.has(notice.key)) return undefined;
    this.#told.add(notice.key);
    const [oldest] = this.#told;
    if (MOST_TOLD < this.#told.size && oldest !== undefined) this.#told.delete(oldest);
    return notice;
  }
}

function noticeOf(before: Summary, after: Summary): Notice | undefined {
  const { taskId, epoch } = after;
  const name = after.title ?? "";
  const run = (status: "failed" | "lost"): string => (after.invocationCounts[status] ?? 0).toString();
  if (after.stalled?.reason === "waiting" && before.stalled?.reason !== "waiting") {
    const key = `${taskId}/${epoch}/waiting/${after.stalled.since.toString()}`;
    return { kind: "waiting", taskId, title: `${taskId} needs you`, body: name || "It waits for a person.", key };
  }
  if (after.status === "failed" && before.status !== "failed") {
    return { kind: "failed", taskId, title: `${taskId} failed`, body: name, key: `${taskId}/${epoch}/failed/${run("failed")}` };
  }
  if (after.status === "lost" && before.status !== "lost") {
    return { kind: "lost", taskId, title: `${taskId} is lost`, body: name || "Nobody has heard from it.", key: `${taskId}/${epoch}/lost/${run("lost")}` };
  }
  return undefined;
}

/** Whether a notice is told, as things are: not to somebody who looks at the task. */
export function isTold(notice: Notice, page: { readonly hidden: boolean; readonly task: string | undefined }): boolean {
  return page.hidden || page.task !== notice.taskId;
}
