/** What the renderers need to know of where they are: on the page, or in a file that has no script. */
import { createContext, useContext } from "solid-js";
import type { Activity } from "tasklight/viewer";
import type { Folds } from "./folding.ts";

export interface Rendering {
  /** Everything is there at once, folded by `<details>`. */
  readonly isStatic: boolean;
  readonly folds: Folds;
  readonly isFollowing: () => boolean;
  /** The name of the call that a sub-agent works for. */
  readonly nameOf: (toolCallId: string) => string | undefined;
  /** Whether only the beginning of its payload is held. */
  readonly isCut: (activity: Activity) => boolean;
  readonly full: (offset: number) => Promise<Activity>;
}

export const RenderingContext = createContext<Rendering>();

export function useRendering(): Rendering {
  const rendering = useContext(RenderingContext);
  if (!rendering) throw new Error("a renderer stands outside of a timeline");
  return rendering;
}
