/** Waiting between tries, without hurry and without marching in step. */

/** Exponential backoff with full jitter: each wait is random between nothing and a bound that doubles up to `most`. */
export class Backoff {
  readonly #first: number;
  readonly #most: number;
  readonly #random: () => number;
  #bound: number;

  constructor(firstMs: number, mostMs: number, random: () => number = Math.random) {
    this.#first = firstMs;
    this.#most = mostMs;
    this.#random = random;
    this.#bound = firstMs;
  }

  /** The next wait in milliseconds. */
  next(): number {
    const wait = this.#random() * this.#bound;
    this.#bound = Math.min(this.#bound * 2, this.#most);
    return wait;
  }

  /** It worked: the next failure starts small again. */
  reset(): void {
    this.#bound = this.#first;
  }
}
