/** How a run stands, as a small drawing whose form tells it as well as its colour. */
import { type Component, Match, Switch } from "solid-js";
import type { Status } from "tasklight/viewer";

export type Mark = Status | "stalled" | "unknown";

export const RunMark: Component<{ mark: Mark }> = (props) => (
  <svg class="runs-mark" data-mark={props.mark} viewBox="0 0 16 16" width="14" height="14" role="img" aria-label={props.mark}>
    <Switch>
      <Match when={props.mark === "pending" || props.mark === "unknown"}>
        <circle cx="8" cy="8" r="5.5" fill="none" stroke="currentColor" stroke-width="1.6" stroke-dasharray="3 2.4" />
      </Match>
      <Match when={props.mark === "running"}>
        <circle cx="8" cy="8" r="6" fill="none" stroke="currentColor" stroke-width="1.6" opacity="0.45" />
        <circle class="runs-mark-core" cx="8" cy="8" r="3.4" fill="currentColor" />
      </Match>
      <Match when={props.mark === "stalled"}>
        <circle cx="8" cy="8" r="6" fill="none" stroke="currentColor" stroke-width="1.6" />
        <path d="M6.3 5.4v5.2M9.7 5.4v5.2" stroke="currentColor" stroke-width="1.7" stroke-linecap="round" />
      </Match>
      <Match when={props.mark === "completed"}>
        <circle cx="8" cy="8" r="7" fill="currentColor" />
        <path d="m4.9 8.2 2.2 2.2 4-4.5" fill="none" stroke="var(--card)" stroke-width="1.8" stroke-linecap="round" stroke-linejoin="round" />
      </Match>
      <Match when={props.mark === "failed"}>
        <circle cx="8" cy="8" r="7" fill="currentColor" />
        <path d="m5.6 5.6 4.8 4.8m0-4.8-4.8 4.8" stroke="var(--card)" stroke-width="1.8" stroke-linecap="round" />
      </Match>
      <Match when={props.mark === "cancelled"}>
        <circle cx="8" cy="8" r="6" fill="none" stroke="currentColor" stroke-width="1.6" />
        <path d="m4 12 8-8" stroke="currentColor" stroke-width="1.6" />
      </Match>
      <Match when={props.mark === "lost"}>
        <circle cx="8" cy="8" r="6" fill="none" stroke="currentColor" stroke-width="1.6" />
        <path d="M6.2 6.4a1.8 1.8 0 1 1 2.4 1.8c-.5.2-.6.5-.6 1M8 11.2v.3" fill="none" stroke="currentColor" stroke-width="1.5" stroke-linecap="round" />
      </Match>
    </Switch>
  </svg>
);
