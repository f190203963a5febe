/** When a lane was active, on the axis that all lanes share: a line for as long as it ran, and how much was said when. */
import { type Component, createMemo, For, Show } from "solid-js";
import type { Axis } from "../model/gaps.ts";

/** How many parts the axis has for counting. */
const PARTS = 80;

/** The drawing's own width; it is stretched to the place that there is. */
const WIDTH = 800;

/** The least width of what ran for a moment only, so that it can be seen. */
const LEAST = 12;

export interface LaneBarProps {
  readonly axis: Axis;
  readonly from: number;
  /** Nothing while it goes on. */
  readonly to: number | undefined;
  readonly times: readonly number[];
  readonly mark: string;
}

export const LaneBar: Component<LaneBarProps> = (props) => {
  const x0 = (): number => Math.min(WIDTH - LEAST, props.axis.at(props.from) * WIDTH);
  const x1 = (): number => Math.max(x0() + LEAST, props.axis.at(props.to ?? Infinity) * WIDTH);
  const columns = createMemo(() => {
    const counts = new Array<number>(PARTS).fill(0);
    for (const time of props.times) {
      const part = Math.min(PARTS - 1, Math.floor(props.axis.at(time) * PARTS));
      counts[part] = (counts[part] ?? 0) + 1;
    }
    const most = Math.max(1, ...counts);
    return counts.flatMap((count, part) => (count === 0 ? [] : [{ part, high: 3 + 9 * Math.sqrt(count / most) }]));
  });
  const path = (): string =>
    columns()
      .map(({ part, high }) => `M${(part * (WIDTH / PARTS) + 1).toFixed(1)} ${(7 - high / 2).toFixed(1)}h${(WIDTH / PARTS - 2).toFixed(1)}v${high.toFixed(1)}h-${(WIDTH / PARTS - 2).toFixed(1)}z`)
      .join("");
  return (
    <svg class="lanes-bar" data-mark={props.mark} viewBox={`0 0 ${WIDTH.toString()} 14`} preserveAspectRatio="none" aria-hidden="true">
      <For each={props.axis.gaps}>
        {(gap) => <rect class="lanes-gap" x={gap.x0 * WIDTH} width={(gap.x1 - gap.x0) * WIDTH} y="0" height="14" />}
      </For>
      <rect class="lanes-span" x={x0()} width={Math.max(0, Math.min(WIDTH, x1()) - x0())} y="5" height="4" rx="2" />
      <path class="lanes-density" d={path()} />
      <Show when={props.to === undefined}>
        <rect class="lanes-edge" x={Math.min(WIDTH - 5, x1() - 5)} y="1" width="5" height="12" />
      </Show>
    </svg>
  );
};
