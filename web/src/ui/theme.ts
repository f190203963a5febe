/** Light or dark: as the system says, or as somebody chose for this browser. */
import { createSignal } from "solid-js";

export type Theme = "system" | "light" | "dark";

const KEPT_AS = "tasklight.theme";
const NEXT: Readonly<Record<Theme, Theme>> = { system: "light", light: "dark", dark: "system" };

const [theme, setTheme] = createSignal<Theme>("system");
export { theme };

/** Takes up what was chosen before, and what is chosen in other tabs. Gives what ends that. */
export function watchTheme(): () => void {
  show(read());
  const changed = (event: StorageEvent): void => {
    if (event.key === KEPT_AS || event.key === null) show(read());
  };
  addEventListener("storage", changed);
  return () => {
    removeEventListener("storage", changed);
  };
}

export function nextTheme(): void {
  const chosen = NEXT[theme()];
  keep(chosen);
  show(chosen);
}

function show(chosen: Theme): void {
  setTheme(chosen);
  if (chosen === "system") delete document.documentElement.dataset["theme"];
  else document.documentElement.dataset["theme"] = chosen;
}

// A browser may forbid storage; then it lasts as long as the page.
function read(): Theme {
  try {
    const kept = localStorage.getItem(KEPT_AS);
    return kept === "light" || kept === "dark" ? kept : "system";
  } catch {
    return "system";
  }
}

function keep(chosen: Theme): void {
  try {
    if (chosen === "system") localStorage.removeItem(KEPT_AS);
    else localStorage.setItem(KEPT_AS, chosen);
  } catch {
    return;
  }
}
