import type { Position } from '../../domain/change.ts';
import { Queue } from './queue.ts';

/**
 * How far the change log is dealt with, when deliveries finish out of order: every position up to and including {@link Watermark.passed}
 * was delivered, parked or concerned nobody. The durable cursor is moved to it, so that a crash repeats what was under way and nothing else.
 */
export class Watermark {
  /** Positions read and not passed yet, oldest first, with the number of deliveries still under way. */
  readonly #open = new Queue<{ readonly position: Position; waiting: number }>();
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
    for (let oldest = this.#open.at(0); oldest?.waiting === 0; oldest = this.#open.at(0)) {
      this.#passed = oldest.position;
      this.#open.shift();
    }
  }
}
