/** A button that opens something below it, until one is elsewhere. */
import { type Component, createSignal, type JSX, onCleanup, onMount, Show } from "solid-js";

export const Menu: Component<{ label: JSX.Element; title: string; isActive?: boolean; children: (close: () => void) => JSX.Element }> = (props) => {
  const [isOpen, setOpen] = createSignal(false);
  let root: HTMLDivElement | undefined;
  let button: HTMLButtonElement | undefined;
  const close = (): void => {
    setOpen(false);
  };
  const elsewhere = (event: Event): void => {
    if (isOpen() && event.target instanceof Node && root?.contains(event.target) === false) close();
  };
  onMount(() => {
    document.addEventListener("pointerdown", elsewhere);
    document.addEventListener("focusin", elsewhere);
    onCleanup(() => {
      document.removeEventListener("pointerdown", elsewhere);
      document.removeEventListener("focusin", elsewhere);
    });
  });
  return (
    <div
      ref={root}
      class="bar-menu"
      onKeyDown={(event) => {
        if (event.key !== "Escape" || !isOpen()) return;
        event.preventDefault();
        event.stopPropagation();
        close();
        button?.focus();
      }}
    >
      <button
        ref={button}
        type="button"
        class="button"
        classList={{ "bar-active": props.isActive === true }}
        aria-expanded={isOpen()}
        aria-haspopup="true"
        title={props.title}
        onClick={() => setOpen(!isOpen())}
      >
        {props.label}
      </button>
      <Show when={isOpen()}>
        <div class="bar-panel" role="group" aria-label={props.title}>
          {props.children(close)}
        </div>
      </Show>
    </div>
  );
};
