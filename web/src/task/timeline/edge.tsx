/** What is above the first and below the last row: that more is on its way, or why there is no more. Always as high, so that nothing moves. */
import { type Component, Match, Show, Switch } from "solid-js";
import type { TaskLog } from "../../model/log.ts";

export const Edge: Component<{ log: TaskLog; side: "before" | "after" }> = (props) => {
  const isLoading = (): boolean => props.log.loading() === props.side || props.log.loading() === "place";
  const more = (): boolean => (props.side === "before" ? props.log.hasBefore() : props.log.hasAfter());
  const again = (): void => {
    void (props.side === "before" ? props.log.loadBefore() : props.log.loadAfter());
  };
  return (
    <div class="tl-edge" data-side={props.side}>
      <Switch>
        <Match when={isLoading()}>
          <span class="tl-spinner" aria-hidden="true" />
          {props.side === "before" ? "loading older ones" : "loading newer ones"}
        </Match>
        <Match when={more()}>
          <Show when={props.log.failure()}>{(failure) => <span>{failure()} </span>}</Show>
          <button type="button" class="tl-link" onClick={again}>
            {props.side === "before" ? "load older ones" : "load newer ones"}
          </button>
        </Match>
        <Match when={props.side === "before" && 1 < props.log.floor()}>nothing below #{props.log.floor()} is kept</Match>
        <Match when={props.side === "before" && 0 < props.log.entries().length}>beginning of the log</Match>
        <Match when={props.side === "after" && props.log.atEnd() && props.log.state().kind === "live"}>
          <span class="tl-pulse" aria-hidden="true" />
          waiting for more
        </Match>
      </Switch>
    </div>
  );
};
