/**
 * All keys of the page in one place: views register what they understand, and the help is made of that. Nothing here knows the DOM beyond
 * the shape of an event.
 */

/** Something that a key does. */
export interface Binding {
  /** Any of these does it: a `KeyboardEvent.key`, or two with a space between them, pressed one after the other. */
  readonly keys: readonly string[];
  /** What it does, as the help says it. */
  readonly does: string;
  /** The heading in the help. */
  readonly group: string;
  /** Also while somebody types. */
  readonly whileTyping?: boolean;
  /** Gives `false` if there was nothing to do, so that the browser's own meaning stays. */
  readonly run: (event: Pressed) => unknown;
}

/** What is used of a `KeyboardEvent`. */
export interface Pressed {
  readonly key: string;
  readonly ctrlKey: boolean;
  readonly metaKey: boolean;
  readonly altKey: boolean;
  readonly shiftKey: boolean;
}

/** Where the event happened, as far as it matters. */
export type Where =
  | "page"
  /** A control that Enter and Space belong to. */
  | "control"
  /** A field that takes text. */
  | "field";

/** How long the second key of two may take. */
export const SEQUENCE_MS = 1_000;

export interface HelpGroup {
  readonly group: string;
  readonly bindings: readonly Binding[];
}

export class Keyboard {
  #bindings: readonly (readonly Binding[])[] = [];
  #first: { readonly key: string; readonly at: number } | undefined;

  /** From now on these are understood, before all that were registered earlier. Gives what ends it. */
  register(bindings: readonly Binding[]): () => void {
    this.#bindings = [bindings, ...this.#bindings];
    return () => {
      this.#bindings = this.#bindings.filter((one) => one !== bindings);
    };
  }

  /** Does what the key means. Says whether it meant anything, so that the browser need do nothing. */
  press(event: Pressed, where: Where, now: number): boolean {
    const first = this.#first && now - this.#first.at <= SEQUENCE_MS ? this.#first.key : undefined;
    this.#first = undefined;
    if (event.ctrlKey || event.metaKey || event.altKey) return false;
    if (where === "control" && (event.key === "Enter" || event.key === " ")) return false;
    const open = (binding: Binding): boolean => where !== "field" || binding.whileTyping === true;
    const all = this.#bindings.flat().filter(open);
    const both = first === undefined ? [] : all.filter((binding) => binding.keys.includes(`${first} ${event.key}`));
    for (const binding of both.length === 0 ? all.filter(({ keys }) => keys.includes(event.key)) : both) {
      if (binding.run(event) !== false) return true;
    }
    if (all.some(({ keys }) => keys.some((key) => key.startsWith(`${event.key} `)))) {
      this.#first = { key: event.key, at: now };
      return true;
    }
    return false;
  }

  /** What there is now, by heading, in the order of registration; a key that an inner view took over is listed once. */
  help(): readonly HelpGroup[] {
    const groups = new Map<string, Binding[]>();
    const seen = new Set<string>();
    for (const binding of this.#bindings.flat()) {
      const name = binding.keys.join();
      if (seen.has(name)) continue;
      seen.add(name);
      const group = groups.get(binding.group);
      if (group) group.push(binding);
      else groups.set(binding.group, [binding]);
    }
    return [...groups].map(([group, bindings]) => ({ group, bindings }));
  }
}
