/** The shape of the list until it has come, so that nothing moves when it does. */
import { type Component, For } from "solid-js";
import { Columns } from "./columns.tsx";
import "./grid.css";
import "./row.css";

const ROWS = Array.from({ length: 14 }, (_, index) => index);

export const Skeleton: Component = () => (
  <div class="grid" aria-busy="true" aria-label="The list of tasks is loading">
    <Columns />
    <For each={ROWS}>
      {(row) => (
        <div class="task-row skeleton-row" data-wide={row % 3}>
          <span class="skeleton-bar" />
          <span class="skeleton-bar" />
        </div>
      )}
    </For>
  </div>
);
