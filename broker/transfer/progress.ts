import type { TransferredEntity } from '../domain/transfer.ts';

/** Says how far a transfer has come, and how long it will take. */
export class Progress {
  readonly #what: string;
  readonly #total: number;
  readonly #say: (text: string) => void;
  readonly #began = Date.now();
  #entities = 0;
  #rows = 0;
  #said = Date.now();

  /** @param total entities, about; 0: not known */
  constructor(what: string, total: number, say: (text: string) => void) {
    this.#what = what;
    this.#total = total;
    this.#say = say;
  }

  add(page: readonly TransferredEntity[]): void {
    this.#entities += page.length;
    this.#rows += page.length + page.reduce((sum, { instances }) => sum + instances.length, 0);
    if (Date.now() - this.#said < 1_000) return;
    this.#said = Date.now();
    this.#say(this.text);
  }

  get text(): string {
    const seconds = Math.max(0.001, (Date.now() - this.#began) / 1000);
    const left = ((this.#total - this.#entities) * seconds) / Math.max(1, this.#entities);
    const eta = this.#total > this.#entities && this.#entities > 0 ? `, ${Math.ceil(left)} s to go` : '';
    const of = this.#total > 0 ? ` of about ${this.#total}` : '';
    return `${this.#what}: ${this.#entities}${of} entities, ${this.#rows} rows, ${Math.round(this.#rows / seconds)} rows/s${eta}`;
  }
}
