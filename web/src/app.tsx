/** The page: a header that is always there, and the view that the address asks for. */
import { type Component, lazy, Match, onCleanup, Suspense, Switch } from "solid-js";
import type { HubSource } from "./hub/source.ts";
import { Overview } from "./overview/overview.tsx";
import { route, watchAddress } from "./ui/route.ts";

const TaskPage = lazy(() => import("./task/page.tsx"));

export const App: Component<{ hub: HubSource }> = (props) => {
  onCleanup(watchAddress());
  const task = (): string | undefined => {
    const now = route();
    return now.view === "task" ? now.task : undefined;
  };
  return (
    <Switch fallback={<Overview hub={props.hub} />}>
      <Match when={task()} keyed>
        {(name) => (
          <Suspense>
            <TaskPage hub={props.hub} task={name} />
          </Suspense>
        )}
      </Match>
    </Switch>
  );
};
