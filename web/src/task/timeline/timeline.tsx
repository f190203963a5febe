/** The timeline: the rows on screen, where it goes on above and below them, and the way back to the newest. */
import { type Component, createEffect, createMemo, createSignal, For, on, onCleanup, onMount, Show } from "solid-js";
import { runNames } from "./run-names.ts";
import { Edge } from "./edge.tsx";
import { markWords } from "./mark-words.ts";
import { RenderingContext } from "./rendering.ts";
import { Row } from "./row.tsx";
import { createRows } from "./rows.ts";
import type { TaskView } from "./view.ts";
import "./timeline.css";
import "./body.css";

/** So close to the end (pixels) is at the end. */
const AT_END_PX = 6;

/** With fewer rows than this before the first or after the last on screen, more is loaded. */
const LOAD_WITHIN = 24;

export const Timeline: Component<{ view: TaskView; label: string }> = (props) => {
  // eslint-disable-next-line solid/reactivity -- a timeline has one view for its life
  const { view } = props;
  const { log } = view;
  const [scroller, setScroller] = createSignal<HTMLElement>();
  let top = 0;

  const load = (): void => {
    const range = rows.range();
    if (!range || log.loading() !== undefined || log.failure() !== undefined) return;
    if (log.hasBefore() && range.first < LOAD_WITHIN) void log.loadBefore();
    else if (log.hasAfter() && log.entries().length - LOAD_WITHIN < range.last) void log.loadAfter();
  };
  const rows = createRows({
    scroller,
    entries: log.entries,
    isFollowing: view.isFollowing,
    kept: view.focused,
    onMoved: () => {
      queueMicrotask(() => {
        view.moved();
        load();
      });
    },
  });
  createEffect(on(log.loading, load, { defer: true }));
  createEffect(
    on(
      log.change,
      (change) => {
        view.restore(change.kind === "replaced");
      },
      { defer: true },
    ),
  );

  const scrolled = (): void => {
    const element = scroller();
    if (!element) return;
    const toEnd = element.scrollHeight - element.clientHeight - element.scrollTop;
    const isUp = element.scrollTop < top - 1;
    top = element.scrollTop;
    if (toEnd <= AT_END_PX && !isUp) view.reachEnd();
    else if (isUp && 2 * AT_END_PX < toEnd) view.stopFollowing();
  };
  onMount(() => {
    const element = scroller();
    if (!element) return;
    view.attach(rows, element);
    onCleanup(markWords(element, view.words));
  });

  const count = createMemo(() => log.entries().length);
  const marked = createMemo(() => {
    const offset = view.marked();
    return offset === undefined ? undefined : view.keyOf(offset);
  });
  const runs = createMemo(() => runNames(log.activities()));
  const callNames = createMemo(() => new Map(log.entries().flatMap((entry) => (entry.kind === "tool" && entry.toolCallId !== undefined ? [[entry.toolCallId, labelOf(entry)] as const] : []))));
  const fresh = (): number => Math.max(0, log.head() - (view.leftAt() ?? log.head()));

  return (
    <RenderingContext.Provider
      value={{
        isStatic: false,
        folds: view.folds,
        isFollowing: view.isFollowing,
        nameOf: (id) => callNames().get(id),
        isCut: (activity) => log.isCut(activity),
        full: (offset) => log.full(offset),
      }}
    >
      <div class="tl-frame" data-runs={1 < runs().size ? "" : undefined}>
        <div
          ref={setScroller}
          class="tl-scroller"
          role={rows.slots().length === 0 ? "region" : "feed"}
          aria-label={props.label}
          aria-busy={log.loading() !== undefined}
          tabindex="0"
          onScroll={scrolled}
          onPointerDown={() => { view.letGo(); }}
          onKeyDown={() => { view.letGo(); }}
          onWheel={(event) => {
            view.letGo();
            if (event.deltaY < 0) view.stopFollowing();
          }}
        >
          <div class="tl-rows" style={{ height: `${rows.total().toString()}px` }}>
            <Edge log={log} side="before" />
            <For each={rows.slots()}>
              {(slot) => (
                <Row
                  slot={slot}
                  entry={log.entries()[slot.index()]}
                  view={view}
                  run={1 < runs().size ? runs().get(log.entries()[slot.index()]?.invocationId ?? "") : undefined}
                  isSameRun={log.entries()[slot.index()]?.invocationId === log.entries()[slot.index() - 1]?.invocationId}
                  count={log.hasAfter() || log.hasBefore() ? -1 : count()}
                  isMarked={marked() === slot.key()}
                  measure={rows.measure}
                />
              )}
            </For>
            <Edge log={log} side="after" />
          </div>
        </div>
        <Show when={!view.isFollowing() && 0 < count()}>
          <button type="button" class="tl-newest" onClick={() => { view.follow(); }}>
            <Show when={0 < fresh()} fallback="Newest ↓">
              {fresh().toLocaleString("en")} new ↓
            </Show>
          </button>
        </Show>
        <div class="tl-notice" role="status" data-shown={view.notice() === "" ? undefined : ""}>
          {view.notice()}
        </div>
      </div>
    </RenderingContext.Provider>
  );
};

/** What a call that sub-agents work for is called. */
function labelOf(entry: { readonly name: string; readonly call: { readonly data: Readonly<Record<string, unknown>> } | undefined }): string {
  const input = entry.call?.data["input"];
  const said = typeof input === "object" && input !== null ? (input as Readonly<Record<string, unknown>>)["description"] : undefined;
  return typeof said === "string" && said !== "" ? said.slice(0, 60) : entry.name;
}

