/** How something stands: a mark that differs by shape and not by colour alone, and the word. */
import { type Component, type JSX, Show } from "solid-js";
import type { Status } from "tasklight/viewer";
import "./status.css";

/** `stalled` is derived; `empty` is a task without runs. */
export type Mark = Status | "stalled" | "empty";

const SHAPES: Readonly<Record<Mark, () => JSX.Element>> = {
  empty: () => <circle class="status-line" cx="8" cy="8" r="5.5" stroke-dasharray="1.2 2.6" />,
  pending: () => <circle class="status-line" cx="8" cy="8" r="5.5" />,
  running: () => (
    <>
      <circle class="status-track" cx="8" cy="8" r="5.5" />
      <path class="status-line" d="M8 2.5a5.5 5.5 0 0 1 5.5 5.5" />
      <circle class="status-fill" cx="8" cy="8" r="2.2" />
    </>
  ),
  completed: () => (
    <>
      <circle class="status-fill" cx="8" cy="8" r="6.2" />
      <path class="status-cut" d="m5.2 8.2 2 2 3.6-4" />
    </>
  ),
  failed: () => (
    <>
      <path class="status-fill" d="M5.3 1.8h5.4l3.5 3.5v5.4l-3.5 3.5H5.3l-3.5-3.5V5.3z" />
      <path class="status-cut" d="m5.8 5.8 4.4 4.4m0-4.4-4.4 4.4" />
    </>
  ),
  cancelled: () => (
    <>
      <circle class="status-line" cx="8" cy="8" r="5.5" />
      <path class="status-line" d="m4.6 11.4 6.8-6.8" />
    </>
  ),
  lost: () => (
    <>
      <circle class="status-line" cx="8" cy="8" r="5.9" stroke-dasharray="2.6 2" />
      <path class="status-line" d="M6.3 6.5a1.75 1.75 0 1 1 2.6 1.5c-.6.35-.9.6-.9 1.2m0 1.7v.1" />
    </>
  ),
  stalled: () => (
    <>
      <path class="status-fill" d="M8 1.6 15 14H1z" />
      <path class="status-cut" d="M8 6v3.6m0 2v.1" />
    </>
  ),
};

/** `wordless` keeps the word for screen readers only. */
export const StatusMark: Component<{ status: Mark; wordless?: boolean }> = (props) => (
  <span class="status" data-status={props.status} title={props.wordless ? props.status : undefined}>
    <svg class="status-mark" viewBox="0 0 16 16" aria-hidden="true">
      <Show when={props.status} keyed>
        {(status) => SHAPES[status]()}
      </Show>
    </svg>
    <span class={props.wordless ? "visually-hidden" : "status-word"}>{props.status === "empty" ? "no runs" : props.status}</span>
  </span>
);
