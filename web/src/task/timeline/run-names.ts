/** Short names and colours by which runs are told apart in the timeline. */
import type { Activity } from "tasklight/viewer";
import { visible } from "../../model/text.ts";

export interface RunName {
  readonly name: string;
  /** One of the timeline's colours, by number. */
  readonly colour: number;
}

/** How many colours there are. */
export const COLOURS = 6;

const LONGEST_NAME = 16;

/** A colour that is the same wherever and whenever the name is seen. */
export function colourOf(name: string): number {
  let hash = 0;
  for (let i = 0; i < name.length; i += 1) hash = (Math.imul(hash, 31) + name.charCodeAt(i)) | 0;
  return Math.abs(hash) % COLOURS;
}

/** The name in at most so many characters: its end, where ids differ. */
export function shortName(id: string): string {
  const last = id.split("/").at(-1) ?? id;
  return visible(last.length <= LONGEST_NAME ? last : `…${last.slice(1 - LONGEST_NAME)}`);
}

/** The runs of which something is held, each with a colour of its own as long as there are enough. */
export function runNames(activities: readonly Activity[]): ReadonlyMap<string, RunName> {
  const ids = new Set(activities.map((activity) => activity.invocationId));
  const names = new Map<string, RunName>();
  const taken = new Set<number>();
  for (const id of ids) {
    let colour = colourOf(id);
    for (let tried = 0; tried < COLOURS && taken.has(colour); tried += 1) colour = (colour + 1) % COLOURS;
    taken.add(colour);
    names.set(id, { name: shortName(id), colour });
  }
  return names;
}
