import { type AttributeInstance, instanceValue } from '../../domain/attribute.ts';
import type { HistorySelection, TemporalFilter } from '../../domain/history.ts';
import type { Iri } from '../../domain/iri.ts';
import { fromStoredText, storedText } from '../../domain/json.ts';
import { withoutExpiredMembers } from '../../domain/patch.ts';
import { fromMicros, type Instant, type Micros, toMicros } from '../../domain/time.ts';
import type { Clock } from '../../ports/clock.ts';
import type { TimedInstance } from '../evolutions.ts';
import { spanOf } from '../spans.ts';
import type { Database, Value } from './database.ts';
import type { Dictionary } from './dictionary.ts';
import type { EntityRow } from './entity-cache.ts';
import type { HistoryRows } from './history-rows.ts';
import { numbered } from './instance-numbers.ts';

/** Instances of one attribute that a condition is tested on (5.7.4.4, S2 and S3). */
export const TESTED = 100_000;

/** 4.5.7: what says "deleted here" conveys deletedAt; it was neither created nor modified then. */
const ENTERED = ' AND deleted IS NULL';

/** The column that has the temporal property, and what else must hold. observedAt is in the key, the others are looked for. */
const COLUMN = {
  observedAt: { time: 'time', test: ' AND observed = 1' },
  createdAt: { time: 'created', test: ENTERED },
  modifiedAt: { time: 'modified', test: ENTERED },
  deletedAt: { time: 'deleted', test: '' },
} as const;

const UNEXPIRED = ' AND seq NOT IN (SELECT seq FROM transient WHERE expires <= ?)';

/** The columns that {@link Instances.restore} makes an instance of. */
export const STORED = 'seq, time, observed, created, modified, deleted, instance';

/** A value for aggregation. `instance` is parsed only where the value is not a number. */
export interface TimedValue {
  readonly time: Micros;
  readonly seq: number;
  readonly dataset: number | null;
  readonly number: number | null;
  readonly text: string;
}

const NONE: readonly TimedInstance[] = [];

const byTime = (
  a: { readonly time: Micros; readonly seq: number },
  b: { readonly time: Micros; readonly seq: number },
): number => a.time - b.time || a.seq - b.seq;

/** The instances of a row's state that are its history as well. */
export function numberedOf(row: EntityRow, name?: Iri): ReturnType<typeof numbered> {
  return row.text === undefined ? numbered(NOTHING, undefined) : numbered(row.entity, row.numbers, name);
}
const NOTHING = { attributes: {} } as EntityRow['entity'];

/** Reads the temporal evolution of entities: the history table, and the states that are part of it (instance-numbers.ts). */
export class Instances {
  readonly #database: Database;
  readonly #dictionary: Dictionary;
  readonly #rows: HistoryRows;
  readonly #clock: Clock;
  readonly #instants = new Map<Micros, Instant>();

  constructor(database: Database, dictionary: Dictionary, rows: HistoryRows, clock: Clock) {
    this.#clock = clock;
    this.#database = database;
    this.#dictionary = dictionary;
    this.#rows = rows;
  }

  /** Names of all attributes that history has of this entity. Skips from name to name, whatever the number of instances. */
  names(row: EntityRow): Iri[] {
    const { key: entity } = row;
    const names: Iri[] = [];
    let last = -1;
    for (;;) {
      const next = this.#database.get('SELECT min(name) FROM history WHERE entity = ? AND name > ?', entity, last)?.[0];
      if (next === null || next === undefined) break;
      last = next as number;
      names.push(this.#dictionary.iri(last));
    }
    let more = false;
    for (const { name } of numberedOf(row)) {
      if (names.includes(name)) continue;
      names.push(name);
      more = true;
    }
    return more ? names.sort((a, b) => (this.#dictionary.findName(a) ?? 0) - (this.#dictionary.findName(b) ?? 0)) : names;
  }

  /** Instances of one attribute in ascending order of time: the oldest `limit`, or the newest. @param withDeletions those that say "deleted here" as well */
  read(
    row: EntityRow,
    name: Iri,
    { filter, datasetIds }: Pick<HistorySelection, 'filter' | 'datasetIds'>,
    limit: number,
    newest: boolean,
    withDeletions = false,
  ): TimedInstance[] {
    const nameKey = this.#dictionary.findName(name);
    if (nameKey === undefined) return [];
    const { time, test: column } = COLUMN[filter.property];
    const test = withDeletions && column === ENTERED ? '' : column;
    const { from, to } = spanOf(filter);
    const kept = this.#kept(datasetIds);
    const direction = newest ? 'DESC' : 'ASC';
    const sql = `SELECT ${time}, ${STORED} FROM history WHERE entity = ? AND name = ? AND ${time} >= ? AND ${time} < ?${test}${kept.sql}
      ORDER BY ${time} ${direction}, seq ${direction} LIMIT ?`;
    const rows = this.#database.all(sql, row.key, nameKey, from, to, ...kept.values, limit);
    const found = rows.map(([at, ...stored]) => ({
      time: at as number,
      seq: stored[0] as number,
      instance: this.restore(stored),
    }));
    const instances = newest ? found.reverse() : found;
    const current = this.#current(row, name, filter, datasetIds);
    if (current.length === 0) return instances;
    const all = [...instances, ...current].sort(byTime);
    return newest ? all.slice(-limit) : all.slice(0, limit);
  }

  /** The instances of one attribute that are in history by being in the state, in no order. */
  #current(
    row: EntityRow,
    name: Iri,
    filter: TemporalFilter,
    datasetIds: HistorySelection['datasetIds'],
  ): readonly TimedInstance[] {
    let found: TimedInstance[] | undefined;
    const { from, to } = spanOf(filter);
    for (const { instance, seq } of numberedOf(row, name)) {
      if (datasetIds && !datasetIds.includes(instance.datasetId ?? '@none')) continue;
      const at = instance[filter.property];
      const time = at === undefined ? Number.NaN : toMicros(at);
      if (!(time >= from && time < to)) continue;
      found ??= [];
      found.push({ time, seq, instance: this.#shown(instance, seq) });
    }
    return found ?? NONE;
  }

  /** The instance of a series that is in history by being in the state, if there is one. */
  ofState(row: EntityRow, name: Iri, datasetId: Iri | undefined): TimedInstance | undefined {
    for (const { instance, seq } of numberedOf(row, name)) {
      if (instance.datasetId !== datasetId) continue;
      const at = instance.observedAt ?? instance.modifiedAt;
      return { time: at === undefined ? 0 : toMicros(at), seq, instance: this.#shown(instance, seq) };
    }
    return undefined;
  }

  /** An instance of the state as one of history. */
  #shown({ stamp: _, ...instance }: AttributeInstance, seq: number): AttributeInstance {
    return { ...instance, instanceId: this.#rows.instanceId(seq) } as AttributeInstance;
  }

  /** Values of one attribute, ascending; tombstones have none. */
  values(row: EntityRow, name: Iri, { filter, datasetIds }: Pick<HistorySelection, 'filter' | 'datasetIds'>): TimedValue[] {
    const nameKey = this.#dictionary.findName(name);
    if (nameKey === undefined) return [];
    const { time, test } = COLUMN[filter.property];
    const { from, to } = spanOf(filter);
    const kept = this.#kept(datasetIds);
    const sql = `SELECT ${time}, seq, dataset, number, CASE WHEN number IS NULL THEN instance ELSE '' END FROM history
      WHERE entity = ? AND name = ? AND ${time} >= ? AND ${time} < ?${test} AND deleted IS NULL${kept.sql} ORDER BY ${time}, seq`;
    const values = this.#database
      .all(sql, row.key, nameKey, from, to, ...kept.values)
      .map(([at, seq, dataset, number, text]) => ({ time: at, seq, dataset, number, text }) as TimedValue);
    const current = this.#current(row, name, filter, datasetIds);
    if (current.length === 0) return values;
    const more = current.map(({ time: at, seq, instance }): TimedValue => {
      const { datasetId } = instance;
      const value = instance.type === 'Property' ? instanceValue(instance) : undefined;
      const dataset = datasetId === undefined ? null : (this.#dictionary.findName(datasetId) ?? null);
      if (typeof value === 'number') return { time: at, seq, dataset, number: value, text: '' };
      return { time: at, seq, dataset, number: null, text: storedText(instance) };
    });
    return [...values, ...more].sort(byTime);
  }

  /** The instance of a row of {@link STORED} columns. */
  restore(columns: readonly unknown[]): AttributeInstance {
    const [seq, time, observed, created, modified, deleted, text] = columns as [
      number,
      number,
      number,
      number,
      number,
      number | null,
      string,
    ];
    const instance = fromStoredText(text) as Record<string, unknown>;
    if (observed === 1) instance['observedAt'] ??= this.#instant(time);
    instance['createdAt'] = this.#instant(created);
    instance['modifiedAt'] = this.#instant(modified);
    if (deleted !== null) instance['deletedAt'] = this.#instant(deleted);
    instance['instanceId'] = this.#rows.instanceId(seq);
    const found = instance as unknown as AttributeInstance;
    // 4.22: what is said about an instance ends too, and few are told to.
    return found.attributes !== undefined && text.includes('"expiresAt"')
      ? withoutExpiredMembers(found, this.#clock.micros())
      : found;
  }

  /** Of the instances of an evolution many share their times, and writing one costs as much as reading a row. */
  #instant(micros: Micros): Instant {
    let instant = this.#instants.get(micros);
    if (instant === undefined) {
      instant = fromMicros(micros);
      if (this.#instants.size > 1000) this.#instants.clear();
      this.#instants.set(micros, instant);
    }
    return instant;
  }

  /** Leaves out what has expired (4.22), and other datasets than those asked for. */
  #kept(ids: HistorySelection['datasetIds']): { readonly sql: string; readonly values: Value[] } {
    const now = this.#clock.micros();
    const sql = this.#rows.nextExpiry > now ? '' : UNEXPIRED;
    const values: Value[] = sql === '' ? [] : [now];
    if (!ids) return { sql, values };
    const keys = ids.map((id) => (id === '@none' ? -1 : (this.#dictionary.findName(id) ?? -1)));
    const absent = ids.includes('@none') ? 'dataset IS NULL OR ' : '';
    return {
      sql: `${sql} AND (${absent}dataset IN (SELECT value FROM json_each(?)))`,
      values: [...values, JSON.stringify(keys)],
    };
  }
}
