/** The page: a frame that is always there, and the view that the address asks for. */
import { type Component, createEffect, createSignal, lazy, Match, onCleanup, Show, Suspense, Switch } from "solid-js";
import type { LinkState } from "tasklight/viewer";
import type { HubSource } from "./hub/source.ts";
import { Overview } from "./overview/overview.tsx";
import { TaskList } from "./overview/list.ts";
import { Access, type Denied } from "./ui/access.tsx";
import { watchKeys } from "./ui/keys.ts";
import { standing, tell, watchLocks } from "./ui/notify.ts";
import { route, watchAddress } from "./ui/route.ts";
import { Shell } from "./ui/shell.tsx";
import { watchTheme } from "./ui/theme.ts";

const TaskPage = lazy(() => import("./task/page.tsx"));

export const App: Component<{ hub: HubSource }> = (props) => {
  onCleanup(watchAddress());
  onCleanup(watchKeys());
  onCleanup(watchTheme());
  watchLocks();
  const [link, setLink] = createSignal<LinkState>({ kind: "connecting" });
  // eslint-disable-next-line solid/reactivity -- there is one hub for the page's life
  const { hub } = props;
  onCleanup(hub.onLink(setLink));
  const list = new TaskList(hub, (notice) => void tell(notice));
  onCleanup(() => {
    list.close();
  });
  // Whoever wants to be told of failures must hear of them, whatever is on screen.
  createEffect(() => {
    if (standing() === "on") onCleanup(list.use());
  });
  const task = (): string | undefined => {
    const now = route();
    return now.view === "task" ? now.task : undefined;
  };
  const denied = (): Denied | undefined => {
    const now = link();
    return now.kind === "denied" ? now : undefined;
  };
  return (
    <Shell link={link()}>
      <Show when={denied()}>{(why) => <Access denied={why()} setToken={(token) => { hub.setToken(token); }} />}</Show>
      <Switch fallback={<Overview list={list} link={link()} />}>
        <Match when={task()} keyed>
          {(name) => (
            <Suspense>
              <TaskPage hub={hub} task={name} />
            </Suspense>
          )}
        </Match>
      </Switch>
    </Shell>
  );
};
