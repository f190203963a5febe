/** A text of many lines: its beginning until somebody wants all of it, and then never more than a part of it in the page at a time. */
import { type Component, createMemo, createSignal, type JSX, Show } from "solid-js";
import { FOLDED, parts, UNFOLDED, type Window } from "../../model/text.ts";
import { REST } from "./folding.ts";
import { useRendering } from "./rendering.ts";

/** So much of a text goes into a file. */
const IN_FILE: Window = { lines: 5_000, chars: 400_000 };

interface LongProps {
  /** Where it is remembered that all of it is wanted. */
  readonly name: string;
  /** How long each line is. */
  readonly lengths: readonly number[];
  /** Its newest lines are shown while the timeline follows. */
  readonly isGrowing?: boolean;
  readonly children: (from: number, to: number) => JSX.Element;
}

export const Long: Component<LongProps> = (props) => {
  const rendering = useRendering();
  const isOpen = (): boolean => rendering.folds.isOpen(props.name, REST);
  const [leaf, setLeaf] = createSignal(0);
  const leaves = createMemo(() => parts(props.lengths, rendering.isStatic ? IN_FILE : isOpen() ? UNFOLDED : FOLDED));
  const isLong = (): boolean => parts(props.lengths, FOLDED).length > 1;
  // Whoever reads is shown the same lines, whatever comes after them.
  const newest = createMemo<number>((before) => {
    if (!rendering.isFollowing() || props.isGrowing !== true || isOpen() || rendering.isStatic) return Math.min(before, props.lengths.length);
    let chars = 0;
    for (let from = props.lengths.length; ; from -= 1) {
      chars += props.lengths[from - 1] ?? 0;
      if (from === 0 || FOLDED.lines <= props.lengths.length - from || (FOLDED.chars < chars && from < props.lengths.length)) return from;
    }
  }, 0);
  const shown = createMemo<readonly [number, number]>((before) => {
    const at = Math.min(leaf(), leaves().length - 1);
    const [from, to] = isOpen() || rendering.isStatic ? (leaves()[at] ?? [0, 0]) : newest() === 0 ? (leaves()[0] ?? [0, 0]) : [newest(), Math.min(props.lengths.length, newest() + FOLDED.lines)];
    return before[0] === from && before[1] === to ? before : [from, to];
  }, [0, 0]);
  return (
    <>
      <Show when={!isOpen() && 0 < shown()[0]}>
        <p class="tl-rest">{count(shown()[0])} above</p>
      </Show>
      {/* Anew when more of the line that is last is there. */}
      <Show when={[shown(), props.lengths[shown()[1] - 1]] as const} keyed>
        {([[from, to]]) => props.children(from, to)}
      </Show>
      <Show when={isLong()}>
        <p class="tl-rest">
          <Show
            when={!rendering.isStatic}
            fallback={<Show when={1 < leaves().length}>{count(props.lengths.length - shown()[1])} more are not in this file</Show>}
          >
            <button type="button" class="tl-link" tabindex="-1" aria-expanded={isOpen()} onClick={() => { rendering.folds.toggle(props.name, REST); }}>
              {isOpen() ? "show less" : `show all ${count(props.lengths.length)}`}
            </button>
            <Show when={!isOpen() && shown()[1] < props.lengths.length}> {count(props.lengths.length - shown()[1])} below</Show>
            <Show when={isOpen() && 1 < leaves().length}>
              <span class="tl-leaf">
                {(shown()[0] + 1).toLocaleString("en")} to {shown()[1].toLocaleString("en")}
              </span>
              <button type="button" class="tl-link" tabindex="-1" disabled={leaf() === 0} onClick={() => setLeaf((at) => at - 1)}>
                previous
              </button>
              <button type="button" class="tl-link" tabindex="-1" disabled={leaves().length - 1 <= leaf()} onClick={() => setLeaf((at) => at + 1)}>
                next
              </button>
            </Show>
          </Show>
        </p>
      </Show>
    </>
  );
};

const count = (lines: number): string => `${lines.toLocaleString("en")} ${lines === 1 ? "line" : "lines"}`;
