/** Which rows of a long list are on screen, when all rows are equally high. Only those are drawn. */
import { type Accessor, createSignal, onCleanup } from "solid-js";

/** Rows that are drawn beyond each edge, so that a quick scroll shows no blank. */
const BEYOND = 6;

export interface RowWindow {
  /** For the element that scrolls. */
  attach(element: HTMLElement): void;
  readonly first: Accessor<number>;
  /** The one after the last. */
  readonly end: Accessor<number>;
  /** Those that are really on screen: the first, and the one after the last. */
  top(): number;
  bottom(): number;
  /** The width of what scrolls, in pixels. */
  readonly width: Accessor<number>;
  /** Scrolls as little as needed for this row to be seen. */
  reveal(row: number): void;
  /** Whether the end is on screen, so that what is added should be, too. */
  isAtEnd(): boolean;
  toEnd(): void;
}

export function createWindow(rowHeight: number, count: Accessor<number>): RowWindow {
  const [top, setTop] = createSignal(0);
  const [height, setHeight] = createSignal(0);
  const [width, setWidth] = createSignal(0);
  let scroller: HTMLElement | undefined;
  const first = (): number => Math.max(0, Math.min(Math.floor(top() / rowHeight) - BEYOND, count() - 1));
  const end = (): number => Math.min(count(), Math.ceil((top() + height()) / rowHeight) + BEYOND);
  const attach = (element: HTMLElement): void => {
    scroller = element;
    const measured = (): void => {
      setTop(element.scrollTop);
      setHeight(element.clientHeight);
      setWidth(element.clientWidth);
    };
    const observer = new ResizeObserver(measured);
    observer.observe(element);
    element.addEventListener("scroll", measured, { passive: true });
    onCleanup(() => {
      observer.disconnect();
      element.removeEventListener("scroll", measured);
    });
  };
  const reveal = (row: number): void => {
    if (!scroller) return;
    const above = row * rowHeight;
    if (above < scroller.scrollTop) scroller.scrollTop = above;
    else if (scroller.scrollTop + scroller.clientHeight < above + rowHeight) scroller.scrollTop = above + rowHeight - scroller.clientHeight;
  };
  const isAtEnd = (): boolean => !scroller || scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < rowHeight * 1.5;
  const toEnd = (): void => {
    if (scroller) scroller.scrollTop = scroller.scrollHeight;
  };
  const rowTop = (): number => Math.floor(top() / rowHeight);
  const rowBottom = (): number => Math.ceil((top() + height()) / rowHeight);
  return { top: rowTop, bottom: rowBottom, attach, first, end, width, reveal, isAtEnd, toEnd };
}
