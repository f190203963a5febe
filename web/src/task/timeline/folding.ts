/** Which rows are folded: each by its kind until somebody says otherwise, of one or of all of its kind. */
import { createSignal } from "solid-js";
import type { Entry, ToolEntry } from "../../model/entry.ts";
import { asFields, toolView, type ToolView } from "../../model/tool.ts";

/** An edit shorter than this (characters of old and new text) is open by itself. */
const SHORT_EDIT = 1_600;

/** What somebody said is remembered of so many rows. */
const MOST_REMEMBERED = 2_000;

export interface FoldOf {
  /** What is folded and unfolded together. */
  readonly kind: string;
  /** Whether it is open if nobody says otherwise. */
  readonly isOpen: boolean;
}

/** How the row folds; nothing if it does not. */
export function foldOf(entry: Entry): FoldOf | undefined {
  switch (entry.kind) {
    case "thinking":
      return { kind: "thinking", isOpen: false };
    case "tool":
      return { kind: "tool calls", isOpen: entry.isError || isTelling(entry) };
    case "custom":
      return { kind: "other activities", isOpen: false };
    default:
      return undefined;
  }
}

const views = new WeakMap<object, ToolView>();

/** How the call is shown; worked out once for each payload. */
export function viewOf(entry: ToolEntry): ToolView {
  const payload = entry.call?.data ?? {};
  const known = views.get(payload);
  if (known) return known;
  const view = toolView(entry.name, entry.call?.data);
  views.set(payload, view);
  return view;
}

function isTelling(entry: ToolEntry): boolean {
  const view = viewOf(entry);
  if (view.view === "checklist") return true;
  if (view.view !== "edit") return false;
  return lengthOf(entry.call?.data["input"], SHORT_EDIT) < SHORT_EDIT;
}

/** How many characters its texts have, counted no further than needed. */
function lengthOf(value: unknown, enough: number): number {
  if (typeof value === "string") return value.length;
  let length = 0;
  for (const part of Array.isArray(value) ? (value as readonly unknown[]) : Object.values(asFields(value))) {
    length += lengthOf(part, enough - length);
    if (enough <= length) break;
  }
  return length;
}

export class Folds {
  readonly #own;
  readonly #setOwn;
  readonly #kinds;
  readonly #setKinds;

  constructor() {
    [this.#own, this.#setOwn] = createSignal<ReadonlyMap<string, boolean>>(new Map());
    [this.#kinds, this.#setKinds] = createSignal<ReadonlyMap<string, boolean>>(new Map());
  }

  isOpen(name: string, of: FoldOf): boolean {
    return this.#own().get(name) ?? this.#kinds().get(of.kind) ?? of.isOpen;
  }

  set(name: string, isOpen: boolean): void {
    this.#setOwn((before) => {
      const after = new Map(before);
      after.delete(name);
      after.set(name, isOpen);
      for (const oldest of after.keys()) {
        if (after.size <= MOST_REMEMBERED) break;
        after.delete(oldest);
      }
      return after;
    });
  }

  toggle(name: string, of: FoldOf): void {
    this.set(name, !this.isOpen(name, of));
  }

  /** All of a kind, also those to come. What was said of single ones is forgotten. */
  setKind(kind: string, isOpen: boolean): void {
    this.#setOwn(new Map());
    this.#setKinds((before) => new Map(before).set(kind, isOpen));
  }
}

/** The fold of a whole row, and of the rest of its long text. */
export const rowFold = (key: number): string => key.toString();
export const restFold = (key: number): string => `${key.toString()}:all`;

/** Long texts are folded until somebody wants all of them. */
export const REST: FoldOf = { kind: "long texts", isOpen: false };
