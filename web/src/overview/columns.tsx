/** What the columns of the list are. */
import type { Component } from "solid-js";

export const Columns: Component<{ role?: "row" }> = (props) => {
  const cell = (): "columnheader" | undefined => (props.role ? "columnheader" : undefined);
  return (
    <div class="grid-columns task-columns" role={props.role} aria-rowindex={props.role ? 1 : undefined}>
      <span role={cell()}>Status</span>
      <span role={cell()}>Task</span>
      <span role={cell()} class="column-agents">Agents</span>
      <span role={cell()} class="column-runs">Runs</span>
      <span role={cell()} class="column-pulse" title="Activities in each of the last 30 minutes">
        Last 30 min
      </span>
      <span role={cell()} class="column-head" title="The number of the last activity">
        Head
      </span>
      <span role={cell()} class="column-when">Last activity</span>
    </div>
  );
};
