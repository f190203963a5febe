/** What the keys do on a task's page. */
import type { HubSource } from "../hub/source.ts";
import { type Binding, useKeys } from "../ui/keys.ts";
import { copyJson, copyLink, copyWords } from "./timeline/copying.ts";
import type { TaskView } from "./timeline/view.ts";
import { goToFirstError } from "./toolbar/jump.tsx";
import type { Search } from "./toolbar/search.ts";

interface Parts {
  readonly view: TaskView;
  readonly hub: HubSource;
  readonly search: Search;
  readonly field: () => HTMLInputElement | undefined;
  readonly toggleRuns: () => void;
}

const PAGE_ROWS = 10;

export function useTaskKeys({ view, hub, search, field, toggleRuns }: Parts): void {
  const onEntry =
    (act: (view: TaskView, entry: NonNullable<ReturnType<TaskView["focusedEntry"]>>) => unknown): Binding["run"] =>
    () => {
      const entry = view.focusedEntry();
      return entry === undefined ? false : void act(view, entry);
    };
  const toHit =
    (by: 1 | -1): Binding["run"] =>
    () => {
      if (search.query() === "") return false;
      search.step(by);
      return true;
    };
  const group = "Timeline";
  useKeys([
    { keys: ["j", "ArrowDown"], does: "Next activity", group, run: () => { view.step(1); } },
    { keys: ["k", "ArrowUp"], does: "Previous activity", group, run: () => { view.step(-1); } },
    { keys: ["J"], does: "Ten further", group, run: () => { view.step(PAGE_ROWS); } },
    { keys: ["K"], does: "Ten back", group, run: () => { view.step(-PAGE_ROWS); } },
    { keys: ["Enter", " ", "o"], does: "Unfold or fold it", group, run: () => view.toggle() },
    { keys: ["x"], does: "Unfold or fold all of its kind", group, run: () => view.toggleKind() },
    { keys: ["f", "End"], does: "Follow the newest", group, run: () => { view.follow(); } },
    { keys: ["Home"], does: "To the start of the log", group, run: () => { void view.goTo(view.log.floor()); } },
    { keys: ["e"], does: "To the first error", group, run: () => { void goToFirstError(view, hub).catch(() => { view.say("the hub does not answer"); }); } },
    { keys: ["/"], does: "Search this task", group, run: () => { field()?.focus(); field()?.select(); } },
    { keys: ["n"], does: "Next hit", group, run: toHit(1) },
    { keys: ["N"], does: "Previous hit", group, run: toHit(-1) },
    { keys: ["y"], does: "Copy its link", group, run: onEntry(copyLink) },
    { keys: ["c"], does: "Copy its text", group, run: onEntry(copyWords) },
    { keys: ["C"], does: "Copy it as JSON", group, run: onEntry(copyJson) },
    { keys: ["r"], does: "Show or hide the runs", group, run: toggleRuns },
  ]);
}
