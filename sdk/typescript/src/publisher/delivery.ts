/** What the hub's answer means for a batch, without I/O. */
import type { Receipt } from "../activity.js";
import { TasklightError } from "../error.js";
import type { Entry } from "./queue.js";

/** The longest wait that a hub may ask for. */
export const LONGEST_RETRY_AFTER_MS = 60_000;

/** What a failed request asks for. */
export type Fate =
  /** The same again, after a wait of at least so long. */
  | { readonly is: "retry"; readonly afterMs: number }
  /** Again with another token. */
  | { readonly is: "renew" }
  /** Again in two halves. */
  | { readonly is: "split" }
  /** It would never be taken. */
  | { readonly is: "refused" };

export function fateOf(error: TasklightError): Fate {
  const { status, code } = error;
  if (status === 401) return { is: "renew" };
  if (status === 413 && code !== "activity_too_large") return { is: "split" };
  const transient = status === undefined || status === 408 || status === 429 || 500 <= status;
  // An answer that no hub would give comes from something on the way, which may go.
  if (!transient && code !== "not_a_hub") return { is: "refused" };
  const asked = error.details["retryAfterMs"];
  return { is: "retry", afterMs: typeof asked === "number" ? Math.min(asked, LONGEST_RETRY_AFTER_MS) : 0 };
}

interface RawResult {
  readonly eventId?: string;
  readonly offset?: number;
  readonly cursor?: string;
  readonly duplicate?: boolean;
  readonly error?: { readonly code: string; readonly message: string; readonly field?: string };
}

/** Settles each of a batch by the results of an answer; throws if there is not one for each. Further results are of heartbeats. */
export function settle(batch: readonly Entry[], answer: unknown): void {
  const { results } = (answer ?? {}) as { results?: readonly RawResult[] };
  if (!Array.isArray(results) || results.length < batch.length) {
    throw new TasklightError("not_a_hub", `there are not results for all of ${batch.length.toString()} activities`);
  }
  for (const [index, entry] of batch.entries()) {
    const { error, ...receipt } = (results as readonly RawResult[])[index] ?? {};
    if (error) entry.reject(new TasklightError(error.code, error.message, { field: error.field }));
    else entry.resolve(receipt as Receipt);
  }
}
