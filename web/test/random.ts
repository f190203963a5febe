/** Chance that a test can repeat: the same seed gives the same numbers (mulberry32). */
export class Chance {
  #state: number;

  constructor(seed: number) {
    this.#state = seed;
  }

  /** Between 0 and 1. */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let bits = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    bits = (bits + Math.imul(bits ^ (bits >>> 7), 61 | bits)) ^ bits;
    return ((bits ^ (bits >>> 14)) >>> 0) / 4_294_967_296;
  }

  /** From nothing up to, but not including, this. */
  below(end: number): number {
    return Math.floor(this.next() * end);
  }

  is(probability: number): boolean {
    return this.next() < probability;
  }

  of<T>(choices: readonly T[]): T {
    const chosen = choices[this.below(choices.length)];
    if (chosen === undefined) throw new RangeError("nothing to choose from");
    return chosen;
  }
}

/** Runs a property for many seeds, and names the one that it does not hold for. */
export function forSeeds(count: number, property: (chance: Chance, seed: number) => void): void {
  for (let seed = 1; seed <= count; seed += 1) {
    try {
      property(new Chance(seed), seed);
    } catch (error) {
      throw new Error(`seed ${seed.toString()}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
    }
  }
}
