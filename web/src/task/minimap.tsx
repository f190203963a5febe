/** The whole of what is held as one thin strip: how much was said where, what went wrong there, and which part is on screen. By offsets, because that is the timeline's order. */
import { type Accessor, type Component, createMemo, createSignal, For, onCleanup, Show } from "solid-js";
import type { Activity } from "tasklight/viewer";
import { roughly } from "../model/duration.ts";
import type { TaskLog } from "../model/log.ts";
import { type Column, columnsOf } from "../model/strip.ts";
import { createSampled } from "./runs-sampled.ts";
import { exactTime } from "./waterfall-words.ts";
import "./minimap.css";

/** The strip's own size; it is stretched to the place that there is. */
const WIDTH = 1_000;
const HEIGHT = 20;

/** How many columns it has. */
const COLUMNS = 160;

export interface MinimapProps {
  readonly log: TaskLog;
  /** The offsets on screen. */
  readonly visible: { readonly first: number; readonly last: number } | undefined;
  readonly onPlace: (offset: number) => void;
}

export const Minimap: Component<MinimapProps> = (props) => {
  const activities: Accessor<readonly Activity[]> = createSampled(() => props.log.activities());
  const columns = createMemo(() => columnsOf(activities(), COLUMNS));
  const most = createMemo(() => columns().reduce((most, { perSecond }) => Math.max(most, perSecond), 0));
  const step = (): number => WIDTH / Math.max(1, columns().length);
  const [pointed, setPointed] = createSignal<number>();
  let strip: HTMLDivElement | undefined;
  const columnAt = (clientX: number): Column | undefined => {
    const box = strip?.getBoundingClientRect();
    if (!box || box.width === 0) return undefined;
    const part = Math.max(0, Math.min(0.9999, (clientX - box.left) / box.width));
    return columns()[Math.floor(part * columns().length)];
  };
  /** Where an offset lies, from 0 to 1. */
  const part = (offset: number): number => {
    const list = activities();
    const [first, last] = [list[0]?.offset ?? 0, list[list.length - 1]?.offset ?? 0];
    return last === first ? 0 : Math.max(0, Math.min(1, (offset - first) / (last - first)));
  };
  const path = (): string =>
    columns()
      .map(({ perSecond }, index) => {
        const high = perSecond === 0 ? 0 : 2 + (HEIGHT - 4) * Math.sqrt(perSecond / most());
        return `M${(index * step() + 0.5).toFixed(1)} ${HEIGHT.toString()}v-${high.toFixed(1)}h${Math.max(0.5, step() - 1).toFixed(1)}v${high.toFixed(1)}z`;
      })
      .join("");
  const range = (): { first: number; last: number } => ({ first: activities()[0]?.offset ?? 0, last: activities()[activities().length - 1]?.offset ?? 0 });
  const at = (): number => Math.min(range().last, Math.max(range().first, props.visible?.last ?? range().last));
  const move = (event: KeyboardEvent): void => {
    const by: Readonly<Record<string, number>> = { ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10, Home: -COLUMNS, End: COLUMNS };
    const columnsBy = by[event.key];
    if (columnsBy === undefined) return;
    event.preventDefault();
    const index = Math.floor(part(at()) * (columns().length - 1)) + columnsBy;
    const column = columns()[Math.max(0, Math.min(columns().length - 1, index))];
    if (column) props.onPlace(event.key === "End" ? column.last : column.first);
  };
  const told = createMemo(() => {
    const x = pointed();
    return x === undefined ? undefined : columnAt(x);
  });
  let frame = 0;
  onCleanup(() => {
    cancelAnimationFrame(frame);
  });
  const point = (x: number): void => {
    cancelAnimationFrame(frame);
    frame = requestAnimationFrame(() => setPointed(x));
  };
  return (
    <Show when={1 < activities().length}>
      <div
        ref={strip}
        class="minimap"
        role="slider"
        tabindex="0"
        aria-label="Place in what is loaded"
        aria-valuemin={range().first}
        aria-valuemax={range().last}
        aria-valuenow={at()}
        aria-valuetext={`Activity ${at().toString()}`}
        title={told() ? titleOf(told()) : undefined}
        onPointerMove={(event) => {
          point(event.clientX);
        }}
        onClick={(event) => {
          const column = columnAt(event.clientX);
          if (column) props.onPlace(column.first);
        }}
        onKeyDown={move}
      >
        <svg viewBox={`0 0 ${WIDTH.toString()} ${HEIGHT.toString()}`} preserveAspectRatio="none" aria-hidden="true">
          <path class="minimap-density" d={path()} />
          <For each={columns()}>
            {(column, index) => (
              <>
                <Show when={column.errors !== 0}>
                  <rect class="minimap-error" x={index() * step()} width={Math.max(3, step())} y="0" height="6" />
                </Show>
                <Show when={column.errors === 0 && column.silent}>
                  <rect class="minimap-silent" x={index() * step()} width={Math.max(3, step())} y="0" height="4" />
                </Show>
              </>
            )}
          </For>
          <Show when={props.visible}>
            {(visible) => (
              <rect class="minimap-visible" x={part(visible().first) * WIDTH} width={Math.max(6, (part(visible().last) - part(visible().first)) * WIDTH)} y="0" height={HEIGHT} />
            )}
          </Show>
        </svg>
      </div>
    </Show>
  );
};

function titleOf(column: Column | undefined): string {
  if (!column) return "";
  const { first, last, errors, silent, from } = column;
  const parts = [`#${first.toLocaleString()}–#${last.toLocaleString()}`, exactTime(from)];
  if (errors !== 0) parts.push(errors === 1 ? "1 error" : `${errors.toString()} errors`);
  if (silent) parts.push(`nothing for ${roughly(silent)}`);
  return parts.join(" · ");
}
