/** Dragging over a part of the time to look at that part alone. With a mouse or a pen; a finger scrolls. */
import { type Accessor, createSignal, onCleanup } from "solid-js";

/** A shorter way is a click. */
const LEAST_PX = 6;

export interface Brush {
  /** What is being dragged over, in pixels from the left of the times. */
  readonly dragged: Accessor<{ readonly from: number; readonly to: number } | undefined>;
  attach(element: HTMLElement): void;
  /** Whether the click that comes now ends a drag, and is none. */
  endsDrag(): boolean;
}

export function createBrush(left: Accessor<number>, width: Accessor<number>, chosen: (from: number, to: number) => void): Brush {
  const [dragged, setDragged] = createSignal<{ from: number; to: number }>();
  let start: { readonly pointer: number; readonly x: number } | undefined;
  let wasDrag = false;
  const place = (element: HTMLElement, event: PointerEvent): number => event.clientX - element.getBoundingClientRect().left - left();
  const within = (x: number): number => Math.max(0, Math.min(width(), x));
  const attach = (element: HTMLElement): void => {
    const controller = new AbortController();
    const on = <Name extends keyof HTMLElementEventMap>(name: Name, act: (event: HTMLElementEventMap[Name]) => void): void => {
      element.addEventListener(name, act as EventListener, { signal: controller.signal });
    };
    const ended = (): void => {
      start = undefined;
      setDragged(undefined);
    };
    on("pointerdown", (event) => {
      wasDrag = false;
      const x = place(element, event);
      if (event.button !== 0 || event.pointerType === "touch" || x < 0 || width() < x) return;
      start = { pointer: event.pointerId, x };
    });
    on("pointermove", (event) => {
      if (!start || event.pointerId !== start.pointer) return;
      const x = within(place(element, event));
      if (!dragged() && Math.abs(x - start.x) < LEAST_PX) return;
      if (!dragged()) element.setPointerCapture(event.pointerId);
      setDragged({ from: Math.min(start.x, x), to: Math.max(start.x, x) });
    });
    on("pointerup", () => {
      const over = dragged();
      wasDrag = over !== undefined;
      ended();
      if (over) chosen(over.from / width(), over.to / width());
    });
    on("pointercancel", ended);
    onCleanup(() => {
      controller.abort();
    });
  };
  return { dragged, attach, endsDrag: () => wasDrag };
}
