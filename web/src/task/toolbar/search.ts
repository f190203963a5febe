/**
 * Looking for text in a task: what is held at once, the rest by the hub, page by page until all was looked at, somebody has seen enough, or there are too
 * many hits. New activities are looked at as they come.
 */
import { type Accessor, batch, createEffect, createMemo, createSignal, on, onCleanup, untrack } from "solid-js";
import type { ActivityType, SearchQuery } from "tasklight/rest";
import type { HubSource } from "../../hub/source.ts";
import { findIn, type Hit, merged } from "../../model/find.ts";
import { indexOfOffset } from "../../model/place.ts";
import type { TaskView } from "../timeline/view.ts";

/** The hub is asked when nothing more was typed for so long. */
const PATIENCE_MS = 250;

/** Shorter words are looked for in what is held only. */
const SHORTEST_ASKED = 2;

/** What the hub takes. */
export const LONGEST_SOUGHT = 256;

/** With so many hits the search ends. */
export const MOST_HITS = 2_000;

const HITS_PER_PAGE = 200;

export type Progress =
  | { readonly kind: "idle" }
  | { readonly kind: "searching"; readonly through: number | undefined }
  | { readonly kind: "done" | "many" | "stopped" }
  | { readonly kind: "failed"; readonly reason: string };

export interface Search {
  readonly query: Accessor<string>;
  readonly hits: Accessor<readonly Hit[]>;
  /** Which of them was gone to; -1 for none. */
  readonly at: Accessor<number>;
  readonly progress: Accessor<Progress>;
  setQuery(query: string): void;
  /** To the next hit after the place at hand, or the one before it. */
  step(by: 1 | -1): void;
  goTo(hit: Hit): void;
  stop(): void;
}

export function createSearch(view: TaskView, hub: HubSource): Search {
  const { log } = view;
  const [query, setQuery] = createSignal("");
  const [hits, setHits] = createSignal<readonly Hit[]>([]);
  const [current, setCurrent] = createSignal<number>();
  const [progress, setProgress] = createSignal<Progress>({ kind: "idle" });
  let turn = 0;
  let seen = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const wanted = (): string => untrack(query).trim().toLowerCase();

  const inHeld = (after: number): readonly Hit[] => {
    const { types, invocation } = untrack(log.filter);
    const found: Hit[] = [];
    for (const activity of untrack(log.activities)) {
      if (activity.offset <= after || (types.size !== 0 && !types.has(activity.type))) continue;
      if (invocation !== undefined && activity.invocationId !== invocation) continue;
      const hit = findIn(activity, wanted());
      if (hit) found.push(hit);
      if (MOST_HITS <= found.length) break;
    }
    seen = untrack(log.activities).at(-1)?.offset ?? 0;
    return found;
  };

  /** Asks page by page in one direction. Says whether to go on elsewhere. */
  const ask = async (mine: number, how: "before" | "after", from: string | undefined): Promise<boolean> => {
    const { types, invocation } = untrack(log.filter);
    let place: string | null | undefined = from;
    do {
      const asked: SearchQuery = {
        q: untrack(query).trim(),
        limit: HITS_PER_PAGE,
        ...(place !== undefined && { [how]: place }),
        ...(types.size !== 0 && { types: [...types] as ActivityType[] }),
        ...(invocation !== undefined && { invocation }),
      };
      const page = await hub.rest.search(log.task, asked);
      if (turn !== mine) return false;
      batch(() => {
        setHits((before) => merged(before, page.hits));
        setProgress({ kind: "searching", through: page.through });
      });
      if (MOST_HITS <= untrack(hits).length) {
        setProgress({ kind: "many" });
        return false;
      }
      place = page.next;
    } while (place !== null);
    return true;
  };

  const askRest = async (mine: number): Promise<void> => {
    const held = untrack(log.activities);
    // The hub looks at what is held as well where something of it is not whole.
    const isWhole = held.length !== 0 && untrack(log.filter).types.size === 0 && !held.some((activity) => log.isCut(activity));
    setProgress({ kind: "searching", through: undefined });
    try {
      const before = isWhole ? held[0]?.cursor : undefined;
      if ((!isWhole || untrack(log.hasBefore)) && !(await ask(mine, "before", before))) return;
      if (isWhole && untrack(log.hasAfter) && !(await ask(mine, "after", held.at(-1)?.cursor))) return;
      if (turn === mine) setProgress({ kind: "done" });
    } catch (error) {
      if (turn === mine) setProgress({ kind: "failed", reason: error instanceof Error ? error.message : String(error) });
    }
  };

  const begin = (): void => {
    turn += 1;
    const mine = turn;
    clearTimeout(timer);
    view.setWords(query().trim());
    setCurrent(undefined);
    if (wanted() === "") {
      setHits([]);
      setProgress({ kind: "idle" });
      return;
    }
    setHits(inHeld(0));
    setProgress({ kind: "idle" });
    if (SHORTEST_ASKED <= wanted().length) timer = setTimeout(() => void askRest(mine), PATIENCE_MS);
  };
  createEffect(on([query, log.filter], begin, { defer: true }));
  createEffect(
    on(log.activities, () => {
      if (wanted() === "" || MOST_HITS <= untrack(hits).length) return;
      const fresh = inHeld(seen);
      if (0 < fresh.length) setHits((before) => merged(before, fresh));
    }),
  );
  onCleanup(() => {
    turn += 1;
    clearTimeout(timer);
    view.setWords("");
  });

  const at = createMemo(() => {
    const offset = current();
    return offset === undefined ? -1 : hits().findIndex((hit) => hit.offset === offset);
  });
  const goTo = (hit: Hit): void => {
    setCurrent(hit.offset);
    void view.goTo(hit.offset).then(() => {
      view.unfold(indexOfOffset(untrack(log.entries), hit.offset));
    });
  };
  return {
    query,
    hits,
    at,
    progress,
    setQuery: (text) => setQuery(text.slice(0, LONGEST_SOUGHT)),
    goTo,
    step: (by) => {
      const all = untrack(hits);
      const place = untrack(current) ?? view.placeOffset() ?? 0;
      const next = by === 1 ? (all.find((hit) => place < hit.offset) ?? all[0]) : (all.findLast((hit) => hit.offset < place) ?? all.at(-1));
      if (next) goTo(next);
    },
    stop: () => {
      turn += 1;
      clearTimeout(timer);
      setProgress({ kind: "stopped" });
    },
  };
}
