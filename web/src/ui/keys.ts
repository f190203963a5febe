/** The page's keyboard, and how a component takes part in it. */
import { onCleanup } from "solid-js";
import { type Binding, Keyboard, type Where } from "./keyboard.ts";

export type { Binding } from "./keyboard.ts";

export const keyboard = new Keyboard();

/** These keys are understood for as long as the calling component is there. */
export function useKeys(bindings: readonly Binding[]): void {
  onCleanup(keyboard.register(bindings));
}

/** Listens to the document. Gives what ends it. */
export function watchKeys(): () => void {
  const pressed = (event: KeyboardEvent): void => {
    if (event.defaultPrevented || event.isComposing) return;
    // A dialog that is open has the keys for itself.
    if (document.querySelector("dialog[open]")) return;
    if (keyboard.press(event, whereIs(event.target), performance.now())) event.preventDefault();
  };
  document.addEventListener("keydown", pressed);
  return () => {
    document.removeEventListener("keydown", pressed);
  };
}

function whereIs(target: EventTarget | null): Where {
  if (!(target instanceof HTMLElement)) return "page";
  if (target.isContentEditable || target.matches("textarea, select")) return "field";
  if (target instanceof HTMLInputElement) return ["checkbox", "radio", "button", "range"].includes(target.type) ? "control" : "field";
  return target.closest("a[href], button, summary, [role=button], [role=tab], [role=menuitem]") ? "control" : "page";
}
