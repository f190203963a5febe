/** Moving between the bars with the keyboard. */
import type { Accessor } from "solid-js";
import type { Row } from "../model/spans.ts";

/** How far a page key goes. */
const PAGE_ROWS = 10;

export interface KeyOptions {
  readonly rows: Accessor<readonly Row[]>;
  readonly active: Accessor<number | undefined>;
  readonly activate: (offset: number) => void;
  readonly place: (offset: number) => void;
  readonly zoomIn: () => void;
  readonly zoomOut: () => void;
  /** Shows the time of the calls on screen. */
  readonly fit: () => void;
}

export function onKeys(options: KeyOptions): (event: KeyboardEvent) => void {
  const move = (by: number): void => {
    const rows = options.rows();
    const at = rows.findIndex(({ span }) => span.offset === options.active());
    const row = rows[Math.max(0, Math.min(rows.length - 1, (at < 0 ? rows.length - 1 : at) + by))];
    if (row) options.activate(row.span.offset);
  };
  /** To the call that this one lies within. */
  const out = (): void => {
    const rows = options.rows();
    const at = rows.findIndex(({ span }) => span.offset === options.active());
    const depth = rows[at]?.depth ?? 0;
    const outer = rows.slice(0, Math.max(0, at)).findLast((row) => row.depth < depth);
    if (outer) options.activate(outer.span.offset);
  };
  const acts: Readonly<Record<string, () => void>> = {
    ArrowDown: () => { move(1); },
    ArrowUp: () => { move(-1); },
    PageDown: () => { move(PAGE_ROWS); },
    PageUp: () => { move(-PAGE_ROWS); },
    Home: () => { move(-Infinity); },
    End: () => { move(Infinity); },
    ArrowLeft: out,
    ArrowRight: () => { move(1); },
    "+": options.zoomIn,
    "=": options.zoomIn,
    f: options.fit,
    "-": options.zoomOut,
    "0": options.zoomOut,
    Enter: () => {
      const offset = options.active();
      if (offset !== undefined) options.place(offset);
    },
  };
  return (event) => {
    const act = acts[event.key];
    if (!act || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    event.stopPropagation();
    act();
  };
}
