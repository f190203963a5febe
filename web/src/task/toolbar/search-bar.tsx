/** The field for searching, how many hits there are, and the list of them. */
import { type Component, createSignal, For, Show } from "solid-js";
import type { Hit } from "../../model/find.ts";
import { visible } from "../../model/text.ts";
import { clockTime } from "../../ui/badge.ts";
import { CloseIcon, SearchIcon } from "../../ui/icons.tsx";
import { LONGEST_SOUGHT, type Progress, type Search } from "./search.ts";

/** So many hits are listed, around the one at hand. */
const MOST_LISTED = 100;

export const SearchBar: Component<{ search: Search; field: (element: HTMLInputElement) => void }> = (props) => {
  const [isListed, setListed] = createSignal(false);
  const isActive = (): boolean => props.search.query().trim() !== "";
  const clear = (): void => {
    props.search.setQuery("");
    setListed(false);
  };
  const listed = (): readonly Hit[] => {
    const from = Math.max(0, Math.min(props.search.at() - MOST_LISTED / 2, props.search.hits().length - MOST_LISTED));
    return props.search.hits().slice(from, from + MOST_LISTED);
  };
  return (
    <search class="find">
      <span class="find-field">
        <SearchIcon />
        <input
          ref={(element) => { props.field(element); }}
          class="field"
          type="search"
          placeholder="Search this task"
          aria-label="Search this task"
          autocomplete="off"
          spellcheck={false}
          maxlength={LONGEST_SOUGHT}
          value={props.search.query()}
          onInput={(event) => { props.search.setQuery(event.currentTarget.value); }}
          onKeyDown={(event) => {
            if (event.key === "Enter") props.search.step(event.shiftKey ? -1 : 1);
            else if (event.key === "Escape") {
              if (isActive()) clear();
              else event.currentTarget.blur();
            } else return;
            event.preventDefault();
            event.stopPropagation();
          }}
        />
      </span>
      <Show when={isActive()}>
        <span class="find-count" role="status">
          {countText(props.search)} <span class="find-progress">{progressText(props.search.progress())}</span>
        </span>
        <Show when={props.search.progress().kind === "searching"}>
          <button type="button" class="tl-link" onClick={() => { props.search.stop(); }}>
            stop
          </button>
        </Show>
        <button type="button" class="button-icon" title="Previous (Shift+Enter, N)" aria-label="Previous hit" onClick={() => { props.search.step(-1); }}>
          ↑
        </button>
        <button type="button" class="button-icon" title="Next (Enter, n)" aria-label="Next hit" onClick={() => { props.search.step(1); }}>
          ↓
        </button>
        <button type="button" class="button-icon" aria-pressed={isListed()} title="List the hits" aria-label="List the hits" onClick={() => setListed(!isListed())}>
          ≡
        </button>
        <button type="button" class="button-icon" title="End the search (Esc)" aria-label="End the search" onClick={clear}>
          <CloseIcon />
        </button>
      </Show>
      <Show when={isActive() && isListed()}>
        <ol class="find-list" aria-label="Hits">
          <For each={listed()} fallback={<li class="find-none">Nothing found.</li>}>
            {(hit) => (
              <li>
                <button type="button" class="find-hit" aria-current={props.search.hits()[props.search.at()]?.offset === hit.offset} onClick={() => { props.search.goTo(hit); }}>
                  <span class="find-place">#{hit.offset}</span>
                  <span class="find-place">{clockTime(hit.timestamp)}</span>
                  <span class="find-type">{visible(hit.type.replaceAll("_", " "))}</span>
                  <span class="find-excerpt">
                    {flat(hit.excerpt.slice(0, hit.at[0]))}
                    <mark>{flat(hit.excerpt.slice(hit.at[0], hit.at[0] + hit.at[1]))}</mark>
                    {flat(hit.excerpt.slice(hit.at[0] + hit.at[1]))}
                  </span>
                </button>
              </li>
            )}
          </For>
        </ol>
      </Show>
    </search>
  );
};

/** On one line, without the colours of terminals. */
const flat = (text: string): string => visible(text.replaceAll(/\u001b\[[\d;]*m/g, "").replaceAll(/\s+/g, " "));

function countText(search: Search): string {
  const count = search.hits().length;
  if (count === 0) return search.progress().kind === "done" ? "nothing found" : "0";
  const all = count.toLocaleString("en") + (search.progress().kind === "done" ? "" : "+");
  return search.at() < 0 ? all : `${(search.at() + 1).toLocaleString("en")} / ${all}`;
}

function progressText(progress: Progress): string {
  switch (progress.kind) {
    case "searching":
      return progress.through === undefined ? "searching …" : `searched to #${progress.through.toString()}`;
    case "many":
      return "too many: narrow it down";
    case "stopped":
      return "stopped";
    case "failed":
      return progress.reason;
    case "idle":
    case "done":
      return "";
  }
}
