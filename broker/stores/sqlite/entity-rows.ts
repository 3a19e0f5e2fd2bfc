import type { ChangeDraft, Position } from '../../domain/change.ts';
import type { Entity } from '../../domain/entity.ts';
import type { Iri } from '../../domain/iri.ts';
import { nextExpiry } from '../../domain/patch.ts';
import type { AnsweredPages } from '../answered-pages.ts';
import { deletedPast, type Past } from '../past.ts';
import type { AttributeIndexes } from './attribute-indexes.ts';
import type { ChangeLog } from './change-log.ts';
import type { Codec } from './codec.ts';
import type { Database } from './database.ts';
import type { Dictionary } from './dictionary.ts';
import { type EntityCache, EntityRow } from './entity-cache.ts';
import type { GeoIndex } from './geo-index.ts';
import type { GroupCommit } from './group-commit.ts';
import type { HistoryRows } from './history-rows.ts';
import type { IdCache } from './id-cache.ts';
import type { ShapeCounts } from './shape-counts.ts';

const COLUMNS = 'key, tenant, id, version, expires, evolution, shape, past, state';
const BY_ID = `SELECT ${COLUMNS} FROM entity WHERE tenant = ? AND id = ?`;
const BY_KEY = `SELECT ${COLUMNS} FROM entity WHERE key = ?`;
const BY_KEYS = `SELECT e.${COLUMNS.replaceAll(', ', ', e.')} FROM json_each(?) AS wanted CROSS JOIN entity AS e ON e.key = wanted.value`;
const INSERT =
  'INSERT INTO entity (key, tenant, id, version, expires, shape, evolution, past, state) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)';
// Two statements, because an index on a column that is set to its own value is looked at nevertheless.
const UPDATE_STATE = 'UPDATE entity SET version = ?, evolution = 1, state = ? WHERE key = ?';
const UPDATE_ALL = 'UPDATE entity SET version = ?, expires = ?, shape = ?, evolution = ?, past = ?, state = ? WHERE key = ?';

/** Parts of the store that a write touches. */
export interface Parts {
  readonly database: Database;
  readonly dictionary: Dictionary;
  readonly commits: GroupCommit;
  readonly codec: Codec;
  readonly cache: EntityCache;
  readonly ids: IdCache;
  readonly geo: GeoIndex;
  readonly indexes: AttributeIndexes;
  readonly history: HistoryRows;
  readonly shapes: ShapeCounts;
  readonly pages: AnsweredPages;
  readonly log: ChangeLog;
}

/** Reads and writes entity rows, with everything that must change along with them. */
export class EntityRows {
  readonly #parts: Parts;
  #nextKey: number;

  constructor(parts: Parts) {
    this.#parts = parts;
    this.#nextKey = Number(parts.database.get('SELECT max(key) FROM entity')?.[0] ?? 0) + 1;
  }

  byId(tenant: number, id: Iri): EntityRow | undefined {
    const cached = this.#parts.cache.byId(tenant, id);
    if (cached) return cached;
    const row = this.#parse(this.#parts.database.get(BY_ID, tenant, id));
    if (row) this.#parts.cache.set(row);
    return row;
  }

  /** @param asked false: somebody only looks whether it matches */
  byKey(key: number, asked = true): EntityRow | undefined {
    const cached = this.#parts.cache.byKey(key);
    if (cached) return cached;
    const row = this.#parse(this.#parts.database.get(BY_KEY, key));
    if (row && asked) this.#parts.cache.set(row);
    else if (row) this.#parts.cache.offer(row);
    return row;
  }

  /** {@link byKey} for several: what is not in memory comes with one look at the file. */
  byKeys(keys: readonly number[], asked = true): readonly (EntityRow | undefined)[] {
    const { cache, database } = this.#parts;
    const rows = keys.map((key) => cache.byKey(key));
    const missing = keys.filter((_, at) => rows[at] === undefined);
    if (missing.length === 0) return rows;
    const found = database.all(BY_KEYS, JSON.stringify(missing));
    // They come in the order of the keys.
    for (let at = 0, next = 0; at < keys.length && next < found.length; at++) {
      if (rows[at] !== undefined || found[next]?.[0] !== keys[at]) continue;
      const row = this.#parse(found[next++]) as EntityRow;
      rows[at] = row;
      if (asked) cache.set(row);
      else cache.offer(row);
    }
    return rows;
  }

  #parse(columns: readonly unknown[] | undefined): EntityRow | undefined {
    if (!columns) return undefined;
    const [key, tenant, id, version, expires, evolution, shape, past, state] = columns as [
      number,
      number,
      Iri,
      number,
      number | null,
      number,
      number | null,
      string | null,
      string | null,
    ];
    return new EntityRow(
      {
        key,
        tenant,
        id,
        version,
        expires: expires ?? undefined,
        evolution: evolution === 1,
        shape: shape ?? undefined,
        past: past ?? undefined,
        text: state ?? undefined,
      },
      this.#parts.codec,
    );
  }

  /**
   * Inside a transaction: writes a change: state, history, change log and indexes.
   * @param stored what is stored now, also if it has expired
   * @returns the change's position
   */
  write(tenant: number, id: Iri, stored: EntityRow | undefined, draft: ChangeDraft): Position {
    const { codec, database, dictionary, geo, history, indexes, log, pages, shapes } = this.#parts;
    const row = stored !== undefined && amends(draft) ? this.settleHistory(stored) : stored;
    const before = row?.text === undefined ? undefined : row.entity;
    const after = draft.kind === 'deleted' ? undefined : (draft.after as Entity);
    const shown = after ?? draft.before ?? before;
    if (!shown) throw new TypeError(`A change of kind ${draft.kind} to ${id} has no entity`);
    const lateOnly = after !== undefined && after === before;
    const key = row?.key ?? this.#nextKey++;
    const numbers = lateOnly || !after ? undefined : history.number(key, before && row, after, draft);
    const text = lateOnly || !after ? (row?.text ?? codec.encode(shown)) : codec.encode(after, numbers);
    if (before && !lateOnly) log.keepCreation(row?.version ?? 0, before, row?.text ?? text);
    const version = log.append(tenant, key, draft, text, shown);
    if (lateOnly && row) {
      history.record(key, row, row.numbers, draft);
      return version;
    }
    const end = after ? nextExpiry(after) : Number.POSITIVE_INFINITY;
    const expires = end === Number.POSITIVE_INFINITY ? undefined : end;
    // While the entity exists, this holds what temporal provision added; what was known of a deleted one is over.
    const keptPast = before ? row?.past : undefined;
    const sameIndexes = before !== undefined && after !== undefined && row?.expires === expires && sameShape(before, after);
    const shape = sameIndexes ? (row?.shape ?? null) : shapes.key(after);
    const next = new EntityRow(
      {
        key,
        tenant,
        id,
        version,
        expires,
        evolution: true,
        shape: shape ?? undefined,
        past: after ? keptPast : JSON.stringify(deletedPast(shown, draft)),
        text: after ? text : undefined,
      },
      codec,
      after,
      numbers,
    );
    if (sameIndexes) {
      database.run(UPDATE_STATE, version, text, key);
    } else {
      const values = [version, expires ?? null, shape, 1, next.past ?? null, next.text ?? null];
      if (row) database.run(UPDATE_ALL, ...values, key);
      else database.run(INSERT, key, tenant, id, ...values);
      shapes.move(tenant, shapes.key(before), shape);
    }
    this.#indexTypes(tenant, id, key, before?.types ?? NO_TYPES, after?.types ?? NO_TYPES);
    geo.update(tenant, key, before, after);
    indexes.update(tenant, key, before, after);
    history.record(key, before && row, numbers, draft);
    pages.changed(dictionary.tenantName(tenant), id, before, after, Math.max(text.length, row?.text?.length ?? 0));
    this.#put(next, row);
    return version;
  }

  /** Inside a transaction: what only the temporal evolution knows of an entity, which has a state or not. */
  writePast(tenant: number, id: Iri, row: EntityRow | undefined, evolution: boolean, past: Past | undefined): number {
    const { database } = this.#parts;
    const key = row?.key ?? this.#nextKey++;
    const text = past === undefined ? null : JSON.stringify(past);
    if (row) database.run('UPDATE entity SET evolution = ?, past = ? WHERE key = ?', evolution ? 1 : 0, text, key);
    else database.run(INSERT, key, tenant, id, 0, null, null, evolution ? 1 : 0, text, null);
    const next = new EntityRow(
      {
        key,
        tenant,
        id,
        version: row?.version ?? 0,
        expires: row?.expires,
        evolution,
        shape: row?.shape,
        past: text ?? undefined,
        text: row?.text,
      },
      this.#parts.codec,
    );
    this.#put(next, row);
    return key;
  }

  /**
   * Inside a transaction: gives what is current its rows in the history table, where they can be changed one by one.
   * @param forget history shall know nothing of what is current
   */
  settleHistory(row: EntityRow, forget = false): EntityRow {
    if (row.text === undefined || row.numbers === undefined) return row;
    this.#parts.history.settle(row, forget);
    const { key, tenant, id, version, expires, evolution, shape, past } = row;
    const text = this.#parts.codec.encode(row.entity);
    this.#parts.database.run('UPDATE entity SET state = ? WHERE key = ?', text, key);
    const next = new EntityRow(
      { key, tenant, id, version, expires, evolution, shape, past, text },
      this.#parts.codec,
      row.entity,
    );
    this.#put(next, row);
    return next;
  }

  #put(next: EntityRow, old: EntityRow | undefined): void {
    const { cache, commits } = this.#parts;
    cache.set(next);
    commits.onRollback(() => {
      cache.drop(next);
      if (old) cache.set(old);
      else if (next.key === this.#nextKey - 1) this.#nextKey = next.key;
    });
  }

  #indexTypes(tenant: number, id: Iri, key: number, before: readonly Iri[], after: readonly Iri[]): void {
    if (before === after) return;
    const { database, dictionary } = this.#parts;
    for (const type of before) {
      if (after.includes(type)) continue;
      database.run('DELETE FROM entity_type WHERE tenant = ? AND type = ? AND id = ?', tenant, dictionary.name(type), id);
    }
    for (const type of after) {
      if (before.includes(type)) continue;
      database.run(INSERT_TYPE, tenant, dictionary.name(type), id, key);
    }
  }
}

const NO_TYPES: readonly Iri[] = [];
const INSERT_TYPE = 'INSERT INTO entity_type (tenant, type, id, entity) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING';

/** True if a change changes instances of history by their number. */
function amends({ attributes, late }: ChangeDraft): boolean {
  return attributes.some((change) => change.amends) || late?.some((instance) => instance.amends) === true;
}

/** True if both have the same types and attributes of the same kinds, found out without making the texts. May be false for equal shapes. */
function sameShape(a: Entity, b: Entity): boolean {
  if (a.types !== b.types && (a.types.length !== b.types.length || !a.types.every((type, at) => type === b.types[at])))
    return false;
  let count = 0;
  for (const name in a.attributes) {
    count++;
    const left = a.attributes[name as Iri] as Entity['attributes'][Iri];
    const right = b.attributes[name as Iri];
    if (left === right) continue;
    if (left?.length !== 1 || right?.length !== 1 || left[0]?.type !== right[0]?.type) return false;
  }
  for (const _ in b.attributes) count--;
  return count === 0;
}
