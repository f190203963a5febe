/** Activities as they are published and as every viewer sees them. */

/** The types that a hub takes. A newer hub may show others. */
export type ActivityType =
  "status" | "message" | "thinking" | "tool_call" | "tool_result" | "output" | "progress" | "error" | "usage" | "custom";

/** Where an invocation stands. */
export type Status = "pending" | "running" | "completed" | "failed" | "cancelled" | "lost";

/** An activity's content. What its fields are follows from the type by agreement; the hub checks only those of `status`. */
export type Data = Readonly<Record<string, unknown>>;

/** An activity to be published. */
export interface NewActivity {
  /** The run that it belongs to; an unknown one begins with it. */
  readonly invocationId: string;
  readonly type: ActivityType;
  /** `{}` if left out. */
  readonly data?: Data;
  /** The idempotency key, a UUID; made by the publisher if left out. */
  readonly eventId?: string;
  /** When it happened, in epoch milliseconds; now if left out. */
  readonly timestamp?: number;
}

/** An activity as it is stored. */
export interface Activity {
  readonly taskId: string;
  /** Its place in the log: 1, 2, 3 … without holes. Order is by this, never by time. */
  readonly offset: number;
  /** The place to continue after. Opaque. */
  readonly cursor: string;
  readonly invocationId: string;
  readonly eventId: string;
  readonly timestamp: number;
  readonly receivedAt: number;
  readonly type: ActivityType | (string & {});
  readonly data: Data;
}

/** Proof that an activity is stored. */
export interface Receipt {
  readonly eventId: string;
  readonly offset: number;
  readonly cursor: string;
  /** It had been stored before; this is its first receipt. */
  readonly duplicate: boolean;
}
