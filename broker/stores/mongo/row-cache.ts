import type { EntityRow } from './entity-row.ts';

/**
 * Rows read or written lately, bounded in bytes. This process is the only one that writes (lease.ts), and every write puts what it wrote here.
 * Two generations: what was used since the last turn survives the next, so that a hit costs one look-up and no bookkeeping.
 */
export class RowCache {
  readonly #generationBytes: number;
  #young = new Map<string, EntityRow>();
  #old = new Map<string, EntityRow>();
  #bytes = 0;
  #writes = 0;

  constructor(limitBytes: number) {
    this.#generationBytes = limitBytes / 2;
  }

  /** Grows with what is written: what was read before it grew may be older than what was written. */
  get writes(): number {
    return this.#writes;
  }

  /** Takes a row that has been written. */
  written(row: EntityRow): void {
    this.#writes++;
    this.set(row);
  }

  get(key: string): EntityRow | undefined {
    const row = this.#young.get(key);
    if (row) return row;
    const older = this.#old.get(key);
    if (older) this.set(older);
    return older;
  }

  /** The row in memory if it is the same as one that was read, so that nothing is parsed twice; otherwise what was read. */
  settled(row: EntityRow): EntityRow {
    const known = this.get(row.key);
    return known !== undefined && known.known.order >= row.known.order ? known : row;
  }

  set(row: EntityRow): void {
    const { key } = row;
    if (this.#bytes > this.#generationBytes) {
      this.#old = this.#young;
      this.#young = new Map();
      this.#bytes = 0;
    }
    // The older generation must not answer with an older state when the younger is dropped.
    this.#old.delete(key);
    const known = this.#young.get(key);
    this.#bytes += row.weight - (known?.weight ?? 0);
    this.#young.set(key, row);
  }

  drop(key: string): void {
    this.#writes++;
    this.#young.delete(key);
    this.#old.delete(key);
  }

  clear(): void {
    this.#writes++;
    this.#young.clear();
    this.#old.clear();
    this.#bytes = 0;
  }
}
