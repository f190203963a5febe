/** What can go wrong, by stable codes. */

/** The codes of a hub's problem documents and of its refusals; docs/protocol.md says what to do about each. */
export type ProblemCode =
  | "activity_too_large" | "all_refused" | "body_timeout" | "body_too_large" | "body_unreadable" | "conflicting_parameters"
  | "cursor_reset" | "cursor_truncated" | "duplicate_field" | "empty_body" | "host_forbidden" | "internal" | "invalid_cursor"
  | "invalid_event_id" | "invalid_field" | "invalid_format" | "invalid_handshake" | "invalid_invocation_id" | "invalid_json" | "invalid_labels"
  | "invalid_last" | "invalid_limit" | "invalid_message" | "invalid_offset" | "invalid_page" | "invalid_path" | "invalid_query" | "invalid_search" | "invalid_series"
  | "invalid_series_id" | "invalid_task_id" | "invalid_time" | "invalid_timestamp" | "invalid_title" | "invocation_not_found" | "method_not_allowed"
  | "missing_field" | "number_too_long" | "origin_forbidden" | "queue_full" | "route_not_found" | "secret_in_id"
  | "status_transition" | "stopping" | "store_unavailable" | "task_mismatch" | "task_not_found" | "text_too_long" | "too_deep"
  | "too_many_activities" | "too_many_labels" | "too_many_subscriptions" | "too_many_tasks" | "unknown_field" | "unknown_list" | "unknown_op"
  | "unknown_parameter" | "unknown_status" | "unknown_type" | "unstorable" | "wrong_type";

/** The codes of what this package finds by itself. */
export type ClientCode =
  /** The hub did not answer, or not in time. */
  | "unreachable"
  /** What answers does not speak as a hub does. */
  | "not_a_hub"
  /** The token is missing, wrong or expired, and a new one did not help. */
  | "unauthorized"
  /** The token does not grant this. */
  | "forbidden"
  /** It was closed before this was done. */
  | "closed"
  /** The publisher's queue is full. */
  | "publisher_full"
  /** The publisher tried for as long as it may. */
  | "gave_up"
  /** The task is followed already by this viewer. */
  | "already_following"
  /** The caller's mistake: an argument that can never be right. */
  | "invalid_argument";

/** Further members of a problem document, such as `floor` of `cursor_truncated`. */
export type ProblemDetails = Readonly<Record<string, unknown>>;

/** Everything that this package throws or rejects with. Branch on `code`. */
export class TasklightError extends Error {
  override readonly name = "TasklightError";
  readonly code: ProblemCode | ClientCode | (string & {});
  /** The HTTP status, if a hub answered. */
  readonly status: number | undefined;
  /** The field, parameter or header at fault. */
  readonly field: string | undefined;
  readonly details: ProblemDetails;

  constructor(
    code: ProblemCode | ClientCode | (string & {}),
    message: string,
    more: { status?: number | undefined; field?: string | undefined; details?: ProblemDetails; cause?: unknown } = {},
  ) {
    super(`${message} (${code}${more.field === undefined ? "" : `, field ${more.field}`})`, { cause: more.cause });
    this.code = code;
    this.status = more.status;
    this.field = more.field;
    this.details = more.details ?? {};
  }
}
