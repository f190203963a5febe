/** All keys, as they are registered at this moment. */
import { type Component, createSignal, For, Show } from "solid-js";
import { CloseIcon } from "./icons.tsx";
import type { HelpGroup } from "./keyboard.ts";
import { keyboard } from "./keys.ts";
import "./help.css";

const NAMES: Readonly<Record<string, string>> = {
  ArrowDown: "↓", ArrowUp: "↑", ArrowLeft: "←", ArrowRight: "→", Escape: "Esc", " ": "Space", PageDown: "Page ↓", PageUp: "Page ↑",
};

const [groups, setGroups] = createSignal<readonly HelpGroup[]>([]);
let dialog: HTMLDialogElement | undefined;

export function showHelp(): void {
  setGroups(keyboard.help());
  if (!dialog?.open) dialog?.showModal();
}

export const Help: Component = () => (
  <dialog
    ref={(element) => (dialog = element)}
    class="dialog help"
    aria-labelledby="help-title"
    onClick={(event) => {
      if (event.target === event.currentTarget) event.currentTarget.close();
    }}
  >
    <div class="help-inside">
      <header class="dialog-head">
        <h2 id="help-title">Keyboard</h2>
        <button type="button" class="button-icon" aria-label="Close" title="Close (Esc)" onClick={() => dialog?.close()}>
          <CloseIcon />
        </button>
      </header>
      <div class="help-groups">
        <For each={groups()}>
          {({ group, bindings }) => (
            <section>
              <h3>{group}</h3>
              <dl>
                <For each={bindings}>
                  {(binding) => (
                    <div class="help-line">
                      <dt>{binding.does}</dt>
                      <dd>
                        <For each={binding.keys}>
                          {(keys, index) => (
                            <>
                              <Show when={index() !== 0}> or </Show>
                              <For each={keys === " " ? [keys] : keys.split(" ")}>{(key) => <kbd>{NAMES[key] ?? key}</kbd>}</For>
                            </>
                          )}
                        </For>
                      </dd>
                    </div>
                  )}
                </For>
              </dl>
            </section>
          )}
        </For>
      </div>
    </div>
  </dialog>
);
