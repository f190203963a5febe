/** One call as a bar, with how long it took beside it where there is room. */
import { type Component, createMemo, Show } from "solid-js";
import type { Axis } from "../model/gaps.ts";
import type { Span } from "../model/spans.ts";
import { toolKind } from "../model/tools.ts";

export interface BarProps {
  readonly span: Span;
  /** Until when it is drawn. */
  readonly end: number;
  readonly took: string;
  readonly axis: Axis;
  readonly width: number;
  readonly top: number;
  readonly rowHeight: number;
}

/** The least width of a bar, so that it can be seen and hit. */
const LEAST_PX = 3;

/** About how wide a character is. */
const CHARACTER_PX = 6;

export const WaterfallBar: Component<BarProps> = (props) => {
  const box = createMemo(() => {
    const x = Math.min(props.axis.at(props.span.start) * props.width, props.width - LEAST_PX);
    return { x, wide: Math.max(LEAST_PX, props.axis.at(props.end) * props.width - x) };
  });
  const text = createMemo(() => {
    const { x, wide } = box();
    const need = props.took.length * CHARACTER_PX + 6;
    if (x + wide + need <= props.width) return { x: x + wide + 4, anchor: "start" as const, isWithin: false };
    if (need <= x) return { x: x - 4, anchor: "end" as const, isWithin: false };
    if (need <= wide) return { x: x + wide - 5, anchor: "end" as const, isWithin: true };
    return undefined;
  });
  const middle = (): number => props.top + props.rowHeight / 2;
  return (
    <g class="waterfall-bar" data-tool={toolKind(props.span.name)} data-outcome={props.span.outcome}>
      <rect class="waterfall-body" x={box().x} y={props.top + 6} width={box().wide} height={props.rowHeight - 12} rx="2" />
      <Show when={props.span.outcome === "open"}>
        <rect class="waterfall-grow" x={Math.max(box().x, box().x + box().wide - 3)} y={props.top + 4} width="3" height={props.rowHeight - 8} rx="1" />
      </Show>
      <Show when={!props.span.hasCall}>
        <path class="waterfall-cut" d={`M${(box().x - 2).toString()} ${(middle() - 4).toString()}l-5 4 5 4z`} />
      </Show>
      <Show when={text()}>
        {(at) => (
          <text class="waterfall-took" classList={{ "waterfall-within": at().isWithin }} x={at().x} y={middle() + 3.5} text-anchor={at().anchor}>
            {props.took}
          </text>
        )}
      </Show>
    </g>
  );
};
