/**
 * Activities as entries, kept up to date step by step: what is added or dropped at either end costs what it is, not what is held. The result is
 * what would come of all activities held at once, but for output: where an entry of output ends depends on what was there when it grew.
 */
import type { Activity } from "tasklight/viewer";
import type { Entry, HoleEntry } from "./entry.ts";
import { Node, sortOf } from "./entries/node.ts";

export class Entries {
  /** In the order of their keys. */
  #nodes: Node[] = [];
  /** The nodes of each chain, in order. */
  readonly #chains = new Map<string, Node[]>();
  /** The output that an invocation's next chunk goes on with: nothing else came of it meanwhile. */
  readonly #output = new Map<string, Node>();
  #list: readonly Entry[] | undefined;

  get length(): number {
    return this.#nodes.length;
  }

  /** As they are shown; the same list as long as nothing changes, and for what did not change the same entries. */
  get list(): readonly Entry[] {
    this.#list ??= this.#nodes.map((node) => node.entry);
    return this.#list;
  }

  /** Adds what comes after everything held. */
  append(activities: readonly Activity[]): void {
    for (const activity of activities) this.#append(activity);
    if (activities.length !== 0) this.#list = undefined;
  }

  /** Adds a hole after everything held. */
  appendHole(hole: HoleEntry): void {
    this.#nodes.push(new Node({ kind: "hole", chain: undefined }, hole));
    this.#output.clear();
    this.#list = undefined;
  }

  /** Adds what comes before everything held. Gives how many entries came before the first one by that. */
  prepend(activities: readonly Activity[]): number {
    if (activities.length === 0) return 0;
    const page = new Entries();
    page.append(activities);
    let joined = false;
    for (const [chain, earlier] of page.#chains) {
      const later = this.#chains.get(chain) ?? [];
      const [one, other] = [earlier.at(-1), later[0]];
      const isOne = one && other?.members[0] && one.takes(other.members[0]);
      if (isOne) one.absorb(other);
      joined ||= isOne === true;
      this.#chains.set(chain, [...earlier, ...(isOne ? later.slice(1) : later)]);
    }
    const here = joined ? this.#nodes.filter((node) => !node.isGone) : this.#nodes;
    this.#nodes = [...page.#nodes, ...here];
    this.#list = undefined;
    return page.#nodes.length;
  }

  /** Drops the activities before this offset. Gives by how many there are fewer entries. */
  trimBefore(from: number): number {
    let count = 0;
    for (let node = this.#nodes[0]; node && node.key < from; node = this.#nodes[count]) count += 1;
    if (count === 0) return 0;
    const before = this.#nodes.length;
    const dropped = this.#nodes.splice(0, count);
    for (const node of dropped) {
      node.keep(from, Number.POSITIVE_INFINITY);
      // What goes on later begins with what is left of it.
      if (node.isGone) this.#forget(node);
      else this.#insert(node);
    }
    this.#list = undefined;
    return before - this.#nodes.length;
  }

  /** Drops the activities after this offset. */
  trimAfter(to: number): void {
    if (!this.#nodes.some((node) => to < node.last)) return;
    for (const node of this.#nodes) {
      if (node.last <= to) continue;
      node.keep(Number.NEGATIVE_INFINITY, to);
      if (node.isGone) this.#forget(node);
    }
    this.#nodes = this.#nodes.filter((node) => !node.isGone);
    this.#output.clear();
    this.#list = undefined;
  }

  #append(activity: Activity): void {
    const sort = sortOf(activity);
    const { invocationId } = activity;
    const isChunk = sort.kind === "output" && sort.chain === undefined;
    const chain = sort.chain === undefined ? undefined : this.#chains.get(sort.chain);
    const open = isChunk ? this.#output.get(invocationId) : chain?.at(-1);
    if (open?.takes(activity) === true) open.push(activity);
    else {
      const node = new Node(sort, activity);
      this.#nodes.push(node);
      if (chain) chain.push(node);
      else if (sort.chain !== undefined) this.#chains.set(sort.chain, [node]);
      if (isChunk) this.#output.set(invocationId, node);
    }
    if (!isChunk) this.#output.delete(invocationId);
  }

  #forget(node: Node): void {
    for (const [invocation, one] of this.#output) if (one === node) this.#output.delete(invocation);
    if (node.chain === undefined) return;
    const left = (this.#chains.get(node.chain) ?? []).filter((one) => one !== node);
    if (left.length === 0) this.#chains.delete(node.chain);
    else this.#chains.set(node.chain, left);
  }

  #insert(node: Node): void {
    let [low, high] = [0, this.#nodes.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#nodes[middle]?.key ?? 0) < node.key) low = middle + 1;
      else high = middle;
    }
    this.#nodes.splice(low, 0, node);
  }
}
