/** Something that can be folded: on the page a button and what it opens, in a file `<details>`. */
import { type Component, type JSX, Show } from "solid-js";
import type { FoldOf } from "./folding.ts";
import { useRendering } from "./rendering.ts";

export const Fold: Component<{ name: string; of: FoldOf; head: JSX.Element; children: JSX.Element }> = (props) => {
  const rendering = useRendering();
  const isOpen = (): boolean => rendering.folds.isOpen(props.name, props.of);
  return (
    <Show
      when={!rendering.isStatic}
      fallback={
        <details class="tl-fold" open={props.of.isOpen}>
          <summary class="tl-head">{props.head}</summary>
          <div class="tl-inside">{props.children}</div>
        </details>
      }
    >
      <div class="tl-fold">
        <button type="button" class="tl-head" tabindex="-1" aria-expanded={isOpen()} onClick={() => { rendering.folds.toggle(props.name, props.of); }}>
          {props.head}
        </button>
        <Show when={isOpen()}>
          <div class="tl-inside">{props.children}</div>
        </Show>
      </div>
    </Show>
  );
};
