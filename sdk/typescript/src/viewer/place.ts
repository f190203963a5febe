/** Where a viewer stands in a log, and whether what it hears is whole. Pure: it is told what the hub says, and says what that means. */
import { type Cursor, formatCursor, parseCursor } from "../cursor.js";
import type { TaskMessage } from "./protocol.js";

/** Where to begin. */
export interface Start {
  /** A cursor to continue after, the `"start"`, or the `"end"` (only what comes). */
  readonly after?: string;
  /** Without a cursor, or when the log starts over: the last so many. */
  readonly last?: number;
}

/** What a message means: it is news, or repeats what the viewer has, or something before it never came. */
export type Meaning = "news" | "repeat" | "loss";

export class Place {
  readonly #whole: boolean;
  readonly #last: number | undefined;
  #start: string | undefined;
  #cursor: Cursor | undefined;
  /** The offset that must come next, where that is known. */
  #next: number | undefined;

  /** `whole` if no filter leaves anything out. */
  constructor(start: Start, whole: boolean) {
    this.#whole = whole;
    this.#last = start.last;
    this.#start = start.after;
    this.#cursor = start.after === undefined ? undefined : parseCursor(start.after);
  }

  /** The last place that is known to be seen. */
  get cursor(): string | undefined {
    return this.#cursor && formatCursor(this.#cursor);
  }

  /** The offset of that place; 0 before the first. */
  get offset(): number {
    return this.#cursor?.offset ?? 0;
  }

  /** Where to begin the next time. */
  resume(): Start {
    const after = this.cursor ?? this.#start;
    return { ...(after !== undefined && { after }), ...(this.#last !== undefined && { last: this.#last }) };
  }

  /** The task was deleted: should it come again, everything in it is new. */
  forget(): void {
    this.#cursor = undefined;
    this.#next = undefined;
    this.#start = "start";
  }

  /** Takes note of a message. */
  hear(message: TaskMessage): Meaning {
    switch (message.op) {
      case "subscribed":
        this.#begin(message.epoch, message.after);
        return "news";
      case "activity": {
        const cursor = parseCursor(message.activity.cursor);
        return cursor?.offset === message.activity.offset ? this.#advance(cursor) : "loss";
      }
      case "live":
      case "cursor":
        return this.#skip(message.offset);
      case "truncated":
        if (this.#cursor) this.#moveTo({ epoch: this.#cursor.epoch, offset: message.floor - 1 });
        else this.#next = message.floor;
        return "news";
      case "reset":
        this.#cursor = { epoch: message.epoch, offset: 0 };
        this.#next = undefined;
        return "news";
      case "unsubscribed":
        return "news";
    }
  }

  #begin(epoch: string | null, after: string | null): void {
    this.#next = undefined;
    if (epoch === null) {
      // Whatever the task will hold once it exists is new, wherever we meant to begin; a cursor of an earlier life gets its reset then.
      if (this.#cursor) return;
      this.forget();
      this.#next = 1;
      return;
    }
    const cursor = after === null ? undefined : parseCursor(after);
    // Of a log whose epoch is not the cursor's a reset tells next.
    if (cursor?.epoch === epoch) this.#moveTo(cursor);
  }

  #advance(to: Cursor): Meaning {
    if (this.#cursor) {
      if (this.#cursor.epoch !== to.epoch) return "loss";
      if (to.offset <= this.#cursor.offset) return "repeat";
    }
    if (this.#whole && this.#next !== undefined && this.#next < to.offset) return "loss";
    this.#moveTo(to);
    return "news";
  }

  /** Told that everything wanted up to here was sent. */
  #skip(offset: number): Meaning {
    if (!this.#cursor || offset <= this.#cursor.offset) return "news";
    if (this.#whole && this.#next !== undefined) return "loss";
    this.#moveTo({ epoch: this.#cursor.epoch, offset });
    return "news";
  }

  #moveTo(cursor: Cursor): void {
    this.#cursor = cursor;
    this.#next = cursor.offset + 1;
  }
}
