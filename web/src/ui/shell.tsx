/** The frame around every view: a slim header that is always there, and the keys that work everywhere. */
import { type Component, createEffect, type JSX, Show } from "solid-js";
import type { LinkState } from "tasklight/viewer";
import { BadgeView } from "./badge.tsx";
import { Bell } from "./bell.tsx";
import { said } from "./header.ts";
import { Help, showHelp } from "./help.tsx";
import { HelpIcon, MoonIcon, SunIcon, SystemIcon } from "./icons.tsx";
import { useKeys } from "./keys.ts";
import { goTo } from "./route.ts";
import { nextTheme, type Theme, theme } from "./theme.ts";
import "./shell.css";

const THEMES: Readonly<Record<Theme, string>> = {
  system: "Colours: as the system; change to light",
  light: "Colours: light; change to dark",
  dark: "Colours: dark; change to the system's",
};

export const Shell: Component<{ link: LinkState; children: JSX.Element }> = (props) => {
  useKeys([
    { keys: ["g o"], does: "Go to the overview", group: "Everywhere", run: () => { goTo("/"); } },
    { keys: ["?"], does: "Show these keys", group: "Everywhere", run: showHelp },
  ]);
  createEffect(() => {
    const { title } = said();
    document.title = title === "" ? "Tasklight" : `${title} · Tasklight`;
  });
  return (
    <div class="shell">
      <header class="shell-head">
        <a class="shell-brand" href="/" aria-label="Tasklight, overview">
          <svg class="shell-lamp" viewBox="0 0 20 20" aria-hidden="true">
            <circle class="shell-glow" cx="10" cy="10" r="9.5" />
            <circle class="shell-light" cx="10" cy="10" r="5" />
          </svg>
          <span class="shell-name">Tasklight</span>
        </a>
        <span class="shell-slash" aria-hidden="true">/</span>
        <h1 class="shell-title" id="title">{said().title}</h1>
        <span class="shell-detail">{said().detail}</span>
        <BadgeView state={said().state ?? props.link} />
        <span class="shell-tools">
          <Bell />
          <button type="button" class="button-icon" aria-label={THEMES[theme()]} title={THEMES[theme()]} onClick={nextTheme}>
            <Show when={theme() !== "system"} fallback={<SystemIcon />}>
              <Show when={theme() === "light"} fallback={<MoonIcon />}>
                <SunIcon />
              </Show>
            </Show>
          </button>
          <button type="button" class="button-icon shell-help" aria-label="Keyboard help" title="Keyboard help (?)" onClick={showHelp}>
            <HelpIcon />
          </button>
        </span>
      </header>
      {props.children}
      <Help />
    </div>
  );
};
