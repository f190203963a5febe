/** Which tasks are shown. A filter is a part of the page's address, so that what it shows can be linked. Pure. */
import { agentsOf, type Standing, type Task } from "./tasks.ts";

export interface TaskFilter {
  /** Any of these; all if empty. */
  readonly standings: readonly Standing[];
  /** `name` or `name=value`; all must fit. */
  readonly labels: readonly string[];
  /** Any of these has worked on it; all if empty. */
  readonly agents: readonly string[];
  /** Words in the id or the title; all must be there. */
  readonly text: string;
}

export const ALL: TaskFilter = { standings: [], labels: [], agents: [], text: "" };

export const STANDINGS: readonly Standing[] = ["running", "stalled", "failed", "lost", "completed", "pending", "cancelled", "empty"];

/** The most labels and agents of one filter. */
export const MOST_PARTS = 20;

export type Counts = Readonly<Record<Standing | "all", number>>;

/** Out of the query of an address. What cannot be meant is left out. */
export function parseFilter(query: string): TaskFilter {
  const parameters = new URLSearchParams(query);
  const wanted = new Set(parameters.get("status")?.split(","));
  const parts = (name: string): readonly string[] => [...new Set(parameters.getAll(name).filter((part) => part !== ""))].slice(0, MOST_PARTS);
  return {
    standings: STANDINGS.filter((standing) => wanted.has(standing)),
    labels: parts("label"),
    agents: parts("agent"),
    text: parameters.get("q") ?? "",
  };
}

/** The query that means this filter: empty, or beginning with `?`. */
export function formatFilter(filter: TaskFilter): string {
  const parameters = new URLSearchParams();
  if (filter.standings.length !== 0) parameters.set("status", filter.standings.join(","));
  for (const label of filter.labels) parameters.append("label", label);
  for (const agent of filter.agents) parameters.append("agent", agent);
  if (filter.text.trim() !== "") parameters.set("q", filter.text.trim());
  const query = parameters.toString();
  return query === "" ? "" : `?${query.replaceAll("%2C", ",")}`;
}

export const isEverything = (filter: TaskFilter): boolean => formatFilter(filter) === "";

/** With the part if it was not there, and without it if it was. */
export function toggled<Part>(parts: readonly Part[], part: Part): readonly Part[] {
  if (parts.includes(part)) return parts.filter((one) => one !== part);
  return [...parts, part].slice(-MOST_PARTS);
}

export interface Selection {
  readonly ids: readonly string[];
  /** How many there are of each standing, if the filter asked for none. */
  readonly counts: Counts;
}

/** Those that fit, in their order, in one pass. */
export function select(sorted: readonly { readonly id: string; readonly task: Task }[], filter: TaskFilter): Selection {
  const counts = { all: 0, running: 0, stalled: 0, failed: 0, lost: 0, completed: 0, pending: 0, cancelled: 0, empty: 0 };
  const standings = new Set(filter.standings);
  const fits = test(filter);
  const ids: string[] = [];
  for (const { id, task } of sorted) {
    if (!fits(task)) continue;
    counts.all += 1;
    counts[task.standing] += 1;
    if (standings.size === 0 || standings.has(task.standing)) ids.push(id);
  }
  return { ids, counts };
}

/** Whether a task fits all but the standings. */
function test(filter: TaskFilter): (task: Task) => boolean {
  const words = filter.text.toLowerCase().split(/\s+/).filter((word) => word !== "");
  const labels = filter.labels.map((label) => {
    const cut = label.indexOf("=");
    return cut === -1 ? { name: label, value: undefined } : { name: label.slice(0, cut), value: label.slice(cut + 1) };
  });
  return (task) =>
    words.every((word) => task.text.includes(word)) &&
    labels.every(({ name, value }) => {
      if (!Object.hasOwn(task.summary.labels, name)) return false;
      return value === undefined || task.summary.labels[name] === value;
    }) &&
    (filter.agents.length === 0 || agentsOf(task).some((agent) => filter.agents.includes(agent)));
}

/** Something to choose from, with how many tasks have it. */
export interface Facet {
  readonly name: string;
  readonly count: number;
}

/** The most of a kind that are offered: the most frequent. */
export const MOST_FACETS = 40;

/** What agents and labels there are to filter by. */
export function facetsOf(sorted: readonly { readonly task: Task }[]): { readonly agents: readonly Facet[]; readonly labels: readonly Facet[] } {
  const agents = new Map<string, number>();
  const labels = new Map<string, number>();
  const count = (map: Map<string, number>, name: string): unknown => map.set(name, (map.get(name) ?? 0) + 1);
  for (const { task } of sorted) {
    for (const agent of agentsOf(task)) count(agents, agent);
    for (const [name, value] of Object.entries(task.summary.labels)) count(labels, value === "" ? name : `${name}=${value}`);
  }
  return { agents: frequent(agents), labels: frequent(labels) };
}

function frequent(map: ReadonlyMap<string, number>): readonly Facet[] {
  const facets = [...map].map(([name, count]) => ({ name, count }));
  return facets.sort((one, other) => other.count - one.count || (one.name < other.name ? -1 : 1)).slice(0, MOST_FACETS);
}

const TOKEN = /(^|\s)(status|label|agent):(\S+)/g;

/** Takes `status:`, `label:` and `agent:` out of what somebody typed, and puts them where they belong. */
export function takeTokens(filter: TaskFilter): TaskFilter {
  const found = { status: [...filter.standings] as string[], label: [...filter.labels], agent: [...filter.agents] };
  const text = filter.text.replace(TOKEN, (_, space: string, kind: keyof typeof found, value: string) => {
    if (!found[kind].includes(value)) found[kind].push(value);
    return space;
  });
  if (text === filter.text) return filter;
  const standings = STANDINGS.filter((standing) => found.status.includes(standing));
  return { standings, labels: found.label.slice(-MOST_PARTS), agents: found.agent.slice(-MOST_PARTS), text: text.replace(/\s+/g, " ").trim() };
}
