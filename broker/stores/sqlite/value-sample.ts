import type { Value } from './database.ts';
import type { Span } from './indexed-values.ts';

/** Values that are kept: a share of one in this many is about what an estimate can see. */
const SIZE = 256;

/** A few of the rows of an index, each as likely as any other, and how many rows there are: how many lie in a span is estimated by them. */
export class ValueSample {
  #rows: number;
  readonly #values: [slot: number, value: string | number][];

  constructor(rows = 0, values: [number, string | number][] = []) {
    this.#rows = rows;
    this.#values = values;
  }

  static parse(text: string): ValueSample {
    if (text === '') return new ValueSample();
    const { rows, values } = JSON.parse(text) as { rows: number; values: [number, string | number][] };
    return new ValueSample(rows, values);
  }

  text(): string {
    return JSON.stringify({ rows: this.#rows, values: this.#values });
  }

  /** About how many rows the index has: what was rolled back is counted, too. */
  get rows(): number {
    return this.#rows;
  }

  added(slot: number, value: string | number): void {
    this.#rows++;
    if (this.#values.length < SIZE) this.#values.push([slot, value]);
    else if (Math.random() * this.#rows < SIZE) this.#values[Math.floor(Math.random() * SIZE)] = [slot, value];
  }

  /** Which one does not matter: values that are written again and again replace each other in the sample. */
  removed(): void {
    if (this.#rows > 0) this.#rows--;
  }

  /** About how many rows lie in the spans; never 0 if there are any rows. */
  estimate(spans: readonly Span[]): number {
    let hits = 0.5;
    for (const { slot, from, to } of spans) {
      for (const [of, value] of this.#values) {
        if (of === slot && within(value, from, to)) hits++;
      }
    }
    return this.#values.length === 0 ? 0 : Math.min(this.#rows, (this.#rows * hits) / this.#values.length);
  }
}

/** Near enough: texts are compared by code units, and open ends do not matter. */
function within(value: string | number, from: Value | undefined, to: Value | undefined): boolean {
  const low = from ?? value;
  const high = to ?? value;
  return value >= low && value <= high;
}
