/** The badge: what is true of the view, at every moment. */
import { type Component, createEffect, createMemo, createSignal, onCleanup } from "solid-js";
import type { LinkState, State } from "tasklight/viewer";
import { Announcer, type Badge, badgeOf, type ListState } from "./badge.ts";
import "./badge.css";

export const BadgeView: Component<{ state: State | LinkState | ListState }> = (props) => {
  const badge = createMemo<Badge>(() => badgeOf(props.state));
  // eslint-disable-next-line solid/reactivity -- followed in its effect
  const spoken = announce(() => badge().spoken);
  return (
    <>
      {/* It can be read at any time, but only `spoken` speaks up: its numbers would never be quiet. */}
      <span id="badge" class="badge" role="status" aria-live="off" data-kind={badge().kind} title={badge().detail}>
        <span class="badge-text">{badge().text}</span>
      </span>
      <span class="visually-hidden" aria-live="polite">
        {spoken()}
      </span>
    </>
  );
};

/** The words, as they are told to a screen reader. */
function announce(words: () => string): () => string {
  const [spoken, setSpoken] = createSignal("");
  const announcer = new Announcer();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const tell = (): void => {
    announcer.told(words(), Date.now());
    setSpoken(words());
  };
  createEffect(() => {
    clearTimeout(timer);
    const wait = announcer.wait(words(), Date.now());
    if (wait === 0) tell();
    else if (wait !== undefined) timer = setTimeout(tell, wait);
  });
  onCleanup(() => {
    clearTimeout(timer);
  });
  return spoken;
}
