/** What one looks at in a task: whether the newest is followed, which row has the focus, what is marked, and how to get elsewhere without losing the place. */
import { type Accessor, createSignal, untrack } from "solid-js";
import type { Entry } from "../../model/entry.ts";
import type { LogFilter, TaskLog } from "../../model/log.ts";
import { indexOfOffset } from "../../model/place.ts";
import { Folds, foldOf, REST, restFold, rowFold } from "./folding.ts";
import { EDGE_PX, rowKey, type Rows } from "./rows.ts";

/** How far below the top a place in history is shown, as a part of the screen. */
const SHOWN_AT = 0.3;

/** How much of the screen a row that is higher than it is scrolled by. */
const SCROLLED = 0.8;

/** A row on screen, and how far below the top. */
interface Anchor {
  readonly offset: number;
  readonly below: number;
}

export class TaskView {
  readonly log: TaskLog;
  readonly folds = new Folds();
  readonly #following;
  readonly #marked = createSignal<number>();
  readonly #focused = createSignal<number>();
  readonly #words = createSignal("");
  readonly #leftAt = createSignal<number>();
  readonly #notice = createSignal("");
  readonly isFollowing: Accessor<boolean>;
  /** The offset that a link or a hit names. */
  readonly marked = this.#marked[0];
  /** The row that keys are about. */
  readonly focused = this.#focused[0];
  /** Words that are marked wherever they stand. */
  readonly words = this.#words[0];
  /** The head when following ended, or when there was a log to read without having followed it. */
  readonly leftAt = this.#leftAt[0];
  /** Said to everybody once, such as "link copied". */
  readonly notice = this.#notice[0];
  #rows: Rows | undefined;
  #scroller: HTMLElement | undefined;
  /** Where to stand when everything is different. */
  #anchor: Anchor | undefined;
  /** Nobody has gone elsewhere since it stood there: while more is paged in around it, it still does. */
  #isStanding = false;

  constructor(log: TaskLog, place: number | undefined) {
    this.log = log;
    this.#following = createSignal(place === undefined);
    this.isFollowing = this.#following[0];
    this.mark(place);
  }

  /** The rows that this is about. */
  attach(rows: Rows, scroller: HTMLElement): void {
    this.#rows = rows;
    this.#scroller = scroller;
  }

  setWords(words: string): void {
    this.#words[1](words);
  }

  say(notice: string): void {
    this.#notice[1]("");
    queueMicrotask(() => this.#notice[1](notice));
  }

  mark(offset: number | undefined): void {
    this.#marked[1](offset);
  }

  focus(key: number | undefined): void {
    this.#focused[1](key);
  }

  stopFollowing(): void {
    if (!untrack(this.isFollowing)) return;
    this.#leftAt[1](untrack(this.log.head));
    this.#following[1](false);
  }

  /** Rows have moved, or the log has grown: whoever reads keeps what they read. */
  moved(): void {
    const isFollowing = untrack(this.isFollowing);
    const head = untrack(this.log.head);
    if (!isFollowing && untrack(this.leftAt) === undefined && 0 < head) this.#leftAt[1](head);
    this.log.hold(isFollowing ? undefined : this.#placeOnScreen());
  }

  #placeOnScreen(): number | undefined {
    return untrack(this.log.entries)[this.#firstOnScreen()]?.key;
  }

  /** Somebody goes elsewhere: whatever comes, they stay where they go. */
  letGo(): void {
    this.#isStanding = false;
  }

  /** To the newest, and stays there. */
  follow(): void {
    this.letGo();
    this.#marked[1](undefined);
    this.#following[1](true);
    if (!untrack(this.log.atEnd)) this.log.goToEnd();
    this.#rows?.scrollToEnd();
  }

  /** The end has come into sight by scrolling; not because there is little to see around where one stands. */
  reachEnd(): void {
    if (!this.#isStanding && untrack(this.log.atEnd) && !untrack(this.isFollowing)) this.#following[1](true);
  }

  /** To this activity, loading what is around it if need be. Gives where it went. */
  async goTo(offset: number): Promise<number> {
    this.stopFollowing();
    const isHeld = untrack(this.log.activities).some((activity) => activity.offset === offset);
    this.#anchor = { offset, below: this.#height() * SHOWN_AT };
    const place = isHeld ? offset : await this.log.goToOffset(offset);
    this.#arrive(place);
    const failure = untrack(this.log.failure);
    if (place !== offset) this.say(failure === undefined ? `#${offset.toString()} is not there; the nearest is #${place.toString()}` : `could not go there: ${failure}`);
    return place;
  }

  async goToTime(millis: number): Promise<number> {
    this.stopFollowing();
    const place = await this.log.goToTime(millis);
    this.#arrive(place);
    return place;
  }

  #arrive(place: number): void {
    this.#marked[1](place);
    this.#stand({ offset: place, below: this.#height() * SHOWN_AT });
  }

  /** Another filter; what is read stays where it is, or the nearest to it does. */
  setFilter(filter: LogFilter): void {
    if (!untrack(this.isFollowing) && !this.#isStanding) this.#anchor = this.#place();
    this.#isStanding = !untrack(this.isFollowing);
    this.log.setFilter(filter);
  }

  /** Something is different, or everything: stands where one stood, or where one wanted to go. */
  restore(isEverything: boolean): void {
    const anchor = this.#anchor;
    if (anchor && (isEverything || this.#isStanding) && !untrack(this.isFollowing)) this.#stand(anchor);
  }

  /** The focus to the next or previous row. */
  step(by: number): void {
    this.letGo();
    const entries = untrack(this.log.entries);
    const at = this.#focusedIndex();
    if (at !== undefined && this.#scrollWithin(at, by)) return;
    const start = at ?? (0 < by ? this.#firstOnScreen() - 1 : this.#firstOnScreen() + 1);
    const to = Math.min(entries.length - 1, Math.max(0, start + by));
    const entry = entries[to];
    if (!entry) return;
    if (to < entries.length - 1) this.stopFollowing();
    this.#focused[1](rowKey(entry));
    this.#rows?.scrollToIndex(to, "auto");
    requestAnimationFrame(() => {
      this.#scroller?.querySelector<HTMLElement>(`[data-key="${rowKey(entry).toString()}"]`)?.focus({ preventScroll: true });
    });
  }

  /** The row that shows this activity; nothing if it is not held. */
  keyOf(offset: number): number | undefined {
    const entries = this.log.entries();
    const entry = entries[indexOfOffset(entries, offset)];
    return entry && entry.key <= offset && offset <= entry.last ? rowKey(entry) : undefined;
  }

  focusedEntry(): Entry | undefined {
    const at = this.#focusedIndex();
    return at === undefined ? undefined : untrack(this.log.entries)[at];
  }

  /** Everything in that row is shown. */
  unfold(index: number): void {
    const entry = untrack(this.log.entries)[index];
    const fold = entry && foldOf(entry);
    if (fold) this.folds.set(rowFold(entry.key), true);
  }

  /** The offset that is read now. */
  placeOffset(): number | undefined {
    return this.#place()?.offset;
  }

  /** Unfolds the row with the focus, or folds it. Says whether there was one. */
  toggle(): boolean {
    const entry = this.focusedEntry();
    if (!entry) return false;
    const fold = foldOf(entry);
    if (fold) this.folds.toggle(rowFold(entry.key), fold);
    else this.folds.toggle(restFold(entry.key), REST);
    return true;
  }

  /** Folds or unfolds everything of the kind that the row with the focus is. */
  toggleKind(): boolean {
    const entry = this.focusedEntry();
    const fold = entry && foldOf(entry);
    if (!fold) return false;
    const isOpen = this.folds.isOpen(rowFold(entry.key), fold);
    this.folds.setKind(fold.kind, !isOpen);
    this.say(`all ${fold.kind} ${isOpen ? "folded" : "unfolded"}`);
    return true;
  }

  /** A row higher than the screen is scrolled through first. Says whether it was. */
  #scrollWithin(index: number, by: number): boolean {
    const rows = this.#rows;
    const height = this.#height();
    if (!rows || !this.#scroller) return false;
    const [top, bottom] = [rows.topOf(index), rows.topOf(index) + rows.heightOf(index)];
    const isMore = 0 < by ? height < bottom && top < height : top < 0 && 0 < bottom;
    if (!isMore || bottom - top <= height - 2 * EDGE_PX) return false;
    this.stopFollowing();
    this.#scroller.scrollBy({ top: Math.sign(by) * height * SCROLLED });
    return true;
  }

  #focusedIndex(): number | undefined {
    const key = untrack(this.focused);
    return key === undefined ? undefined : this.#rows?.indexOf(key);
  }

  #firstOnScreen(): number {
    const { first = 0, last = 0 } = (this.#rows && untrack(this.#rows.range)) ?? {};
    for (let index = first; index <= last; index += 1) if (0 <= (this.#rows?.topOf(index) ?? 0)) return index;
    return first;
  }

  /** The row that is read: the one with the focus if it is on screen, else the first that is whole. */
  #place(): Anchor | undefined {
    const rows = this.#rows;
    if (!rows) return undefined;
    const at = this.#focusedIndex();
    const range = untrack(rows.range);
    const isSeen = at !== undefined && range !== undefined && range.first <= at && at <= range.last;
    const index = isSeen ? at : this.#firstOnScreen();
    const entry = untrack(this.log.entries)[index];
    return entry && { offset: entry.key, below: rows.topOf(index) };
  }

  #stand({ offset, below }: Anchor): void {
    const index = indexOfOffset(untrack(this.log.entries), offset);
    if (index < 0) return;
    const anchor = (this.#anchor = { offset, below });
    this.#isStanding = true;
    this.#scrollTo(anchor);
    // Once more when the rows around it have their heights, and what was asked of the list before is done.
    requestAnimationFrame(() => {
      if (this.#isStanding && this.#anchor === anchor && !untrack(this.isFollowing)) this.#scrollTo(anchor);
    });
  }

  /** A row higher than the screen is shown from its top. */
  #scrollTo({ offset, below }: Anchor): void {
    const index = indexOfOffset(untrack(this.log.entries), offset);
    if (0 <= index) this.#rows?.scrollToTop(index, Math.max(EDGE_PX, below));
  }

  #height(): number {
    return this.#scroller?.clientHeight ?? 0;
  }
}
