import { aggregatePoints, type DataPoint } from '../../domain/aggregate.ts';
import type { AttributeInstance } from '../../domain/attribute.ts';
import type { Entity, EntityFragment } from '../../domain/entity.ts';
import { rangeOf } from '../../domain/evolution.ts';
import type {
  AggregatedAttribute,
  AggregatedEvolution,
  Aggregation,
  HistorySelection,
  TemporalEvolution,
} from '../../domain/history.ts';
import type { Iri, TenantId } from '../../domain/iri.ts';
import { fromStoredText, jsonEquals } from '../../domain/json.ts';
import { compile } from '../../domain/query/evaluate.ts';
import type { EntityQuery } from '../../domain/query/query.ts';
import type { Stamp } from '../../domain/stamp.ts';
import type { Instant } from '../../domain/time.ts';
import type { Clock } from '../../ports/clock.ts';
import type { HistoryPage, HistoryPageRequest, HistoryStore } from '../../ports/history-store.ts';
import { assembled, readingOf, scopesDuring, testedAttributes } from '../evolutions.ts';
import { type Past, summaryOf } from '../past.ts';
import type { ScopeSpan } from '../spans.ts';
import { SCOPE, tombstone } from '../tombstone.ts';
import { candidatesOverTime } from './compile-query.ts';
import type { EntityRow } from './entity-cache.ts';
import type { EntityRows, Parts } from './entity-rows.ts';
import { Instances, STORED, TESTED } from './instances.ts';
import { Slices } from './slices.ts';

/** After every id: none begins with this. */
const LAST_ID = '\u{10ffff}';
const NO_STAMP: Stamp = { at: 0, origin: '' };

export class SqliteHistoryStore implements HistoryStore {
  readonly #parts: Parts;
  readonly #rows: EntityRows;
  readonly #instances: Instances;
  readonly #clock: Clock;

  constructor(parts: Parts, rows: EntityRows, clock: Clock) {
    this.#parts = parts;
    this.#rows = rows;
    this.#clock = clock;
    this.#instances = new Instances(parts.database, parts.dictionary, parts.history, clock);
  }

  #find(tenant: TenantId, id: Iri): EntityRow | undefined {
    const key = this.#parts.dictionary.findTenant(tenant);
    const row = key === undefined ? undefined : this.#rows.byId(key, id);
    return row?.evolution ? row : undefined;
  }

  append(tenant: TenantId, id: Iri, fragment: EntityFragment, at: Instant): Promise<'created' | 'updated'> {
    const { commits, dictionary, history } = this.#parts;
    return commits.submit(
      () => {
        const tenantKey = dictionary.tenant(tenant);
        const stored = this.#rows.byId(tenantKey, id);
        const row = stored && this.#rows.settleHistory(stored);
        const known = row?.evolution ? summary(row) : undefined;
        const types = [...new Set([...(known?.types ?? []), ...(fragment.types ?? [])])];
        const scopes = fragment.scopes === null ? undefined : (fragment.scopes ?? known?.scopes);
        const key = this.#rows.writePast(tenantKey, id, row, true, {
          types,
          ...(scopes === undefined ? {} : { scopes }),
          createdAt: known?.createdAt ?? at,
          modifiedAt: at,
          ...(known?.deletedAt === undefined ? {} : { deletedAt: known.deletedAt }),
        });
        if (!jsonEquals(scopes, known?.scopes)) {
          const instance = { type: 'Property', value: scopes ?? [], createdAt: at, modifiedAt: at, observedAt: at } as const;
          history.insert(key, SCOPE, instance, at);
        }
        for (const name in fragment.attributes) {
          for (const given of fragment.attributes[name as Iri] ?? []) {
            const { instanceId: _, stamp: __, ...instance } = given;
            history.upsert(key, name as Iri, instance as AttributeInstance, at);
          }
        }
        return known ? 'updated' : 'created';
      },
      1 + Object.keys(fragment.attributes).length,
      true,
    );
  }

  async evolution(tenant: TenantId, id: Iri, selection: HistorySelection): Promise<TemporalEvolution | undefined> {
    const row = this.#find(tenant, id);
    return row && this.#evolution(row, selection);
  }

  /** @param during spans that instances must lie in as well (C.5.16) */
  #evolution(row: EntityRow, selection: HistorySelection, during?: readonly ScopeSpan[]): TemporalEvolution {
    const { filter, limit, newest } = readingOf(selection, during);
    const asked = { ...selection, filter };
    const names = selection.attributes ?? this.#instances.names(row);
    const read = names.map((name) => [name, this.#instances.read(row, name, asked, limit, newest)] as const);
    return { id: row.id, ...summary(row), ...assembled(selection, read, during) } as TemporalEvolution;
  }

  async query(
    tenant: TenantId,
    query: EntityQuery,
    selection: HistorySelection,
    page: HistoryPageRequest,
  ): Promise<HistoryPage> {
    const tenantKey = this.#parts.dictionary.findTenant(tenant);
    if (tenantKey === undefined) return { evolutions: [], more: false, ...(page.count ? { count: 0 } : {}) };
    const test = compile(query);
    const tested = testedAttributes(query);
    const evolutions: TemporalEvolution[] = [];
    let skip = page.after === undefined ? (page.offset ?? 0) : 0;
    let more = false;
    let count = 0;
    const slices = new Slices();
    const descending = page.descending === true;
    for (const row of this.#candidates(tenantKey, query, page.count ? undefined : page.after, descending)) {
      if (slices.over) await slices.rest();
      const evolution = this.#matching(row, query, test, tested, selection);
      if (!evolution) continue;
      count++;
      if (page.after !== undefined && (descending ? row.id >= page.after : row.id <= page.after)) continue;
      if (skip > 0) skip--;
      else if (evolutions.length < page.limit) evolutions.push(evolution);
      else {
        more = true;
        if (!page.count) break;
      }
    }
    return { evolutions, more, ...(page.count ? { count } : {}) };
  }

  *#candidates(
    tenant: number,
    query: EntityQuery,
    after: string | undefined,
    descending: boolean,
  ): Generator<EntityRow, void, undefined> {
    const next = candidatesOverTime(query, tenant, this.#parts, descending);
    for (let from = after ?? (descending ? LAST_ID : ''); ; ) {
      const found = next(from, 200);
      for (const [key] of found) {
        const row = this.#rows.byKey(key, false);
        if (row?.evolution) yield row;
      }
      const last = found.at(-1);
      if (!last || found.length < 200) return;
      from = last[1];
    }
  }

  /** 5.7.4.4: something in the span (S1), and the query true of the instances in the span (S2 to S4). */
  #matching(
    row: EntityRow,
    query: EntityQuery,
    test: (entity: Entity) => boolean,
    tested: ReadonlySet<Iri>,
    selection: HistorySelection,
  ): TemporalEvolution | undefined {
    const attributes: Record<Iri, readonly AttributeInstance[]> = {};
    for (const name of tested) {
      const limit = query.where ? TESTED : 1;
      const found = this.#instances.read(row, name, { filter: selection.filter }, limit, true);
      const real = found.map(({ instance }) => instance).filter(({ deletedAt }) => deletedAt === undefined);
      if (real.length > 0) attributes[name] = real;
    }
    const known = summary(row);
    const snapshot = { id: row.id, ...known, attributes, stamp: NO_STAMP } as Entity;
    if (!query.scopes) return test(snapshot) ? this.#something(row, selection) : undefined;
    const told = this.#instances.read(row, SCOPE, { filter: { property: 'modifiedAt' } }, TESTED, true, true);
    const during = scopesDuring(told, known, selection.filter).filter(({ scopes }) => test({ ...snapshot, scopes }));
    return during.length > 0 ? this.#something(row, selection, during) : undefined;
  }

  #something(row: EntityRow, selection: HistorySelection, during?: readonly ScopeSpan[]): TemporalEvolution | undefined {
    const evolution = this.#evolution(row, selection, during);
    const names = Object.keys(evolution.attributes);
    return names.length === 0 || (during && names.every((name) => name === SCOPE)) ? undefined : evolution;
  }

  async aggregate(
    tenant: TenantId,
    id: Iri,
    selection: HistorySelection,
    aggregation: Aggregation,
  ): Promise<AggregatedEvolution | undefined> {
    const row = this.#find(tenant, id);
    if (!row) return undefined;
    const names = selection.attributes ?? this.#instances.names(row).filter((name) => name !== SCOPE);
    const range = rangeOf(selection.filter);
    const attributes: Record<Iri, AggregatedAttribute[]> = {};
    for (const name of names) {
      for (const points of this.#series(row, name, selection).values()) {
        const aggregated = aggregatePoints(points, range, aggregation);
        if (!aggregated) continue;
        attributes[name] ??= [];
        attributes[name].push(aggregated);
      }
    }
    const { types, scopes } = summary(row);
    return { id, types, ...(scopes === undefined ? {} : { scopes }), attributes } as AggregatedEvolution;
  }

  /** Per datasetId, ascending time. */
  #series(row: EntityRow, name: Iri, selection: HistorySelection): Map<number | null, DataPoint[]> {
    const byDataset = new Map<number | null, DataPoint[]>();
    for (const { time, dataset, number, text } of this.#instances.values(row, name, selection)) {
      const points = byDataset.get(dataset);
      const point = {
        at: time,
        instance: number === null ? (fromStoredText(text) as AttributeInstance) : this.#number(number, dataset),
      };
      if (points) points.push(point);
      else byDataset.set(dataset, [point]);
    }
    return byDataset;
  }

  /** What aggregation needs of an instance whose value is a number, without parsing it. */
  #number(value: number, dataset: number | null): AttributeInstance {
    const datasetId = dataset === null ? {} : { datasetId: this.#parts.dictionary.iri(dataset) };
    return { type: 'Property', value, ...datasetId };
  }

  deleteEvolution(tenant: TenantId, id: Iri): Promise<boolean> {
    return this.#parts.commits.submit(() => {
      const row = this.#find(tenant, id);
      if (!row) return false;
      this.#parts.database.run('DELETE FROM history WHERE entity = ?', row.key);
      this.#rows.writePast(row.tenant, id, this.#rows.settleHistory(row, true), false, undefined);
      return true;
    });
  }

  endAttribute(
    tenant: TenantId,
    id: Iri,
    name: Iri,
    { datasetId, all }: { datasetId?: Iri; all?: boolean },
    at: Instant,
  ): Promise<boolean> {
    const { commits, history } = this.#parts;
    return commits.submit(() => {
      const row = this.#find(tenant, id);
      if (row === undefined || row.text !== undefined || row.past === undefined) return false;
      const { deletedAt, scopes, ...known } = JSON.parse(row.past) as Past;
      if (deletedAt !== undefined) return false;
      if (name === SCOPE) {
        if (scopes === undefined || scopes.length === 0) return false;
        history.insert(row.key, SCOPE, { type: 'Property', value: [], createdAt: at, modifiedAt: at, deletedAt: at }, at);
        this.#rows.writePast(row.tenant, id, row, true, { ...known, modifiedAt: at });
        return true;
      }
      const last = new Map<Iri | undefined, AttributeInstance>();
      const everything = { filter: { property: 'modifiedAt' } } as const;
      for (const { instance } of this.#instances.read(row, name, everything, TESTED, true, true)) {
        last.set(instance.datasetId, instance);
      }
      const ending = [...last.values()].filter(
        (instance) => instance.deletedAt === undefined && (all === true || instance.datasetId === datasetId),
      );
      for (const instance of ending) history.insert(row.key, name, tombstone(instance, at), at);
      if (ending.length > 0)
        this.#rows.writePast(row.tenant, id, row, true, { ...known, ...(scopes && { scopes }), modifiedAt: at });
      return ending.length > 0;
    });
  }

  deleteAttribute(tenant: TenantId, id: Iri, name: Iri, which: { datasetId?: Iri; all?: boolean }): Promise<boolean> {
    const { commits, database, dictionary } = this.#parts;
    return commits.submit(() => {
      const row = this.#find(tenant, id);
      const nameKey = dictionary.findName(name);
      if (!row || nameKey === undefined) return false;
      this.#rows.settleHistory(row);
      if (which.all) return database.run('DELETE FROM history WHERE entity = ? AND name = ?', row.key, nameKey) > 0;
      const dataset = which.datasetId === undefined ? null : dictionary.findName(which.datasetId);
      if (dataset === undefined) return false;
      return database.run('DELETE FROM history WHERE entity = ? AND name = ? AND dataset IS ?', row.key, nameKey, dataset) > 0;
    });
  }

  modifyInstance(
    tenant: TenantId,
    id: Iri,
    name: Iri,
    instanceId: Iri,
    change: (old: AttributeInstance) => AttributeInstance,
  ): Promise<boolean> {
    const { commits, database, history } = this.#parts;
    return commits.submit(
      () => {
        const place = this.#place(tenant, id, name, instanceId);
        if (!place) return false;
        const old = this.#instances.restore(place.stored);
        history.forget(place.seq);
        const { instanceId: _, ...changed } = change(old);
        database.run(DELETE_INSTANCE, place.entity, place.name, place.time, place.seq);
        // 5.6.14.4: createdAt stays, modifiedAt is that of the modification.
        const now = this.#clock.now();
        const created = old.createdAt === undefined ? {} : { createdAt: old.createdAt };
        const instance = { ...changed, ...created, modifiedAt: changed.modifiedAt ?? now } as AttributeInstance;
        history.insert(place.entity, name, instance, now, place.seq);
        return true;
      },
      1,
      true,
    );
  }

  deleteInstance(tenant: TenantId, id: Iri, name: Iri, instanceId: Iri): Promise<boolean> {
    return this.#parts.commits.submit(() => {
      const place = this.#place(tenant, id, name, instanceId);
      if (!place) return false;
      this.#parts.database.run(DELETE_INSTANCE, place.entity, place.name, place.time, place.seq);
      return true;
    });
  }

  async deleteExpired(limit: number): Promise<number> {
    const { commits, history } = this.#parts;
    if (history.nextExpiry > this.#clock.micros()) return 0;
    return commits.submit(() => history.sweep(this.#clock.micros(), limit));
  }

  #place(tenant: TenantId, id: Iri, name: Iri, instanceId: Iri) {
    const { database, dictionary, history } = this.#parts;
    const row = this.#find(tenant, id);
    const nameKey = dictionary.findName(name);
    const seq = history.seqOf(instanceId);
    if (!row || nameKey === undefined || seq === undefined) return undefined;
    this.#rows.settleHistory(row);
    const found = database.get(
      `SELECT ${STORED} FROM history WHERE entity = ? AND name = ? AND seq = ?`,
      row.key,
      nameKey,
      seq,
    );
    return found && { entity: row.key, name: nameKey, time: found[1] as number, seq, stored: found };
  }
}

const DELETE_INSTANCE = 'DELETE FROM history WHERE entity = ? AND name = ? AND time = ? AND seq = ?';

/** What a temporal evolution says of the entity itself. */
const summary = (row: EntityRow): Past =>
  summaryOf(
    row.text === undefined ? undefined : row.entity,
    row.past === undefined ? undefined : (JSON.parse(row.past) as Past),
  );
