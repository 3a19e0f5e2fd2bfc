import type { Entity } from '../../domain/entity.ts';
import type { Iri } from '../../domain/iri.ts';
import { compilePath, isSystemMember, type PathTest } from '../../domain/query/path.ts';
import type { AttributePath, Comparison, Condition, EntityQuery } from '../../domain/query/query.ts';
import type { Micros } from '../../domain/time.ts';
import type { Database, Value } from './database.ts';
import type { GroupCommit } from './group-commit.ts';
import { type IndexedValue, SLOT, SLOTS, type Span, spansOf, valuesOf } from './indexed-values.ts';
import { ValueSample } from './value-sample.ts';

const INSERT = 'INSERT INTO indexed_value (slot, value, id, entity) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING';
const DELETE = 'DELETE FROM indexed_value WHERE slot = ? AND value = ? AND id = ?';
const IN_SLOT = 'SELECT 1 FROM indexed_value WHERE slot = ? LIMIT 1';

/** What queries look at and an index can hold: an attribute, perhaps one inside it, perhaps a member of its value. */
export interface IndexedPath {
  readonly names: readonly Iri[];
  readonly inside?: readonly string[];
}

/** The values of one path in the entities of one tenant. */
export interface AttributeIndex {
  readonly key: number;
  readonly tenant: number;
  readonly path: IndexedPath;
  readonly test: PathTest;
  /** 'building': kept up to date with every write, but what is older is not all in it yet. 'dropping': no longer kept up to date. */
  state: 'building' | 'ready' | 'dropping';
  /** While it is built: entities up to this id are in it. */
  cursor: string;
  /** Entities that have changed since their values were gathered for building: what was gathered of them is out of date. */
  touched: Set<number> | undefined;
  /** Slots that have had rows, as bits. */
  slots: number;
  readonly sample: ValueSample;
  /** Of this run of the broker: queries it answered, candidates that these did not have to look at, and rows that writes changed in it. */
  uses: number;
  saved: number;
  changes: number;
  lastUsed: Micros;
}

/** What an index knows of a query. */
export interface Lookup {
  readonly index: AttributeIndex;
  /** Only of slots that have rows. */
  readonly spans: readonly Span[];
  /** Every row in the spans is a match of `covered`. */
  readonly exact: boolean;
  readonly covered: readonly Condition[];
  /** About how many rows there are in the spans. */
  readonly rows: number;
}

/**
 * Indexes of attribute values, for those attributes of those tenants that queries have asked for (index-demand.ts makes and drops them).
 * What one finds may be too much, and is never too little: evaluate decides, unless the spans are exact.
 */
export class AttributeIndexes {
  readonly #database: Database;
  readonly #commits: GroupCommit;
  readonly #byTenant = new Map<number, AttributeIndex[]>();
  #nextKey = 1;

  constructor(database: Database, commits: GroupCommit) {
    this.#database = database;
    this.#commits = commits;
    this.#read();
  }

  #read(): void {
    const database = this.#database;
    for (const row of database.all('SELECT key, tenant, path, state, cursor, sample, used FROM value_index')) {
      const [key, tenant, path, state, cursor, sample, used] = row as [number, number, string, number, string, string, number];
      const index = this.#hold(key, tenant, JSON.parse(path) as IndexedPath, ValueSample.parse(sample), used);
      index.state = STATES[state] as AttributeIndex['state'];
      index.cursor = cursor;
      for (const slot of Object.values(SLOT)) {
        if (database.get(IN_SLOT, key * SLOTS + slot)) index.slots |= 1 << slot;
      }
    }
  }

  /**
   * Another process keeps the indexes: takes over which there are now, if it is not what is known here.
   * @param states key and state of each
   */
  follow(states: readonly (readonly [key: number, state: number])[]): void {
    const known = this.list();
    const same = (key: number, state: number) =>
      known.some((index) => index.key === key && STATES.indexOf(index.state) === state);
    if (known.length === states.length && states.every(([key, state]) => same(key, state))) return;
    this.#byTenant.clear();
    this.#read();
    // What another process adds to a slot is not heard here: every slot may have rows.
    for (const index of this.list()) index.slots = ALL_SLOTS;
  }

  #hold(key: number, tenant: number, path: IndexedPath, sample: ValueSample, lastUsed: Micros): AttributeIndex {
    const counters = { uses: 0, saved: 0, changes: 0, lastUsed };
    const test = compilePath(path, undefined, undefined);
    const index: AttributeIndex = {
      key,
      tenant,
      path,
      test,
      state: 'building',
      cursor: '',
      touched: undefined,
      slots: 0,
      sample,
      ...counters,
    };
    this.#byTenant.set(tenant, [...(this.#byTenant.get(tenant) ?? []), index]);
    this.#nextKey = Math.max(this.#nextKey, key + 1);
    return index;
  }

  /** All of them, or those of a tenant. */
  list(tenant?: number): readonly AttributeIndex[] {
    return tenant === undefined ? [...this.#byTenant.values()].flat() : (this.#byTenant.get(tenant) ?? NO_INDEXES);
  }

  find(tenant: number, path: IndexedPath): AttributeIndex | undefined {
    return this.#byTenant.get(tenant)?.find((index) => samePath(index.path, path));
  }

  /** Inside a transaction: an index that is kept up to date from now on; what is stored already is added by index-building.ts. */
  create(tenant: number, path: IndexedPath, now: Micros): AttributeIndex {
    const index = this.#hold(this.#nextKey, tenant, path, new ValueSample(), now);
    const { names, inside } = path;
    this.#database.run(
      "INSERT INTO value_index (key, tenant, path, state, cursor, sample, used) VALUES (?, ?, ?, 0, '', '', ?)",
      index.key,
      tenant,
      JSON.stringify(inside ? { names, inside } : { names }),
      now,
    );
    this.#commits.onRollback(() => this.#forget(index));
    return index;
  }

  /** Inside a transaction: writes down what an index has become. */
  save(index: AttributeIndex): void {
    this.#database.run(
      'UPDATE value_index SET state = ?, cursor = ?, sample = ?, used = ? WHERE key = ?',
      STATES.indexOf(index.state),
      index.cursor,
      index.sample.text(),
      index.lastUsed,
      index.key,
    );
  }

  /** Inside a transaction: removes some rows of an index that is being dropped, and at last the index. @returns true when it is gone */
  remove(index: AttributeIndex, limit: number): boolean {
    const removed = this.#database.run(
      'DELETE FROM indexed_value WHERE (slot, value, id) IN (SELECT slot, value, id FROM indexed_value WHERE slot >= ? AND slot < ? LIMIT ?)',
      index.key * SLOTS,
      (index.key + 1) * SLOTS,
      limit,
    );
    if (removed === limit) return false;
    this.#database.run('DELETE FROM value_index WHERE key = ?', index.key);
    this.#commits.onCommit(() => this.#forget(index));
    return true;
  }

  #forget(index: AttributeIndex): void {
    const left = this.list(index.tenant).filter((one) => one !== index);
    if (left.length > 0) this.#byTenant.set(index.tenant, left);
    else this.#byTenant.delete(index.tenant);
  }

  /** Inside a transaction: an entity has changed. Costs nothing for attributes that have no index, or did not change. */
  update(tenant: number, entity: number, before: Entity | undefined, after: Entity | undefined): void {
    const indexes = this.#byTenant.get(tenant);
    if (!indexes) return;
    for (const index of indexes) {
      const name = index.path.names[0] as Iri;
      if (index.state === 'dropping' || before?.attributes[name] === after?.attributes[name]) continue;
      const old = before ? valuesOf(index.test, before) : NO_VALUES;
      const now = after ? valuesOf(index.test, after) : NO_VALUES;
      const id = (after ?? before)?.id as Iri;
      for (const value of old) if (!includes(now, value)) this.#delete(index, value, id);
      // While it is built, what the entity had before need not be in it.
      for (const value of now) if (index.touched || !includes(old, value)) this.insert(index, value, id, entity);
      if (index.touched) this.#touch(index.touched, entity);
    }
  }

  #touch(touched: Set<number>, entity: number): void {
    if (touched.has(entity)) return;
    touched.add(entity);
    this.#commits.onRollback(() => touched.delete(entity));
  }

  /** Inside a transaction: adds a value of an entity, which may be in the index already. */
  insert(index: AttributeIndex, [slot, value]: IndexedValue, id: Iri, entity: number): void {
    const added = this.#database.run(INSERT, index.key * SLOTS + slot, value, id, entity);
    index.slots |= 1 << slot;
    index.changes += added;
    if (added > 0) index.sample.added(slot, value);
  }

  #delete(index: AttributeIndex, [slot, value]: IndexedValue, id: Iri): void {
    const removed = this.#database.run(DELETE, index.key * SLOTS + slot, value, id);
    index.changes += removed;
    if (removed > 0) index.sample.removed();
  }

  /** What the indexes of a tenant know of a query; of several the one that finds least. */
  lookup(tenant: number, query: EntityQuery): Lookup | undefined {
    const indexes = this.#byTenant.get(tenant);
    if (!indexes || !query.where) return undefined;
    const conditions = conjuncts(query.where);
    let best: Lookup | undefined;
    for (const index of indexes) {
      if (index.state !== 'ready') continue;
      const comparisons = conditions.filter(
        (one): one is Comparison => one.kind === 'compare' && samePath(one.path, index.path),
      );
      const found = comparisons.length === 0 ? undefined : spansOf(comparisons);
      if (!found) continue;
      const spans = found.spans.filter(({ slot }) => (index.slots & (1 << slot)) !== 0);
      if (spans.length > MOST_SPANS) continue;
      const rows = index.sample.estimate(spans);
      if (best && best.rows <= rows) continue;
      // A value of another dataset than those that the query looks at is in the index, too.
      const exact = query.datasetIds === undefined && spans.every((span) => span.exact);
      best = { index, spans, exact, covered: found.covered, rows };
    }
    return best;
  }

  /**
   * The entities in some spans, in ascending id.
   * @returns rows [key, id], at most `limit`, of entities after the id
   */
  rows(lookup: Lookup, after: string, limit: number): [number, Iri][] {
    return this.#select('entity, id', lookup, after, limit) as [number, Iri][];
  }

  /** The keys of {@link rows}: an id that nobody looks at is not worth making. */
  keys(lookup: Lookup, after: string, limit: number): number[] {
    return this.#select('entity', lookup, after, limit).map(([key]) => key as number);
  }

  #select(columns: string, { index, spans }: Lookup, after: string, limit: number): Value[][] {
    if (spans.length === 0) return [];
    const values: Value[] = [];
    const parts = spans.map(({ slot, from, to, fromOpen, toOpen }) => {
      values.push(index.key * SLOTS + slot);
      let where = 'slot = ?';
      if (from !== undefined && from === to && !fromOpen && !toOpen) {
        where += ' AND value = ?';
        values.push(from);
      } else {
        if (from !== undefined) {
          where += fromOpen ? ' AND value > ?' : ' AND value >= ?';
          values.push(from);
        }
        if (to !== undefined) {
          where += toOpen ? ' AND value < ?' : ' AND value <= ?';
          values.push(to);
        }
      }
      values.push(after);
      return ` FROM indexed_value WHERE ${where} AND id > ?`;
    });
    values.push(limit);
    const [span, ...others] = spans;
    // An entity can be in several spans, and in one of its values more than once; only not under one value, or with a value that is its only one.
    const once = others.length === 0 && span !== undefined && (isPoint(span) || ONLY.has(span.slot));
    const several = parts.map((part) => `SELECT entity, id${part}`).join(' UNION ALL ');
    const sql = once ? `SELECT ${columns}${parts[0]}` : `SELECT ${columns} FROM (SELECT DISTINCT entity, id FROM (${several}))`;
    // One value has its entities in order of the id already: SQLite sees that, and reads no more than it needs.
    return this.#database.all(`${sql} ORDER BY id LIMIT ?`, ...values);
  }
}

/** SQLite takes at most 500 parts of a compound select, and plans them all anew for each number of parts. */
const MOST_SPANS = 100;
/** Slots of values that are the only one of their entity. */
const ONLY: ReadonlySet<number> = new Set([SLOT.number, SLOT.text, SLOT.moment, SLOT.time]);
const STATES = ['building', 'ready', 'dropping'] as const;
const ALL_SLOTS = -1;
const NO_VALUES: readonly IndexedValue[] = [];
const NO_INDEXES: readonly AttributeIndex[] = [];

/** One value, whose entities are in order of their ids. */
export const isPoint = (span: Span): boolean =>
  span.from !== undefined && span.from === span.to && !span.fromOpen && !span.toOpen;

const includes = (values: readonly IndexedValue[], [slot, value]: IndexedValue): boolean =>
  values.some((one) => one[0] === slot && one[1] === value);

/** The conditions that must all hold. */
export function conjuncts(condition: Condition): readonly Condition[] {
  return condition.kind === 'and' ? condition.of.flatMap(conjuncts) : [condition];
}

/**
 * The part of a path that an index can hold; undefined: none. Not links, whose values are another entity's; not system members, which change
 * with every write.
 */
export function indexablePath({ names, inside, linked }: AttributePath): IndexedPath | undefined {
  if (linked !== undefined || names.some(isSystemMember) || names.length === 0) return undefined;
  return inside === undefined || inside.length === 0 ? { names } : { names, inside };
}

function samePath(a: AttributePath, b: IndexedPath): boolean {
  return a.linked === undefined && sameTexts(a.names, b.names) && sameTexts(a.inside ?? NO_TEXTS, b.inside ?? NO_TEXTS);
}

const NO_TEXTS: readonly string[] = [];
const sameTexts = (a: readonly string[], b: readonly string[]): boolean =>
  a.length === b.length && a.every((text, at) => text === b[at]);
