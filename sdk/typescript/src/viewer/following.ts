/**
 * What a consumer holds of something that is followed: an async iterator over a bounded buffer, or callbacks. A browser's WebSocket cannot be
 * read more slowly, so when the buffer is full the subscription ends, what still comes of it is dropped, and it begins again after the
 * last item kept once half of the buffer is read.
 */
import { asyncDispose, dispose } from "../dispose.js";
import { TasklightError } from "../error.js";
import type { Item, ListItem } from "./item.js";
import type { State } from "./state.js";

/** The most items that wait for a consumer. */
export const BUFFER_ITEMS = 1_000;

/** The most characters of what waits for a consumer; one item may exceed it. */
export const BUFFER_CHARS = 4 * 1024 * 1024;

/** How a consumer takes items. */
export interface Handlers<I> {
  /** Gives each item at once instead of keeping it for the iterator. */
  readonly onItem?: (item: I) => void;
  /** There is something to `take` where there was nothing. */
  readonly onReady?: () => void;
  /** Nothing more comes; with an error if that was not asked for. */
  readonly onEnd?: (error?: TasklightError) => void;
  /** The most items kept for the iterator; 1,000 if left out. */
  readonly bufferItems?: number;
}

/** What the buffer asks of whoever fills it. */
export interface Source {
  pause(): void;
  resume(): void;
  close(): void;
}

type Waiter<I> = { readonly resolve: (result: IteratorResult<I, undefined>) => void; readonly reject: (error: TasklightError) => void };

interface Entry<I> {
  readonly item: I;
  readonly size: number;
  /** The place to continue after for one who has not taken it. */
  readonly before: string | undefined;
}

class Feed<I> implements AsyncIterableIterator<I, undefined> {
  readonly #source: Source;
  readonly #handlers: Handlers<I>;
  readonly #most: number;
  #items: Entry<I>[] = [];
  /** Items before this one are taken. */
  #first = 0;
  #chars = 0;
  #paused = false;
  #waiters: Waiter<I>[] = [];
  #ended: { readonly error: TasklightError | undefined } | undefined;

  constructor(source: Source, handlers: Handlers<I>) {
    this.#source = source;
    this.#handlers = handlers;
    this.#most = Math.max(1, handlers.bufferItems ?? BUFFER_ITEMS);
  }

  /** How many items wait. */
  get waiting(): number {
    return this.#items.length - this.#first;
  }

  /** Whether it is full, so that items are not asked for until some are taken. */
  get isPaused(): boolean {
    return this.#paused;
  }

  /** Everything that waits, at most so many: for consumers that take what there is once a frame. */
  take(most = Number.POSITIVE_INFINITY): I[] {
    const taken: I[] = [];
    while (taken.length < most && this.waiting !== 0) taken.push(this.#shift());
    this.#resume();
    return taken;
  }

  next(): Promise<IteratorResult<I, undefined>> {
    if (this.#handlers.onItem) {
      return Promise.reject(new TasklightError("invalid_argument", "items go to onItem: leave that out to iterate", { field: "onItem" }));
    }
    if (this.waiting !== 0) {
      const value = this.#shift();
      this.#resume();
      return Promise.resolve({ value, done: false });
    }
    if (this.#ended) return this.#ended.error ? Promise.reject(this.#ended.error) : Promise.resolve({ value: undefined, done: true });
    return new Promise((resolve, reject) => this.#waiters.push({ resolve, reject }));
  }

  return(): Promise<IteratorResult<I, undefined>> {
    this.close();
    return Promise.resolve({ value: undefined, done: true });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  [dispose](): void {
    this.close();
  }

  [asyncDispose](): Promise<void> {
    this.close();
    return Promise.resolve();
  }

  /** Follows no more. What waits is dropped. */
  close(): void {
    this.#items = [];
    this.#first = this.#chars = 0;
    this.#source.close();
  }

  /** For the viewer: the next item. */
  push(item: I, size: number, before?: string): void {
    if (this.#ended) return;
    if (this.#handlers.onItem) {
      this.#handlers.onItem(item);
      return;
    }
    const waiter = this.#waiters.shift();
    if (waiter) {
      waiter.resolve({ value: item, done: false });
      return;
    }
    this.#items.push({ item, size, before });
    this.#chars += size;
    if (this.waiting === 1) this.#handlers.onReady?.();
    if (!this.#paused && (this.#most <= this.waiting || BUFFER_CHARS <= this.#chars)) {
      this.#paused = true;
      this.#source.pause();
    }
  }

  /** For the viewer: nothing more comes. What waits can still be read. */
  end(error: TasklightError | undefined): void {
    if (this.#ended) return;
    this.#ended = { error };
    for (const { resolve, reject } of this.#waiters.splice(0)) {
      if (error) reject(error);
      else resolve({ value: undefined, done: true });
    }
    this.#handlers.onEnd?.(error);
  }

  /** The first of what waits. */
  protected get first(): Entry<I> | undefined {
    return this.#items[this.#first];
  }

  #shift(): I {
    const entry = this.first;
    if (entry === undefined) throw new RangeError("nothing waits");
    this.#first += 1;
    this.#chars -= entry.size;
    if (this.#items.length < this.#first * 2) {
      this.#items = this.#items.slice(this.#first);
      this.#first = 0;
    }
    return entry.item;
  }

  #resume(): void {
    if (!this.#paused || this.#ended || this.#most < this.waiting * 2 || BUFFER_CHARS < this.#chars * 2) return;
    this.#paused = false;
    this.#source.resume();
  }
}

/** A task that is followed. */
export class Following extends Feed<Item> {
  readonly task: string;
  readonly #look: { cursor(): string | undefined; state(): State };
  #end: { readonly cursor: string | undefined } | undefined;

  constructor(task: string, source: Source, handlers: Handlers<Item>, look: { cursor(): string | undefined; state(): State }) {
    super(source, handlers);
    this.task = task;
    this.#look = look;
  }

  /** The place after the last item that was taken: who follows on after it misses nothing. Nothing before the first one is known. */
  get cursor(): string | undefined {
    if (this.#end) return this.#end.cursor;
    return this.first ? this.first.before : this.#look.cursor();
  }

  /** What can be said of it now. */
  get state(): State {
    return this.#look.state();
  }

  override close(): void {
    this.#end ??= { cursor: this.cursor };
    super.close();
  }
}

/** The list of tasks, followed. */
export class ListFollowing extends Feed<ListItem> {}
