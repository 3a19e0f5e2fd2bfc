import type { Collections } from './collections.ts';

/** Numbers that are given once: taken from the database in blocks, so that hardly ever somebody waits for one. */
export class Numbers {
  readonly #memory: Collections['memory'];
  readonly #name: string;
  readonly #block: number;
  #next = 0;
  #end = 0;
  #taking: Promise<unknown> = Promise.resolve();

  /** @param block how many are lost if the process ends without {@link giveBack} */
  constructor(memory: Collections['memory'], name: string, block: number) {
    this.#memory = memory;
    this.#name = name;
    this.#block = block;
  }

  /** The first of so many numbers in a row, if there are so many at hand. */
  atHand(count: number): number | undefined {
    if (this.#next + count > this.#end) return undefined;
    const first = this.#next;
    this.#next += count;
    return first;
  }

  /** The first of so many numbers in a row. */
  take(count: number): Promise<number> {
    const taken = this.#taking.then(() => this.atHand(count) ?? this.#fetch(count));
    this.#taking = taken.catch(() => {});
    return taken;
  }

  async #fetch(count: number): Promise<number> {
    const size = Math.max(this.#block, count);
    const found = await this.#memory.findOneAndUpdate(
      { _id: this.#name },
      { $inc: { next: size } },
      { upsert: true, returnDocument: 'after' },
    );
    const end = Number(found?.['next']) + 1;
    const first = end - size;
    // What is left of the block before goes on if nobody else has taken one meanwhile.
    if (first !== this.#end) this.#next = first;
    this.#end = end;
    return this.atHand(count) as number;
  }

  /** The block is no longer known to be ours. */
  forget(): void {
    this.#next = 0;
    this.#end = 0;
  }

  /** Before the process ends: what was not used is used by the next one. */
  async giveBack(): Promise<void> {
    if (this.#end === 0 || this.#next === this.#end) return;
    await this.#memory.updateOne({ _id: this.#name, next: this.#end - 1 }, { $set: { next: this.#next - 1 } });
    this.forget();
  }
}
