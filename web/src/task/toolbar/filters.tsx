/** Which activities are shown, by type and by run. */
import { type Component, For, Show } from "solid-js";
import type { LogFilter } from "../../model/log.ts";
import { visible } from "../../model/text.ts";
import { FilterIcon } from "../../ui/icons.tsx";
import { Menu } from "./menu.tsx";

/** What is filtered together: a call is shown with its result. */
const TYPES: readonly (readonly [label: string, types: readonly string[]])[] = [
  ["messages", ["message"]],
  ["thinking", ["thinking"]],
  ["tool calls", ["tool_call", "tool_result"]],
  ["output", ["output"]],
  ["status", ["status"]],
  ["progress", ["progress"]],
  ["errors", ["error"]],
  ["usage", ["usage"]],
  ["others", ["custom"]],
];

/** The most runs that are offered. */
const MOST_RUNS = 200;

export const Filters: Component<{ filter: LogFilter; setFilter: (filter: LogFilter) => void; runs: readonly string[] }> = (props) => {
  const count = (): number => TYPES.filter(([, types]) => types.every((type) => props.filter.types.has(type))).length + (props.filter.invocation === undefined ? 0 : 1);
  const toggle = (types: readonly string[], isOn: boolean): void => {
    const next = new Set(props.filter.types);
    for (const type of types) if (isOn) next.add(type);
    else next.delete(type);
    props.setFilter({ ...props.filter, types: next });
  };
  return (
    <Menu
      title="Filter"
      isActive={0 < count()}
      label={
        <>
          <FilterIcon />
          <span class="bar-word">Filter</span>
          <Show when={0 < count()}>
            <span class="bar-count">{count()}</span>
          </Show>
        </>
      }
    >
      {(close) => (
        <>
          <fieldset class="bar-types">
            <legend>Types (none for all)</legend>
            <For each={TYPES}>
              {([label, types]) => (
                <label>
                  <input type="checkbox" checked={types.every((type) => props.filter.types.has(type))} onChange={(event) => { toggle(types, event.currentTarget.checked); }} /> {label}
                </label>
              )}
            </For>
          </fieldset>
          <label class="bar-run">
            Run
            <select
              class="field"
              value={props.filter.invocation ?? ""}
              onChange={(event) => {
                const { value } = event.currentTarget;
                props.setFilter({ ...props.filter, invocation: value === "" ? undefined : value });
              }}
            >
              <option value="">all runs</option>
              <For each={props.runs.slice(0, MOST_RUNS)}>{(run) => <option value={run}>{visible(run)}</option>}</For>
            </select>
          </label>
          <button
            type="button"
            class="button"
            disabled={count() === 0}
            onClick={() => {
              props.setFilter({ types: new Set(), invocation: undefined });
              close();
            }}
          >
            Show everything
          </button>
        </>
      )}
    </Menu>
  );
};
