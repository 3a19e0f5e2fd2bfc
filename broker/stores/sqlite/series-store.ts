import type { AttributeInstance } from '../../domain/attribute.ts';
import type { Iri, TenantId } from '../../domain/iri.ts';
import type { Micros } from '../../domain/time.ts';
import type { Clock } from '../../ports/clock.ts';
import type { NumberBound, NumberedInstance, Series, SeriesExtent, SeriesPage, SeriesStore } from '../../ports/series-store.ts';
import { fewEntities, numbersOf, placesAcross } from './across-series.ts';
import type { Value } from './database.ts';
import type { EntityRows, Parts } from './entity-rows.ts';
import { Instances, STORED } from './instances.ts';
import { textsOf } from './series-texts.ts';
import { Unsettled } from './unsettled.ts';

const LONG_AGO = -(2 ** 53);
const NEVER = 2 ** 53;
const OF = STORED.split(', ')
  .map((column) => `h.${column}`)
  .join(', ');
/** Rows of all tenants that are looked at before others have their turn. */
const PORTION = 20_000;
const UNEXPIRED = ' AND h.seq NOT IN (SELECT seq FROM transient WHERE expires <= ?)';

/** The history table as series of numbered instances: `seq` is the number. */
export class SqliteSeriesStore implements SeriesStore {
  readonly #parts: Parts;
  readonly #rows: EntityRows;
  readonly #instances: Instances;
  readonly #unsettled: Unsettled;
  readonly #clock: Clock;

  constructor(parts: Parts, rows: EntityRows, clock: Clock) {
    this.#parts = parts;
    this.#rows = rows;
    this.#unsettled = new Unsettled(parts, rows);
    this.#clock = clock;
    this.#instances = new Instances(parts.database, parts.dictionary, parts.history, clock);
  }

  reserve(count: number): Promise<number> {
    return this.#parts.commits.submit(() => this.#parts.history.reserve(count));
  }

  instanceId(number: number): Iri {
    return this.#parts.history.instanceId(number);
  }

  numberOf(instanceId: Iri): number | undefined {
    return this.#parts.history.seqOf(instanceId);
  }

  async read(tenant: TenantId, series: Series, page: SeriesPage): Promise<readonly NumberedInstance[]> {
    const keys = this.#keys(tenant, series);
    if (keys === undefined) return [];
    const { from = LONG_AGO, to = NEVER, after, limit, descending = false } = page;
    const [beyond, direction] = descending ? ['<', 'DESC'] : ['>', 'ASC'];
    const kept = this.#kept();
    const behind = after === undefined ? '' : ` AND (h.time, h.seq) ${beyond} (?, ?)`;
    const sql = `SELECT ${OF} FROM history h WHERE h.entity = ? AND h.name = ? AND h.time >= ? AND h.time <= ?${behind}
      AND h.dataset IS ? AND h.deleted IS NULL${kept.sql} ORDER BY h.time ${direction}, h.seq ${direction} LIMIT ?`;
    const values: Value[] = [keys.entity, keys.name, from, to];
    if (after !== undefined) values.push(after.at, after.number);
    const found = this.#parts.database
      .all(sql, ...values, keys.dataset, ...kept.values, limit)
      .map((stored) => this.#instance(series.id, series.name, stored));
    const { current } = keys;
    if (current === undefined || current.at < from || current.at > to) return found;
    const order = (a: SeriesPlace, b: SeriesPlace) => (descending ? -1 : 1) * (a.at - b.at || a.number - b.number);
    if (after !== undefined && order(current, after) <= 0) return found;
    return [...found, current].sort(order).slice(0, limit);
  }

  async numbered(tenant: TenantId, numbers: readonly number[]): Promise<readonly (NumberedInstance | undefined)[]> {
    const key = this.#parts.dictionary.findTenant(tenant);
    if (key === undefined) return numbers.map(() => undefined);
    const kept = this.#kept();
    const sql = `SELECT e.id, h.name, ${OF} FROM history h CROSS JOIN entity e ON e.key = h.entity
      WHERE h.seq = ? AND e.tenant = ? AND h.deleted IS NULL${kept.sql}`;
    const found: (NumberedInstance | undefined)[] = [];
    for (const number of numbers) {
      let row = this.#parts.database.get(sql, number, key, ...kept.values);
      if (row === undefined) {
        await this.#unsettled.settleNumber(number);
        row = this.#parts.database.get(sql, number, key, ...kept.values);
      }
      found.push(this.#found(row));
    }
    return found;
  }

  async walk(
    tenant: TenantId,
    { after, limit, descending = false }: { readonly after?: number; readonly limit: number; readonly descending?: boolean },
  ): Promise<readonly NumberedInstance[]> {
    const key = this.#parts.dictionary.findTenant(tenant);
    if (key === undefined) return [];
    const several = this.#parts.dictionary.tenants().length > 1;
    const from = after ?? (descending ? NEVER : 0);
    const few = several ? fewEntities(this.#parts, key) : undefined;
    if (few !== undefined) {
      await this.#unsettled.settleEntities(few);
      const own = numbersOf(this.#parts, few, from, descending);
      if (own !== undefined) return this.#first(tenant, own, limit);
    }
    for (;;) {
      const found = await this.#portions(key, { from, limit, descending }, several);
      const last = found.length < limit ? (descending ? 0 : NEVER) : (found.at(-1)?.number ?? from);
      const [low, high] = descending ? [last, from] : [from, last];
      if (!(await this.#unsettled.settleBetween(low, high, descending))) return found;
    }
  }

  /** The first of these that are there. */
  async #first(tenant: TenantId, numbers: readonly number[], limit: number): Promise<NumberedInstance[]> {
    const found: NumberedInstance[] = [];
    for (let at = 0; at < numbers.length && found.length < limit; at += limit) {
      const some = await this.numbered(tenant, numbers.slice(at, at + limit));
      found.push(...some.filter((one) => one !== undefined));
    }
    return found.slice(0, limit);
  }

  /** Instances of a tenant behind a number. With others beside it there may be none among the next million: they are looked at in portions. */
  async #portions(
    tenant: number,
    { from, limit, descending }: { readonly from: number; readonly limit: number; readonly descending: boolean },
    several: boolean,
  ): Promise<NumberedInstance[]> {
    const { database } = this.#parts;
    const [beyond, upTo, direction] = descending ? ['<', '>=', 'DESC'] : ['>', '<=', 'ASC'];
    const kept = this.#kept();
    const sql = `SELECT e.id, h.name, ${OF} FROM history h INDEXED BY history_by_seq CROSS JOIN entity e ON e.key = h.entity
      WHERE h.seq ${beyond} ? AND h.seq ${upTo} ? AND e.tenant = ? AND h.deleted IS NULL${kept.sql} ORDER BY h.seq ${direction} LIMIT ?`;
    const portion = `SELECT seq FROM history WHERE seq ${beyond} ? ORDER BY seq ${direction} LIMIT 1 OFFSET ?`;
    const found: NumberedInstance[] = [];
    for (let at = from; ; ) {
      const end = several ? (database.get(portion, at, PORTION)?.[0] as number | undefined) : undefined;
      const values = [at, end ?? (descending ? 0 : NEVER), tenant, ...kept.values, limit - found.length];
      found.push(...database.all(sql, ...values).map((row) => this.#found(row) as NumberedInstance));
      if (end === undefined || found.length >= limit) return found;
      at = end;
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  async across(
    tenant: TenantId,
    names: readonly Iri[],
    page: SeriesPage & { readonly numbers?: readonly NumberBound[] },
  ): Promise<{ readonly found: readonly NumberedInstance[]; readonly next: SeriesPage['after'] }> {
    const { database, dictionary } = this.#parts;
    const key = dictionary.findTenant(tenant);
    const keys = names.map((name) => dictionary.findName(name)).filter((name) => name !== undefined);
    if (key === undefined || keys.length === 0) return { found: [], next: undefined };
    await this.#unsettled.settleNames(key, names);
    const kept = this.#kept();
    const sql = `SELECT e.id, h.name, ${OF} FROM history h CROSS JOIN entity e ON e.key = h.entity
      WHERE h.entity = ? AND h.name = ? AND h.time = ? AND h.seq = ? AND e.tenant = ? AND h.deleted IS NULL${kept.sql}`;
    const { places, next } = placesAcross(this.#parts, key, keys, page);
    const found = places.map(({ entity, name, at, number }) =>
      this.#found(database.get(sql, entity, name, at, number, key, ...kept.values)),
    );
    return { found: found.filter((one) => one !== undefined), next: next && { at: next.at, number: next.number } };
  }

  async count(
    tenant: TenantId,
    series: Series,
    { from = LONG_AGO, to = NEVER }: { readonly from?: Micros; readonly to?: Micros } = {},
  ): Promise<number> {
    const keys = this.#keys(tenant, series);
    if (keys === undefined) return 0;
    const kept = this.#kept();
    const sql = `SELECT count(*) FROM history h
      WHERE entity = ? AND name = ? AND time >= ? AND time <= ? AND dataset IS ? AND deleted IS NULL${kept.sql}`;
    const values = [keys.entity, keys.name, from, to, keys.dataset, ...kept.values];
    const rows = Number(this.#parts.database.get(sql, ...values)?.[0] ?? 0);
    const { current } = keys;
    return current === undefined || current.at < from || current.at > to ? rows : rows + 1;
  }

  async extent(tenant: TenantId, series: Series, texts: readonly Iri[]): Promise<SeriesExtent | undefined> {
    const keys = this.#keys(tenant, series);
    if (keys === undefined) return undefined;
    const { current } = keys;
    const kept = this.#kept();
    const those = `FROM history h WHERE entity = ? AND name = ? AND dataset IS ? AND deleted IS NULL${kept.sql}`;
    const of: Value[] = [keys.entity, keys.name, keys.dataset, ...kept.values];
    const end = (direction: 'ASC' | 'DESC') =>
      this.#parts.database.get(`SELECT time ${those} ORDER BY time ${direction} LIMIT 1`, ...of)?.[0] as Micros | undefined;
    const ends = [end('ASC'), end('DESC'), current?.at].filter((at) => at !== undefined);
    if (ends.length === 0) return undefined;
    const known = texts.flatMap((name) => {
      const own = current && plainText(current.instance.attributes?.[name]?.[0]);
      const found = textsOf(this.#parts.database, { ...keys, kept }, name);
      const all = [found?.least, found?.greatest, own].filter((text) => text !== undefined).sort();
      return all.length === 0 ? [] : [[name, { least: all[0] as string, greatest: all.at(-1) as string }] as const];
    });
    return { from: Math.min(...ends), to: Math.max(...ends), texts: new Map(known) };
  }

  /** `current`: the instance whose place in history is the state, which has no row. */
  #keys(tenant: TenantId, { id, name, datasetId }: Series) {
    const { dictionary } = this.#parts;
    const key = dictionary.findTenant(tenant);
    const row = key === undefined ? undefined : this.#rows.byId(key, id);
    const nameKey = dictionary.findName(name);
    const dataset = datasetId === undefined ? null : dictionary.findName(datasetId);
    if (row === undefined || nameKey === undefined || dataset === undefined) return undefined;
    const own = this.#instances.ofState(row, name, datasetId);
    const current = own && { number: own.seq, id, name, at: own.time, instance: own.instance };
    return { entity: row.key, name: nameKey, dataset, current };
  }

  #kept(): { readonly sql: string; readonly values: Value[] } {
    const now = this.#clock.micros();
    return this.#parts.history.nextExpiry > now ? { sql: '', values: [] } : { sql: UNEXPIRED, values: [now] };
  }

  #found(row: readonly unknown[] | undefined): NumberedInstance | undefined {
    if (row === undefined) return undefined;
    const [id, name, ...stored] = row as [Iri, number, ...unknown[]];
    return this.#instance(id, this.#parts.dictionary.iri(name), stored);
  }

  #instance(id: Iri, name: Iri, stored: readonly unknown[]): NumberedInstance {
    const [number, at] = stored as [number, Micros];
    return { number, id, name, at, instance: this.#instances.restore(stored) };
  }
}

type SeriesPlace = Pick<NumberedInstance, 'at' | 'number'>;

const plainText = (instance: AttributeInstance | undefined): string | undefined =>
  instance?.type === 'Property' && typeof instance.value === 'string' ? instance.value : undefined;
