import type { Iri } from '../../domain/iri.ts';
import type { EntityRows, Parts } from './entity-rows.ts';
import { numbered } from './instance-numbers.ts';

const NEWEST = 'SELECT first, entity FROM unsettled WHERE first <= ? ORDER BY first DESC LIMIT 1';
const ASCENDING = 'SELECT first, entity FROM unsettled WHERE first > ? AND first < ? ORDER BY first LIMIT ?';
const DESCENDING = 'SELECT first, entity FROM unsettled WHERE first > ? AND first < ? ORDER BY first DESC LIMIT ?';
const AT_ONCE = 200;
const SHAPES =
  'SELECT u.first, u.entity, e.shape FROM unsettled u CROSS JOIN entity e ON e.key = u.entity WHERE u.first > ? AND e.tenant = ? ORDER BY u.first LIMIT ?';
const LOOKED_AT = 2_000;
/** Numbers between what is written down of how far it was looked. */
const WORTH_KEEPING = 100_000;
const REMEMBERED = 'SELECT value FROM memory WHERE key = ?';
const REMEMBER = 'INSERT INTO memory (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value';

/** What was looked at of a tenant for instances of some names. */
interface LookedAt {
  readonly names: string;
  readonly wanted: ReadonlySet<Iri>;
  /** Entities whose first number is up to this. */
  upTo: number;
  /** As far as the next process will know. */
  kept: number;
  /** Whether a shape has one of the names. */
  readonly shapes: Map<number, boolean>;
}

/**
 * Entities whose creation has no rows in the history table yet (instance-numbers.ts). Whoever looks for instances by their numbers, and not by their
 * entity, has them written first.
 */
export class Unsettled {
  readonly #parts: Parts;
  readonly #rows: EntityRows;
  readonly #looked = new Map<number, LookedAt>();

  constructor(parts: Parts, rows: EntityRows) {
    this.#parts = parts;
    this.#rows = rows;
  }

  /** Resolves when history has rows for all instances of these entities' states. */
  async settleEntities(keys: readonly number[]): Promise<void> {
    const wanted = keys.filter((key) => {
      const row = this.#rows.byKey(key, false);
      return row?.text !== undefined && row.numbers !== undefined;
    });
    if (wanted.length > 0) await this.#settle(wanted);
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

  /**
   * Resolves when history has rows for all instances with one of these names. Which entities have any is told by their shapes; those that were looked at for the
   * same names before are not looked at again.
   */
  async settleNames(tenant: number, names: readonly Iri[]): Promise<void> {
    const asked = [...names].sort().join(' ');
    let known = this.#looked.get(tenant);
    if (known === undefined || known.names !== asked) {
      const upTo = this.#remembered(tenant, asked);
      known = { names: asked, wanted: new Set(names), upTo, kept: upTo, shapes: new Map() };
      this.#looked.set(tenant, known);
    }
    for (;;) {
      const found = this.#parts.database.all(SHAPES, known.upTo, tenant, LOOKED_AT) as [number, number, number | null][];
      const last = found.at(-1);
      if (last === undefined) return;
      const keys = found.filter(([, , shape]) => shape !== null && this.#has(known, shape)).map(([, key]) => key);
      for (let at = 0; at < keys.length; at += AT_ONCE) await this.#settle(keys.slice(at, at + AT_ONCE));
      known.upTo = Math.max(known.upTo, last[0]);
      if (known.upTo - known.kept > WORTH_KEEPING) await this.#remember(tenant, known);
      if (found.length < LOOKED_AT) return;
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  /** How far it was looked for the same names before, by this process or one before it. */
  #remembered(tenant: number, names: string): number {
    const text = this.#parts.database.get(REMEMBERED, `looked ${tenant}`)?.[0];
    const { names: known, upTo } =
      typeof text === 'string' ? (JSON.parse(text) as { names: string; upTo: number }) : { names: '', upTo: 0 };
    return known === names ? upTo : 0;
  }

  #remember(tenant: number, known: LookedAt): Promise<void> {
    known.kept = known.upTo;
    const text = JSON.stringify({ names: known.names, upTo: known.upTo });
    return this.#parts.commits.submit(() => void this.#parts.database.run(REMEMBER, `looked ${tenant}`, text));
  }

  #has({ wanted, shapes }: LookedAt, shape: number): boolean {
    let has = shapes.get(shape);
    if (has === undefined) {
      has = this.#parts.shapes.shape(shape).attributes.some(({ name }) => wanted.has(name));
      shapes.set(shape, has);
    }
    return has;
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
