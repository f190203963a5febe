/** Marks words wherever they stand in an element, without touching it: by the browser's own highlights, where it has them. */
import { type Accessor, createEffect, createRoot } from "solid-js";

/** The name in the style sheet: `::highlight(tl-words)`. */
const NAME = "tl-words";

/** So many places are marked at a time. */
const MOST_MARKED = 1_000;

/** Keeps them marked while the element changes. Gives what ends it. */
export function markWords(element: HTMLElement, words: Accessor<string>): () => void {
  const highlights = (globalThis as { CSS?: { highlights?: HighlightRegistry } }).CSS?.highlights;
  if (!highlights || typeof Highlight === "undefined") return () => undefined;
  let frame = 0;
  const again = (): void => {
    cancelAnimationFrame(frame);
    frame = requestAnimationFrame(() => {
      highlights.set(NAME, new Highlight(...found(element, words().trim().toLowerCase())));
    });
  };
  const observer = new MutationObserver(again);
  return createRoot((dispose) => {
    createEffect(() => {
      observer.disconnect();
      if (words().trim() === "") highlights.delete(NAME);
      else observer.observe(element, { subtree: true, childList: true, characterData: true });
      again();
    });
    return () => {
      dispose();
      observer.disconnect();
      cancelAnimationFrame(frame);
      highlights.delete(NAME);
    };
  });
}

function found(element: HTMLElement, words: string): Range[] {
  if (words === "") return [];
  const ranges: Range[] = [];
  const walker = document.createTreeWalker(element, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const text = (node.nodeValue ?? "").toLowerCase();
    for (let at = text.indexOf(words); 0 <= at; at = text.indexOf(words, at + words.length)) {
      if (MOST_MARKED <= ranges.length) return ranges;
      const range = new Range();
      range.setStart(node, at);
      range.setEnd(node, Math.min(at + words.length, (node.nodeValue ?? "").length));
      ranges.push(range);
    }
  }
  return ranges;
}
