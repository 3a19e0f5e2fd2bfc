import type { Micros } from '../../domain/time.ts';

/** When the next of some documents expires (4.22): one comparison for those who read, most of whom have none that does. */
export class Due {
  readonly #first: () => Promise<Micros | undefined>;
  #at: Micros = Number.NEGATIVE_INFINITY;

  /** @param first when the first of those that are stored expires */
  constructor(first: () => Promise<Micros | undefined>) {
    this.#first = first;
  }

  /** True if something has expired and is still stored. */
  by(now: Micros): boolean {
    return this.#at <= now;
  }

  /** When the next one does, or has. */
  get at(): Micros {
    return this.#at;
  }

  /** Something that expires is being written. */
  add(at: Micros | undefined): void {
    if (at !== undefined && at < this.#at) this.#at = at;
  }

  /** Asks the database. What is added meanwhile counts. */
  async look(): Promise<void> {
    const before = this.#at;
    this.#at = Number.POSITIVE_INFINITY;
    try {
      this.add(await this.#first());
    } catch (error) {
      this.add(before);
      throw error;
    }
  }
}
