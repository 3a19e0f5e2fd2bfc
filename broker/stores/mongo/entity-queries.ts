import type { TenantId } from '../../domain/iri.ts';
import { compile } from '../../domain/query/evaluate.ts';
import type { EntityQuery, Order } from '../../domain/query/query.ts';
import { typesMatch } from '../../domain/query/types.ts';
import type { EntityPage, PageRequest } from '../../ports/entity-store.ts';
import { hasOnly } from '../query-parts.ts';
import { sortedPage } from '../sorted-page.ts';
import { keyOf, keysOf } from './collections.ts';
import type { Server } from './compile-condition.ts';
import { compileQuery, type DatabaseQuery, type EntityFilter } from './compile-query.ts';
import type { EntityRow } from './entity-row.ts';
import { followed } from './followed.ts';
import type { Parts } from './parts.ts';
import { READ } from './rows.ts';

/** Documents that are fetched at a time, when the first few were not enough. */
const STEP = 200;
/** Entities that are passed over one by one; more are left to the database where it may. */
const PASSED_OVER = 1_000;

/** Answers queries: the database finds, and what it cannot tell for sure is tested here. */
export class EntityQueries {
  readonly #parts: Parts;
  readonly #server: Server;
  readonly #sortLimit: number;

  /** @param sortLimit how many matches a query may have that asks for an order other than that of the id */
  constructor(parts: Parts, server: Server, sortLimit: number) {
    this.#parts = parts;
    this.#server = server;
    this.#sortLimit = sortLimit;
  }

  async page(tenant: TenantId, query: EntityQuery, page: PageRequest): Promise<EntityPage> {
    const [only, ...others] = page.order ?? [];
    if (only !== undefined && !(others.length === 0 && only.by === 'id' && only.direction === 'asc')) {
      return this.#sorted(tenant, query, page, page.order as readonly Order[]);
    }
    const plan = this.#plan(tenant, query);
    const entities: EntityRow[] = [];
    let skip = page.after === undefined ? (page.offset ?? 0) : 0;
    let more = false;
    let passed = 0;
    if (skip > PASSED_OVER && (await this.#isSure(plan))) {
      passed = skip;
      skip = 0;
    }
    const after = page.after === undefined ? undefined : keyOf(tenant, page.after);
    const wanted = skip + page.limit + 1;
    // Of a place a part of the box around it is found in vain: to ask for more is cheaper than to ask twice.
    const first = Math.min(plan.exact ? wanted : Math.ceil(1.5 * wanted), STEP);
    await this.#walk(tenant, query, plan, { after, passed, first }, (row) => {
      if (skip > 0) skip--;
      else if (entities.length < page.limit) entities.push(row);
      else more = true;
      return !more;
    });
    return { entities, more, ...(page.count ? { count: await this.#count(tenant, query, plan) } : {}) };
  }

  /** Matches in ascending or descending order of their numbers. */
  async numbered(
    tenant: TenantId,
    query: EntityQuery,
    { after, limit, descending = false }: { readonly after?: number; readonly limit: number; readonly descending?: boolean },
  ): Promise<readonly EntityRow[]> {
    const { collections, reader, rows } = this.#parts;
    const found: EntityRow[] = [];
    if (limit <= 0) return found;
    const plan = this.#plan(tenant, query);
    const test = this.#test(tenant, query);
    for (let from = after, step = Math.min(limit, STEP); ; step = STEP) {
      const behind = from === undefined ? {} : { n: descending ? { $lt: from } : { $gt: from } };
      const keep = rows.reading();
      const filter = { $and: [plan.filter, { e: { $exists: true }, ...behind }] } as EntityFilter;
      const asked = { projection: READ, sort: { n: descending ? -1 : 1 }, limit: step } as const;
      const documents = await reader.some(collections.entities, filter, asked);
      const candidates = documents.map((document) => rows.current(keep(document)));
      for (const row of await test(candidates)) {
        found.push(row);
        if (found.length === limit) return found;
      }
      if (documents.length < step) return found;
      from = documents.at(-1)?.n;
    }
  }

  #plan(tenant: TenantId, query: EntityQuery): DatabaseQuery {
    const { due, clock } = this.#parts;
    const now = clock.micros();
    const plan = compileQuery(tenant, query, this.#server);
    if (!due.entities.by(now)) return plan;
    // Of what has expired in an entity the database still has the value.
    const filter = { t: tenant, $or: [plan.filter, { t: tenant, x: { $lte: now } }] } as EntityFilter;
    return { filter, exact: false, facts: plan.facts };
  }

  /** True if everything that the database finds is a match. */
  async #isSure({ filter, exact, facts }: DatabaseQuery): Promise<boolean> {
    if (!exact || !facts) return exact;
    const rough = { $and: [filter, { r: true }] } as EntityFilter;
    const { reader, collections } = this.#parts;
    return (await reader.one(collections.entities, rough, { projection: { _id: 1 } })) === undefined;
  }

  /** The query as a test of several candidates; linked paths (4.9) continue in this tenant. */
  #test(tenant: TenantId, query: EntityQuery): (rows: readonly (EntityRow | undefined)[]) => Promise<readonly EntityRow[]> {
    return followed(this.#parts.rows, tenant, (follow) => compile(query, follow));
  }

  /** Visits the matches behind a key, in ascending id, until `visit` returns false. */
  async #walk(
    tenant: TenantId,
    query: EntityQuery,
    plan: DatabaseQuery,
    { after, passed, first }: { readonly after: string | undefined; readonly passed: number; readonly first: number },
    visit: (row: EntityRow) => boolean,
  ): Promise<void> {
    const { collections, reader, rows } = this.#parts;
    const test = this.#test(tenant, query);
    const { $gt, $lt } = keysOf(tenant);
    for (let from = after ?? $gt, step = first, skip = passed; ; step = Math.max(step, Math.min(2 * step, STEP)), skip = 0) {
      const filter = { $and: [plan.filter, { _id: { $gt: from, $lt }, e: { $exists: true } }] } as EntityFilter;
      const keep = rows.reading();
      const asked = { projection: READ, sort: { _id: 1 }, skip, limit: step } as const;
      const documents = await reader.some(collections.entities, filter, asked);
      const stored = documents.map(keep);
      for (const row of await this.#matches(plan, stored, test)) if (!visit(row)) return;
      const last = documents.at(-1);
      if (last === undefined || documents.length < step) return;
      from = last._id;
    }
  }

  async #matches(
    { exact, facts }: DatabaseQuery,
    stored: readonly EntityRow[],
    test: (rows: readonly (EntityRow | undefined)[]) => Promise<readonly EntityRow[]>,
  ): Promise<readonly EntityRow[]> {
    const { rows } = this.#parts;
    const now = stored.map((row) => rows.current(row));
    if (exact && now.every((row, at) => row !== undefined && row === stored[at] && !(facts && row.known.rough))) {
      return now as EntityRow[];
    }
    return test(now);
  }

  async #count(tenant: TenantId, query: EntityQuery, plan: DatabaseQuery): Promise<number> {
    const { collections, shapes, due, clock } = this.#parts;
    const { types, anyAttribute } = query;
    let count = 0;
    if (hasOnly(query, 'types', 'anyAttribute')) {
      const now = clock.micros();
      for (const [shape, entities] of await shapes.of(tenant, now, due.entities.by(now))) {
        if (types && !typesMatch(types, shape.types)) continue;
        if (anyAttribute && !shape.attributes.some(({ name }) => anyAttribute.includes(name))) continue;
        count += entities;
      }
      return count;
    }
    const exists = { e: { $exists: true } };
    let left = plan;
    if (plan.exact) {
      const rough = plan.facts ? { r: { $exists: false } } : {};
      count = await collections.entities.countDocuments({ $and: [plan.filter, { ...exists, ...rough }] } as EntityFilter);
      if (!plan.facts) return count;
      left = { ...plan, filter: { $and: [plan.filter, { r: true }] } as EntityFilter };
    }
    await this.#walk(tenant, query, left, { after: undefined, passed: 0, first: STEP }, () => {
      count++;
      return true;
    });
    return count;
  }

  async #sorted(tenant: TenantId, query: EntityQuery, page: PageRequest, order: readonly Order[]): Promise<EntityPage> {
    const found: EntityRow[] = [];
    const all = { after: undefined, passed: 0, first: STEP };
    await this.#walk(tenant, query, this.#plan(tenant, query), all, (row) => found.push(row) <= this.#sortLimit);
    return sortedPage(found, order, page, this.#sortLimit);
  }
}
