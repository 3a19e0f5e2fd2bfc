import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import type { Collections, MemoryDocument } from './collections.ts';
import { isDuplicate } from './document-store.ts';
import { isPassing } from './unavailable.ts';

/** How long a broker may be unheard of before another may take its place. */
const LEASE_MS = 10_000;
const RENEWED_MS = 2_500;

/**
 * One broker at a time writes to a database: it remembers what it has read, and gives positions in order. Several of them together need more (a
 * shared feed), and are kept apart here until there is that.
 */
export class Lease {
  readonly #memory: Collections['memory'];
  readonly #holder = randomUUID();
  #timer: NodeJS.Timeout | undefined;
  #lost = false;
  #until = 0;

  constructor({ memory }: Collections) {
    this.#memory = memory;
  }

  /** @throws Error with one line if another broker has the database, and does not give it back in this time */
  async take(waitMs: number): Promise<void> {
    for (const end = Date.now() + waitMs; ; ) {
      const holder = await this.#try();
      if (holder === undefined) break;
      if (Date.now() >= end) {
        throw new Error(
          `The database of MIZAR_STORE is in use by another broker (process ${holder['pid']} on ${holder['host']})`,
        );
      }
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    this.#renewLater();
  }

  /** @returns who has it, if we have not */
  async #try(): Promise<MemoryDocument | undefined> {
    const now = Date.now();
    const free = { _id: 'lease', $or: [{ holder: this.#holder }, { until: { $lt: now } }] };
    const mine = { holder: this.#holder, host: hostname(), pid: process.pid, until: now + LEASE_MS };
    try {
      await this.#memory.updateOne(free, { $set: mine }, { upsert: true });
      this.#until = mine.until;
      return undefined;
    } catch (error) {
      if (!isDuplicate(error)) throw error;
    }
    const holder = await this.#memory.findOne({ _id: 'lease' });
    if (!holder || !hasEnded(holder)) return holder ?? undefined;
    await this.#memory.updateOne({ _id: 'lease', holder: holder['holder'] }, { $set: { until: 0 } });
    return holder;
  }

  #renewLater(): void {
    this.#timer = setTimeout(() => {
      this.renew()
        .catch(() => {})
        .finally(() => {
          if (!this.#lost && this.#timer) this.#renewLater();
        });
    }, RENEWED_MS).unref();
  }

  /** Resolves when a majority knows that it is still ours. @throws Error if it is not, or the database cannot be reached */
  async renew(): Promise<void> {
    if (this.#lost) throw new Error('Another broker has taken over');
    try {
      const holder = await this.#try();
      if (holder !== undefined) this.#lost = true;
    } catch (error) {
      if (!isPassing(error)) throw error;
      throw error;
    }
    if (this.#lost) throw new Error('Another broker has taken over');
  }

  /** Another broker writes to the database: this one must not any more. */
  get lost(): boolean {
    return this.#lost;
  }

  /** True if the database has answered lately. */
  get heard(): boolean {
    return !this.#lost && Date.now() < this.#until;
  }

  async release(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    await this.#memory.updateOne({ _id: 'lease', holder: this.#holder }, { $set: { until: 0 } });
  }
}

/** True if the process that has the lease was one of this machine, and is no more. */
function hasEnded(holder: MemoryDocument): boolean {
  if (holder['host'] !== hostname() || holder['pid'] === process.pid) return false;
  try {
    process.kill(Number(holder['pid']), 0);
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ESRCH';
  }
}
