/** Which lanes are shown, in which order: those at work first, sub-agents below what started them, and what is long over folded away. */
import { isOver, type Run, type SubAgent } from "./runs.ts";

export interface Lane {
  /** Unique within the task. */
  readonly id: string;
  readonly depth: number;
  readonly run: Run;
  /** Nothing for the run as a whole. */
  readonly sub: SubAgent | undefined;
  /** How many lanes lie within it, whether or not they are shown. */
  readonly within: number;
  /** Whether they are shown. */
  readonly isOpen: boolean;
}

export interface LaneChoice {
  /** Text that must be in id, agent, title or status. */
  readonly text: string;
  /** Runs that are over are shown beyond the first few, too. */
  readonly all: boolean;
  readonly selected: string | undefined;
  /** Lanes that are folded where others are open, and open where others are folded. */
  readonly turned: ReadonlySet<string>;
}

export interface Lanes {
  readonly lanes: readonly Lane[];
  /** How many runs are folded away. */
  readonly folded: number;
  /** How many runs do not have the text. */
  readonly filtered: number;
}

/** So many runs that are over are shown before somebody asks for all. */
export const SHOWN_OVER = 5;

/** A run that is over with more sub-agents shows them when asked to. */
export const SHOWN_WITHIN = 4;

/** Deeper nesting is shown at this depth. */
const DEEPEST = 5;

export function lanesOf(runs: readonly Run[], choice: LaneChoice): Lanes {
  const fitting = runs.filter((run) => fits(run, choice.text.trim().toLowerCase()));
  const children = new Map<string, Run[]>();
  const roots: Run[] = [];
  const shown = new Map(fitting.map((run) => [run.id, run]));
  for (const run of fitting) {
    const parent = starterOf(run.id);
    if (parent === undefined || !shown.has(parent)) roots.push(run);
    else children.set(parent, [...(children.get(parent) ?? []), run]);
  }
  const atWork = roots.filter((run) => isBusy(run, children));
  const over = roots.filter((run) => !isBusy(run, children));
  const kept = choice.all || choice.text !== "" ? over : over.filter((run, index) => index < SHOWN_OVER || run.id === choice.selected);
  const lanes = [...atWork, ...kept].flatMap((run) => runLanes(run, 0, children, choice));
  return { lanes, folded: over.length - kept.length, filtered: runs.length - fitting.length };
}

/** The run that started this one, by the name that importing gives to a sub-agent with a file of its own: `<session>/agent-<id>`. */
function starterOf(id: string): string | undefined {
  const at = id.lastIndexOf("/agent-");
  return at <= 0 ? undefined : id.slice(0, at);
}

const isBusy = (run: Run, children: ReadonlyMap<string, readonly Run[]>): boolean =>
  !isOver(run.status) || (children.get(run.id) ?? []).some((child) => !isOver(child.status));

const fits = (run: Run, text: string): boolean =>
  text === "" || [run.id, run.agent, run.title, run.status].some((field) => field?.toLowerCase().includes(text) === true);

function runLanes(run: Run, depth: number, children: ReadonlyMap<string, readonly Run[]>, choice: LaneChoice): Lane[] {
  const runs = children.get(run.id) ?? [];
  const within = run.subAgents.length + runs.length;
  const isOpen = (!isOver(run.status) || within <= SHOWN_WITHIN || run.id === choice.selected) !== choice.turned.has(run.id);
  const own: Lane = { id: run.id, depth, run, sub: undefined, within, isOpen };
  if (!isOpen) return [own];
  const deeper = Math.min(DEEPEST, depth + 1);
  return [own, ...subLanes(run, deeper, choice), ...runs.flatMap((child) => runLanes(child, deeper, children, choice))];
}

function subLanes(run: Run, depth: number, choice: LaneChoice): Lane[] {
  const parents = new Map(run.subAgents.map((sub) => [sub.scope, sub.parent]));
  const children = new Map<string | undefined, SubAgent[]>();
  for (const sub of run.subAgents) {
    const parent = isFounded(sub, parents) ? sub.parent : undefined;
    children.set(parent, [...(children.get(parent) ?? []), sub]);
  }
  const lanes: Lane[] = [];
  const put = (sub: SubAgent, at: number): void => {
    const id = `${run.id}\n${sub.scope}`;
    const below = children.get(sub.scope) ?? [];
    const isOpen = !choice.turned.has(id);
    lanes.push({ id, depth: at, run, sub, within: below.length, isOpen });
    if (isOpen) for (const child of below) put(child, Math.min(DEEPEST, at + 1));
  };
  for (const sub of children.get(undefined) ?? []) put(sub, depth);
  return lanes;
}

/** Whether what started it is known, and so on up to the run itself. */
function isFounded(sub: SubAgent, parents: ReadonlyMap<string, string | undefined>): boolean {
  const seen = new Set([sub.scope]);
  for (let at = sub.parent; at !== undefined; at = parents.get(at)) {
    if (seen.has(at) || !parents.has(at)) return false;
    seen.add(at);
  }
  return true;
}
