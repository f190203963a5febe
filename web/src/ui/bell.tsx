/** Turns desktop notifications on and off, and says why it cannot where it cannot. */
import { type Component, createSignal, Show } from "solid-js";
import { BellIcon } from "./icons.tsx";
import { type Standing, standing, toggleNotifications } from "./notify.ts";

const LABELS: Readonly<Record<Standing, string>> = {
  off: "Notify me when a task fails, is lost or needs me",
  on: "Notifications are on; turn them off",
  denied: "Notifications are blocked",
  impossible: "Notifications are not possible here",
};

const REASONS: Readonly<Partial<Record<Standing, string>>> = {
  denied: "This browser blocks notifications of this page. Allow them in the site settings, beside the address, then press the bell again.",
  impossible: "Browsers show notifications only for pages from this machine or over HTTPS.",
};

export const Bell: Component = () => {
  const [isExplained, setExplained] = createSignal(false);
  const reason = (): string | undefined => (isExplained() ? REASONS[standing()] : undefined);
  const pressed = async (): Promise<void> => {
    await toggleNotifications();
    setExplained((before) => standing() in REASONS && !before);
  };
  return (
    <span class="shell-bell">
      <button
        type="button"
        class="button-icon"
        aria-pressed={standing() === "on"}
        aria-label={LABELS[standing()]}
        title={LABELS[standing()]}
        onClick={() => void pressed()}
        onBlur={() => setExplained(false)}
      >
        <BellIcon on={standing() === "on"} />
      </button>
      <span aria-live="polite">
        <Show when={reason()}>{(words) => <span class="shell-hint">{words()}</span>}</Show>
      </span>
    </span>
  );
};
