import type { EntityRow } from './entity-cache.ts';
import type { EntityRows, Parts } from './entity-rows.ts';
import { numbered } from './instance-numbers.ts';

const NEWEST = 'SELECT first, entity FROM unsettled WHERE first <= ? ORDER BY first DESC LIMIT 1';
const ASCENDING = 'SELECT first, entity FROM unsettled WHERE first > ? AND first < ? ORDER BY first LIMIT ?';
const DESCENDING = 'SELECT first, entity FROM unsettled WHERE first > ? AND first < ? ORDER BY first DESC LIMIT ?';
const AT_ONCE = 200;

/**
 * Entities whose creation has no rows in the history table yet (instance-numbers.ts). Whoever looks for instances by their numbers, and not by their
 * entity, has them written first.
 */
export class Unsettled {
  readonly #parts: Parts;
  readonly #rows: EntityRows;

  constructor(parts: Parts, rows: EntityRows) {
    this.#parts = parts;
    this.#rows = rows;
  }

  /** Resolves when history has rows for all instances of an entity's state. */
  async settle(row: EntityRow): Promise<void> {
    if (row.text !== undefined && row.numbers !== undefined) await this.#settle([row.key]);
  }

  /** Resolves when history has a row for the instance with a number, if there is one. */
  async settleNumber(number: number): Promise<void> {
    const key = this.#reaching(number, number - 1);
    if (key !== undefined) await this.#settle([key]);
  }

  /**
   * Gives rows to some instances with numbers between two, which are excluded; the first of them first, or the last if `descending`.
   * @returns false if all of them have rows
   */
  async settleBetween(low: number, high: number, descending: boolean): Promise<boolean> {
    const found = this.#parts.database.all(descending ? DESCENDING : ASCENDING, low, high, AT_ONCE);
    const keys = found.map(([, key]) => key as number);
    const reaching = this.#reaching(low, low);
    if (reaching !== undefined) keys.push(reaching);
    if (keys.length === 0) return false;
    await this.#settle(keys);
    return true;
  }

  /** The entity whose numbers begin at or before one, if it has larger ones than `low`. */
  #reaching(from: number, low: number): number | undefined {
    const key = this.#parts.database.get(NEWEST, from)?.[1] as number | undefined;
    const row = key === undefined ? undefined : this.#rows.byKey(key);
    if (row?.text === undefined) return undefined;
    for (const { seq } of numbered(row.entity, row.numbers)) if (seq > low) return key;
    return undefined;
  }

  #settle(keys: readonly number[]): Promise<void> {
    return this.#parts.commits.submit(() => {
      for (const key of keys) {
        const row = this.#rows.byKey(key);
        if (row) this.#rows.settleHistory(row);
      }
    }, keys.length);
  }
}
