/** What is looked for: a field for text, a menu of agents and labels, and a chip for each that was chosen. */
import { type Component, createSignal, For, onCleanup, Show } from "solid-js";
import { ALL, type Facet, facetsOf, isEverything, takeTokens, type TaskFilter, toggled } from "../model/tasks-filter.ts";
import { CloseIcon, FilterIcon, SearchIcon } from "../ui/icons.tsx";
import { useKeys } from "../ui/keys.ts";
import type { TaskList } from "./list.ts";
import { visible } from "../model/text.ts";
import "./filters.css";

interface Props {
  list: TaskList;
  filter: TaskFilter;
  setFilter: (filter: TaskFilter) => void;
}

export const Filters: Component<Props> = (props) => {
  let field: HTMLInputElement | undefined;
  useKeys([
    { keys: ["/"], does: "Filter by text", group: "Overview", run: () => { field?.focus(); field?.select(); } },
  ]);
  const typed = (text: string): void => {
    props.setFilter({ ...props.filter, text });
  };
  const taken = (): void => {
    props.setFilter(takeTokens(props.filter));
  };
  return (
    <>
      <div class="filters">
        <label class="filters-field">
          <span class="visually-hidden">Filter by id or title</span>
          <SearchIcon />
          <input
            ref={(element) => (field = element)}
            class="field"
            type="search"
            autocomplete="off"
            spellcheck={false}
            placeholder="Filter by id or title"
            title="Words in the id or title; also status:failed, label:team=infra, agent:claude, taken over with Enter"
            value={props.filter.text}
            onInput={(event) => { typed(event.currentTarget.value); }}
            onChange={taken}
            onKeyDown={(event) => {
              if (event.key === "Enter") taken();
              if (event.key === "Escape" || event.key === "Enter") field?.blur();
            }}
          />
          <kbd aria-hidden="true">/</kbd>
        </label>
        <Menu {...props} />
      </div>
      <Show when={!isEverything({ ...props.filter, text: "", standings: [] })}>
        <div class="filters-chips">
          <For each={props.filter.agents}>
            {(agent) => (
              <Chip kind="agent" name={agent} drop={() => { props.setFilter({ ...props.filter, agents: toggled(props.filter.agents, agent) }); }} />
            )}
          </For>
          <For each={props.filter.labels}>
            {(label) => (
              <Chip kind="label" name={label} drop={() => { props.setFilter({ ...props.filter, labels: toggled(props.filter.labels, label) }); }} />
            )}
          </For>
          <button type="button" class="filters-clear" onClick={() => { props.setFilter(ALL); }}>
            Clear all
          </button>
        </div>
      </Show>
    </>
  );
};

const Chip: Component<{ kind: string; name: string; drop: () => void }> = (props) => (
  <span class="filters-chip">
    <span class="filters-kind">{props.kind}</span> <span class="filters-name">{visible(props.name)}</span>
    <button type="button" aria-label={`Do not filter by ${props.kind} ${visible(props.name)}`} onClick={() => { props.drop(); }}>
      <CloseIcon />
    </button>
  </span>
);

const Menu: Component<Props> = (props) => {
  const [facets, setFacets] = createSignal<ReturnType<typeof facetsOf>>();
  let place: HTMLDivElement | undefined;
  const close = (): void => {
    setFacets(undefined);
  };
  const outside = (event: Event): void => {
    if (event.target instanceof Node && !place?.contains(event.target)) close();
  };
  document.addEventListener("pointerdown", outside);
  onCleanup(() => {
    document.removeEventListener("pointerdown", outside);
  });
  return (
    <div
      class="filters-menu"
      ref={(element) => (place = element)}
      onKeyDown={(event) => {
        if (event.key !== "Escape" || !facets()) return;
        event.preventDefault();
        close();
        place?.querySelector("button")?.focus();
      }}
      onFocusOut={(event) => {
        if (event.relatedTarget instanceof Node && !place?.contains(event.relatedTarget)) close();
      }}
    >
      <button
        type="button"
        class="button"
        aria-expanded={facets() !== undefined}
        onClick={() => { if (facets()) close(); else setFacets(facetsOf(props.list.sorted())); }}
      >
        <FilterIcon /> Filter
      </button>
      <Show when={facets()}>
        {(known) => (
          <div class="filters-open" role="group" aria-label="Agents and labels">
            <Facets
              title="Agent"
              none="No agent has said its name yet."
              facets={known().agents}
              chosen={props.filter.agents}
              toggle={(agent) => { props.setFilter({ ...props.filter, agents: toggled(props.filter.agents, agent) }); }}
            />
            <Facets
              title="Label"
              none="No task has labels yet."
              facets={known().labels}
              chosen={props.filter.labels}
              toggle={(label) => { props.setFilter({ ...props.filter, labels: toggled(props.filter.labels, label) }); }}
            />
          </div>
        )}
      </Show>
    </div>
  );
};

const Facets: Component<{
  title: string;
  none: string;
  facets: readonly Facet[];
  chosen: readonly string[];
  toggle: (name: string) => void;
}> = (props) => (
  <fieldset class="filters-facets">
    <legend>{props.title}</legend>
    <For each={props.facets} fallback={<p class="filters-no">{props.none}</p>}>
      {(facet) => (
        <label>
          <input type="checkbox" checked={props.chosen.includes(facet.name)} onChange={() => { props.toggle(facet.name); }} />
          <span class="filters-name">{visible(facet.name)}</span>
          <span class="filters-count">{facet.count.toLocaleString("en")}</span>
        </label>
      )}
    </For>
  </fieldset>
);
