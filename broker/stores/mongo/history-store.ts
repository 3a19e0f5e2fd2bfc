import { aggregatePoints } from '../../domain/aggregate.ts';
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
import { compile } from '../../domain/query/evaluate.ts';
import type { EntityQuery } from '../../domain/query/query.ts';
import type { Stamp } from '../../domain/stamp.ts';
import type { Instant } from '../../domain/time.ts';
import type { HistoryPage, HistoryPageRequest, HistoryStore } from '../../ports/history-store.ts';
import { assembled, readingOf, scopesDuring, testedAttributes } from '../evolutions.ts';
import { compareIds } from '../id-order.ts';
import type { ScopeSpan } from '../spans.ts';
import { SCOPE } from '../tombstone.ts';
import { candidatesOverTime } from './candidates-over-time.ts';
import type { EntityRow } from './entity-row.ts';
import { type Instances, TESTED } from './instances.ts';
import type { Parts } from './parts.ts';
import { Provision } from './provision.ts';
import type { WriteLoop } from './write-loop.ts';

const NO_STAMP: Stamp = { at: 0, origin: '' };
/** Candidates whose history is looked at together. */
const AT_ONCE = 16;

type Which = { readonly datasetId?: Iri; readonly all?: boolean };

export class MongoHistoryStore implements HistoryStore {
  readonly #parts: Parts;
  readonly #instances: Instances;
  readonly #writes: WriteLoop;
  readonly #provision: Provision;

  constructor(parts: Parts, writes: WriteLoop, instances: Instances) {
    this.#parts = parts;
    this.#writes = writes;
    this.#instances = instances;
    this.#provision = new Provision(parts, instances);
  }

  async evolution(tenant: TenantId, id: Iri, selection: HistorySelection): Promise<TemporalEvolution | undefined> {
    const row = await this.#parts.rows.byId(tenant, id);
    return row?.known.evolution ? this.#evolution(row, selection) : undefined;
  }

  async #evolution(row: EntityRow, selection: HistorySelection, during?: readonly ScopeSpan[]): Promise<TemporalEvolution> {
    const { filter, limit, newest } = readingOf(selection, during);
    const asked = { ...selection, filter };
    const names = selection.attributes ?? (await this.#instances.names(row));
    const read = await Promise.all(
      names.map(async (name) => [name, await this.#instances.read(row, name, asked, limit, newest)] as const),
    );
    return { id: row.id, ...row.summary, ...assembled(selection, read, during) } as TemporalEvolution;
  }

  async query(
    tenant: TenantId,
    query: EntityQuery,
    selection: HistorySelection,
    page: HistoryPageRequest,
  ): Promise<HistoryPage> {
    const test = compile(query);
    const tested = testedAttributes(query);
    const evolutions: TemporalEvolution[] = [];
    let skip = page.after === undefined ? (page.offset ?? 0) : 0;
    let more = false;
    let count = 0;
    const { descending = false } = page;
    const candidates = candidatesOverTime(this.#parts, tenant, query, page.count ? undefined : page.after, descending);
    for await (const rows of candidates(Math.min(AT_ONCE, skip + page.limit + 1), AT_ONCE)) {
      const found = await Promise.all(rows.map((row) => this.#matching(row, query, test, tested, selection)));
      for (const [at, evolution] of found.entries()) {
        if (!evolution) continue;
        count++;
        if (page.after !== undefined && !isBehind((rows[at] as EntityRow).id, page.after, descending)) continue;
        if (skip > 0) skip--;
        else if (evolutions.length < page.limit) evolutions.push(evolution);
        else more = true;
      }
      if (more && !page.count) break;
    }
    return { evolutions, more, ...(page.count ? { count } : {}) };
  }

  /** 5.7.4.4: something in the span (S1), and the query true of the instances in the span (S2 to S4). */
  async #matching(
    row: EntityRow,
    query: EntityQuery,
    test: (entity: Entity) => boolean,
    tested: ReadonlySet<Iri>,
    selection: HistorySelection,
  ): Promise<TemporalEvolution | undefined> {
    const attributes: Record<Iri, readonly AttributeInstance[]> = {};
    const { filter } = selection;
    const limit = query.where ? TESTED : 1;
    const read = await Promise.all(
      [...tested].map(async (name) => [name, await this.#instances.read(row, name, { filter }, limit, true)] as const),
    );
    for (const [name, found] of read) {
      const real = found.map(({ instance }) => instance).filter(({ deletedAt }) => deletedAt === undefined);
      if (real.length > 0) attributes[name] = real;
    }
    const known = row.summary;
    const snapshot = { id: row.id, ...known, attributes, stamp: NO_STAMP } as Entity;
    if (!query.scopes) return test(snapshot) ? this.#something(row, selection) : undefined;
    const told = await this.#instances.read(row, SCOPE, { filter: { property: 'modifiedAt' } }, TESTED, true, true);
    const during = scopesDuring(told, known, filter).filter(({ scopes }) => test({ ...snapshot, scopes }));
    return during.length > 0 ? this.#something(row, selection, during) : undefined;
  }

  async #something(
    row: EntityRow,
    selection: HistorySelection,
    during?: readonly ScopeSpan[],
  ): Promise<TemporalEvolution | undefined> {
    const evolution = await this.#evolution(row, selection, during);
    const names = Object.keys(evolution.attributes);
    return names.length === 0 || (during && names.every((name) => name === SCOPE)) ? undefined : evolution;
  }

  async aggregate(
    tenant: TenantId,
    id: Iri,
    selection: HistorySelection,
    aggregation: Aggregation,
  ): Promise<AggregatedEvolution | undefined> {
    const row = await this.#parts.rows.byId(tenant, id);
    if (!row?.known.evolution) return undefined;
    const names = selection.attributes ?? (await this.#instances.names(row)).filter((name) => name !== SCOPE);
    const range = rangeOf(selection.filter);
    const read = await Promise.all(names.map((name) => this.#instances.values(row, name, selection)));
    const attributes: Record<Iri, AggregatedAttribute[]> = {};
    for (const [at, name] of names.entries()) {
      for (const points of Map.groupBy(read[at] ?? [], ({ instance }) => instance.datasetId).values()) {
        const aggregated = aggregatePoints(points, range, aggregation);
        if (!aggregated) continue;
        attributes[name] ??= [];
        attributes[name].push(aggregated);
      }
    }
    const { types, scopes } = row.summary;
    return { id, types, ...(scopes === undefined ? {} : { scopes }), attributes } as AggregatedEvolution;
  }

  append(tenant: TenantId, id: Iri, fragment: EntityFragment, at: Instant): Promise<'created' | 'updated'> {
    return this.#writes.alone(() => this.#provision.append(tenant, id, fragment, at));
  }

  deleteEvolution(tenant: TenantId, id: Iri): Promise<boolean> {
    return this.#writes.alone(() => this.#provision.deleteEvolution(tenant, id));
  }

  endAttribute(tenant: TenantId, id: Iri, name: Iri, which: Which, at: Instant): Promise<boolean> {
    return this.#writes.alone(() => this.#provision.endAttribute(tenant, id, name, which, at));
  }

  deleteAttribute(tenant: TenantId, id: Iri, name: Iri, which: Which): Promise<boolean> {
    return this.#writes.alone(() => this.#provision.deleteAttribute(tenant, id, name, which));
  }

  modifyInstance(
    tenant: TenantId,
    id: Iri,
    name: Iri,
    instanceId: Iri,
    change: (old: AttributeInstance) => AttributeInstance,
  ): Promise<boolean> {
    return this.#writes.alone(() => this.#provision.modifyInstance(tenant, id, name, instanceId, change));
  }

  deleteInstance(tenant: TenantId, id: Iri, name: Iri, instanceId: Iri): Promise<boolean> {
    return this.#writes.alone(() => this.#provision.deleteInstance(tenant, id, name, instanceId));
  }

  async deleteExpired(limit: number): Promise<number> {
    const { due, clock } = this.#parts;
    if (limit <= 0 || !due.instances.by(clock.micros())) return 0;
    return this.#writes.alone(() => this.#provision.deleteExpired(limit));
  }
}

const isBehind = (id: Iri, after: Iri, descending: boolean): boolean =>
  descending ? compareIds(id, after) < 0 : compareIds(id, after) > 0;
