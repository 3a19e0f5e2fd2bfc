import type { Position } from '../../domain/change.ts';

/**
 * How far the change log is dealt with, when deliveries finish out of order: every position up to and including {@link Watermark.passed}
 * was delivered, parked or concerned nobody. The durable cursor is moved to it, so that a crash repeats what was under way and nothing else.
 */
export class Watermark {
  /** Positions read and not passed yet, oldest first, with the number of deliveries still under way. */
  readonly #open: { readonly position: Position; waiting: number }[] = [];
  #start = 0;
  #passed: Position;

  constructor(passed: Position) {
    this.#passed = passed;
  }

  get passed(): Position {
    return this.#passed;
  }

  /** A change was read. @returns what to call once for each of the `deliveries` when it is dealt with */
  begin(position: Position, deliveries: number): () => void {
    const entry = { position, waiting: deliveries };
    this.#open.push(entry);
    if (deliveries === 0) this.#advance();
    return () => {
      entry.waiting--;
      if (entry.waiting === 0) this.#advance();
    };
  }

  #advance(): void {
    while (this.#start < this.#open.length) {
      const oldest = this.#open[this.#start]!;
      if (oldest.waiting > 0) break;
      this.#passed = oldest.position;
      this.#start++;
    }
    // The array is a queue: what is passed is cut off in large pieces, which costs next to nothing per change.
    if (this.#start > 1024 && this.#start * 2 > this.#open.length) {
      this.#open.splice(0, this.#start);
      this.#start = 0;
    }
  }
}
