import type { Iri, TenantId } from '../../domain/iri.ts';
import type { EntityQuery } from '../../domain/query/query.ts';
import type {
  EntityPage,
  EntityStore,
  PageRequest,
  StoredEntity,
  TypeCount,
  Write,
  WriteOutcome,
} from '../../ports/entity-store.ts';
import { countedTypes } from '../type-counts.ts';
import { idOf } from './collections.ts';
import type { EntityQueries } from './entity-queries.ts';
import type { Parts } from './parts.ts';
import { READ } from './rows.ts';
import type { WriteLoop } from './write-loop.ts';

export class MongoEntityStore implements EntityStore {
  readonly #parts: Parts;
  readonly #writes: WriteLoop;
  readonly #queries: EntityQueries;

  constructor(parts: Parts, writes: WriteLoop, queries: EntityQueries) {
    this.#parts = parts;
    this.#writes = writes;
    this.#queries = queries;
  }

  async get(tenant: TenantId, id: Iri): Promise<StoredEntity | undefined> {
    const { rows } = this.#parts;
    return rows.current(await rows.byId(tenant, id));
  }

  async query(tenant: TenantId, query: EntityQuery, page: PageRequest): Promise<EntityPage> {
    const { pages, clock, due } = this.#parts;
    const known = pages.find(tenant, query, page, clock.micros(), () => due.entities.at);
    if (known !== undefined) return known;
    const { changes } = pages;
    const answer = await this.#queries.page(tenant, query, page);
    pages.keep(tenant, query, page, answer, changes);
    return answer;
  }

  async numbered(tenant: TenantId, numbers: readonly number[]): Promise<readonly (StoredEntity | undefined)[]> {
    const { collections, reader, rows } = this.#parts;
    if (numbers.length === 0) return [];
    const keep = rows.reading();
    const asked = { projection: READ, limit: numbers.length };
    const found = await reader.some(collections.entities, { t: tenant, n: { $in: [...numbers] } }, asked);
    const byNumber = new Map(found.map((document) => [document.n, keep(document)]));
    return numbers.map((number) => rows.current(byNumber.get(number)));
  }

  walk(
    tenant: TenantId,
    query: EntityQuery,
    page: { readonly after?: number; readonly limit: number; readonly descending?: boolean },
  ): Promise<readonly StoredEntity[]> {
    return this.#queries.numbered(tenant, query, page);
  }

  commit(writes: readonly Write[]): Promise<readonly WriteOutcome[]> {
    return this.#writes.submit(writes, false);
  }

  commitTogether(writes: readonly Write[]): Promise<readonly WriteOutcome[]> {
    return this.#writes.submit(writes, true);
  }

  async typeCounts(tenant: TenantId): Promise<readonly TypeCount[]> {
    const { shapes, due, clock } = this.#parts;
    const now = clock.micros();
    return countedTypes(await shapes.of(tenant, now, due.entities.by(now)));
  }

  async expired(limit: number): Promise<readonly { readonly tenant: TenantId; readonly id: Iri }[]> {
    const { collections, due, clock } = this.#parts;
    const now = clock.micros();
    if (limit <= 0 || !due.entities.by(now)) return [];
    const found = await collections.entities
      .find({ x: { $lte: now } }, { projection: { t: 1 } })
      .sort({ x: 1 })
      .limit(limit)
      .toArray();
    if (found.length === 0) await due.entities.look();
    return found.map(({ _id, t }) => ({ tenant: t, id: idOf(_id) }));
  }

  async tenants(): Promise<readonly TenantId[]> {
    return this.#parts.tenants.list();
  }

  async tenantExists(tenant: TenantId): Promise<boolean> {
    return this.#parts.tenants.has(tenant);
  }
}
