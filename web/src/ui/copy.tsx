/** A button that copies a text and says that it did. */
import { type Component, createSignal, onCleanup, Show } from "solid-js";
import { CheckIcon, CopyIcon } from "./icons.tsx";

/** How long it says so. */
const TOLD_MS = 1_600;

export const CopyButton: Component<{ text: string; label: string }> = (props) => {
  const [told, setTold] = createSignal<"copied" | "could not copy">();
  let timer: ReturnType<typeof setTimeout> | undefined;
  onCleanup(() => {
    clearTimeout(timer);
  });
  const copy = async (): Promise<void> => {
    setTold((await copyText(props.text)) ? "copied" : "could not copy");
    clearTimeout(timer);
    timer = setTimeout(() => { setTold(undefined); }, TOLD_MS);
  };
  return (
    <button type="button" class="button-icon" title={props.label} aria-label={props.label} onClick={() => void copy()}>
      <Show when={told() === "copied"} fallback={<CopyIcon />}>
        <CheckIcon />
      </Show>
      <span class="visually-hidden" aria-live="polite">
        {told()}
      </span>
    </button>
  );
};

/** Says whether it could. Browsers allow it to pages from this machine or over HTTPS; for others there is the old way. */
export async function copyText(text: string): Promise<boolean> {
  try {
    // Absent where the page came over plain HTTP from elsewhere, whatever the type says.
    const clipboard = navigator.clipboard as Clipboard | undefined;
    if (clipboard) {
      await clipboard.writeText(text);
      return true;
    }
  } catch {
    // The old way is left.
  }
  const field = document.createElement("textarea");
  field.value = text;
  field.className = "visually-hidden";
  document.body.append(field);
  field.select();
  // eslint-disable-next-line @typescript-eslint/no-deprecated -- the only way where there is no clipboard
  const isCopied = document.execCommand("copy");
  field.remove();
  return isCopied;
}
