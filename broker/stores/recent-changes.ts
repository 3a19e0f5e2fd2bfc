import type { Change, Position } from '../domain/change.ts';

/** The newest changes, in memory, so that readers of the feed hardly ever need the log. Bounded by what they hold; without a change left out between them. */
export class RecentChanges {
  readonly #limit: number;
  /** Oldest first. */
  #changes: Change[] = [];
  #weight = 0;

  /** @param limit changes that are kept, of which one with many late instances counts as so many */
  constructor(limit: number) {
    this.#limit = limit;
  }

  add(changes: readonly Change[]): void {
    for (const change of changes) {
      this.#changes.push(change);
      this.#weight += weightOf(change);
    }
    // Cut in large steps: removing from the front moves everything.
    if (this.#weight > 2 * this.#limit) this.#cut();
  }

  /** @returns undefined: some of what is asked for is older than what is at hand */
  read(after: Position, limit: number): readonly Change[] | undefined {
    const oldest = this.#changes[0]?.position;
    if (oldest === undefined || after < oldest - 1) return undefined;
    const from = this.#firstAfter(after);
    return this.#changes.slice(from, from + limit);
  }

  /** They are gone from the log. */
  dropBefore(position: Position): void {
    for (const gone of this.#changes.splice(0, this.#firstAfter(position - 1))) this.#weight -= weightOf(gone);
  }

  forget(): void {
    this.#changes = [];
    this.#weight = 0;
  }

  /** Keeps the newest, as many as may be kept: none, if the last alone is too much. */
  #cut(): void {
    let from = this.#changes.length;
    let weight = 0;
    for (; from > 0; from--) {
      const next = weight + weightOf(this.#changes[from - 1] as Change);
      if (next > this.#limit) break;
      weight = next;
    }
    this.#changes = this.#changes.slice(from);
    this.#weight = weight;
  }

  /** Where those behind a position begin. Positions grow, and may leave some out. */
  #firstAfter(position: Position): number {
    let low = 0;
    for (let high = this.#changes.length; low < high; ) {
      const middle = (low + high) >> 1;
      if ((this.#changes[middle] as Change).position > position) high = middle;
      else low = middle + 1;
    }
    return low;
  }
}

/** About how much a change holds: one with thousands of readings counts as so many. */
const weightOf = ({ late }: Change): number => 1 + (late?.length ?? 0);
