/** Which view the address asks for. The page is one document: links within it change the address and nothing is loaded. */
import { createSignal } from "solid-js";

export type Route =
  | { readonly view: "overview" }
  /** `place` is the offset that a permalink names. */
  | { readonly view: "task"; readonly task: string; readonly place: number | undefined };

const [route, setRoute] = createSignal<Route>(read(location));
export { route };

function read({ pathname, hash }: { pathname: string; hash: string }): Route {
  const named = /^\/tasks\/([^/]+)$/.exec(pathname)?.[1];
  if (named === undefined) return { view: "overview" };
  const place = /^#(\d{1,16})$/.exec(hash)?.[1];
  return { view: "task", task: decode(named), place: place === undefined ? undefined : Number(place) };
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

export const taskAddress = (task: string, place?: number): string =>
  `/tasks/${encodeURIComponent(task)}${place === undefined ? "" : `#${place.toString()}`}`;

/** Goes to an address of this page. `replace` leaves no trace in the history, for places within a task. */
export function goTo(address: string, how: "push" | "replace" = "push"): void {
  if (how === "push") history.pushState(null, "", address);
  else history.replaceState(history.state, "", address);
  setRoute(read(location));
}

/** Follows what the browser's own buttons do, and links to this page that are clicked without a modifier. Gives what ends it. */
export function watchAddress(): () => void {
  const moved = (): void => {
    setRoute(read(location));
  };
  const clicked = (event: MouseEvent): void => {
    if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    const link = event.target instanceof Element ? event.target.closest("a") : null;
    if (!link || link.target !== "" || link.hasAttribute("download") || link.origin !== location.origin) return;
    if (link.pathname !== "/" && !link.pathname.startsWith("/tasks/")) return;
    event.preventDefault();
    goTo(link.pathname + link.search + link.hash);
  };
  addEventListener("popstate", moved);
  addEventListener("hashchange", moved);
  document.addEventListener("click", clicked);
  return () => {
    removeEventListener("popstate", moved);
    removeEventListener("hashchange", moved);
    document.removeEventListener("click", clicked);
  };
}
