import type { Value } from './database.ts';
import type { Span } from './indexed-values.ts';

/** Values that are kept: a share of one in this many is about what an estimate can see. */
const SIZE = 256;

/** A few of the rows of an index, each as likely as any other, and how many rows there are: how many lie in a span is estimated by them. */
export class ValueSample {
  #rows: number;
  /** Side by side, because every query of the attribute looks at all of them. */
  readonly #slots: number[];
  readonly #values: (string | number)[];

  constructor(rows = 0, values: readonly (readonly [slot: number, value: string | number])[] = []) {
    this.#rows = rows;
    this.#slots = values.map(([slot]) => slot);
    this.#values = values.map(([, value]) => value);
  }

  static parse(text: string): ValueSample {
    if (text === '') return new ValueSample();
    const { rows, values } = JSON.parse(text) as { rows: number; values: [number, string | number][] };
    return new ValueSample(rows, values);
  }

  text(): string {
    return JSON.stringify({ rows: this.#rows, values: this.#slots.map((slot, at) => [slot, this.#values[at]]) });
  }

  /** About how many rows the index has: what was rolled back is counted, too. */
  get rows(): number {
    return this.#rows;
  }

  added(slot: number, value: string | number): void {
    this.#rows++;
    const full = this.#values.length >= SIZE;
    if (full && Math.random() * this.#rows >= SIZE) return;
    const at = full ? Math.floor(Math.random() * SIZE) : this.#values.length;
    this.#slots[at] = slot;
    this.#values[at] = value;
  }

  /** Which one does not matter: values that are written again and again replace each other in the sample. */
  removed(): void {
    if (this.#rows > 0) this.#rows--;
  }

  /** About how many rows lie in the spans; never 0 if there are any rows. */
  estimate(spans: readonly Span[]): number {
    let hits = 0.5;
    const { length } = this.#values;
    for (const { slot, from, to } of spans) {
      if (from !== undefined && from === to) {
        for (let at = 0; at < length; at++) if (this.#values[at] === from && this.#slots[at] === slot) hits++;
        continue;
      }
      for (let at = 0; at < length; at++) {
        if (this.#slots[at] === slot && within(this.#values[at] as string | number, from, to)) hits++;
      }
    }
    return length === 0 ? 0 : Math.min(this.#rows, (this.#rows * hits) / length);
  }
}

/** Near enough: texts are compared by code units, and open ends do not matter. */
function within(value: string | number, from: Value | undefined, to: Value | undefined): boolean {
  const low = from ?? value;
  const high = to ?? value;
  return value >= low && value <= high;
}
