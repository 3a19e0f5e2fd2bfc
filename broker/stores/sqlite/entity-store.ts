import type { ChangeDraft } from '../../domain/change.ts';
import { DomainError } from '../../domain/errors.ts';
import { DEFAULT_TENANT, type Iri, type TenantId } from '../../domain/iri.ts';
import { expire } from '../../domain/patch.ts';
import { compile, type Predicate } from '../../domain/query/evaluate.ts';
import { compileOrder } from '../../domain/query/order.ts';
import type { EntityQuery, Order } from '../../domain/query/query.ts';
import { typesMatch } from '../../domain/query/types.ts';
import { isSnapshotTenant } from '../../domain/snapshot.ts';
import type { Micros } from '../../domain/time.ts';
import type { Clock } from '../../ports/clock.ts';
import type {
  EntityPage,
  EntityStore,
  PageRequest,
  StoredEntity,
  TypeCount,
  Write,
  WriteOutcome,
} from '../../ports/entity-store.ts';
import { byNumber } from './by-number.ts';
import { type Access, compileQuery, hasOnly, walkOf } from './compile-query.ts';
import type { EntityRow } from './entity-cache.ts';
import type { EntityRows, Parts } from './entity-rows.ts';
import type { IndexDemand } from './index-demand.ts';
import type { Shape } from './shape-counts.ts';
import { Slices } from './slices.ts';

/** @param rested others have had their turn since the candidate was found */
type Test = (row: EntityRow, rested: boolean) => boolean;

const UNCHANGED: WriteOutcome = { kind: 'unchanged' };
/** Candidates that are fetched at a time. */
const STEP = 200;

/** Of what has expired and is still stored, too: more of the same entity may expire before the sweeper comes. */
const NEXT_EXPIRY = 'SELECT min(expires) FROM entity WHERE expires IS NOT NULL';

export class SqliteEntityStore implements EntityStore {
  readonly #parts: Parts;
  readonly #rows: EntityRows;
  readonly #clock: Clock;
  readonly #sortLimit: number;
  readonly #demand: Pick<IndexDemand, 'looked'>;

  /** @param sortLimit how many matches a query may have that asks for an order other than that of the id */
  constructor(parts: Parts, rows: EntityRows, clock: Clock, demand: Pick<IndexDemand, 'looked'>, sortLimit: number) {
    this.#parts = parts;
    this.#rows = rows;
    this.#clock = clock;
    this.#demand = demand;
    this.#sortLimit = sortLimit;
  }

  async get(tenant: TenantId, id: Iri): Promise<StoredEntity | undefined> {
    const key = this.#parts.dictionary.findTenant(tenant);
    return key === undefined ? undefined : this.#current(this.#rows.byId(key, id));
  }

  /** The row without what has expired, if the entity exists now. */
  #current(row: EntityRow | undefined): EntityRow | undefined {
    if (row === undefined || row.text === undefined) return undefined;
    return row.expires === undefined ? row : row.at(this.#clock.micros());
  }

  commit(writes: readonly Write[]): Promise<readonly WriteOutcome[]> {
    return this.#parts.commits.submit(() => writes.map((write) => this.#apply(write)), writes.length);
  }

  commitTogether(writes: readonly Write[]): Promise<readonly WriteOutcome[]> {
    const apply = (write: Write): WriteOutcome => {
      const outcome = this.#apply(write);
      if (outcome.kind === 'refused') throw outcome.error;
      return outcome;
    };
    return this.#parts.commits.submit(() => writes.map(apply), writes.length, true);
  }

  #apply(write: Write): WriteOutcome {
    const { dictionary, history } = this.#parts;
    const known = dictionary.findTenant(write.tenant);
    let row = known === undefined ? undefined : this.#rows.byId(known, write.id);
    // What has expired and nobody has heard of yet ends first, so that the log tells what happened.
    const ending = write.evenExpired ? undefined : this.#ending(row);
    let draft: ReturnType<Write['decide']>;
    try {
      draft = write.decide(ending ? ending.after : row?.text === undefined ? undefined : row.entity);
    } catch (error) {
      if (error instanceof DomainError) return { kind: 'refused', error };
      throw error;
    }
    if (!draft) return UNCHANGED;
    if (draft.late && row) {
      const key = row.key;
      const late = draft.late.filter(
        ({ name, instance }) => instance.instanceId !== undefined || !history.has(key, name, instance),
      );
      if (late.length === 0 && draft.attributes.length === 0 && draft.after === draft.before) return UNCHANGED;
      if (late.length < draft.late.length) draft = { ...draft, late };
    }
    const tenant = known ?? dictionary.tenant(write.tenant);
    if (row && ending) {
      this.#rows.write(tenant, write.id, row, ending);
      row = this.#rows.byId(tenant, write.id);
    }
    return { kind: 'committed', version: this.#rows.write(tenant, write.id, row, draft), change: draft };
  }

  /** The change that ends what has expired of a stored entity, or all of it. */
  #ending(row: EntityRow | undefined): ChangeDraft | undefined {
    const now = this.#clock.micros();
    if (row?.text === undefined || row.expires === undefined || row.expires > now) return undefined;
    return expire(row.entity, now, { at: this.#clock.now(), stamp: this.#clock.stamp() });
  }

  async query(tenant: TenantId, query: EntityQuery, page: PageRequest): Promise<EntityPage> {
    const { pages } = this.#parts;
    const known = pages.find(tenant, query, page, this.#clock.micros(), () => this.#nextExpiry());
    if (known !== undefined) return known;
    const { changes } = pages;
    const answer = await this.#query(tenant, query, page);
    pages.keep(tenant, query, page, answer, changes);
    return answer;
  }

  #nextExpiry(): Micros {
    return (this.#parts.database.get(NEXT_EXPIRY)?.[0] as Micros | null | undefined) ?? Number.POSITIVE_INFINITY;
  }

  async #query(tenant: TenantId, query: EntityQuery, page: PageRequest): Promise<EntityPage> {
    const key = this.#parts.dictionary.findTenant(tenant);
    if (key === undefined) return { entities: [], more: false, ...(page.count ? { count: 0 } : {}) };
    const access = compileQuery(query, key, this.#parts, page);
    const test = this.#test(key, query, access);
    if (page.order && !(page.order.length === 1 && page.order[0]?.by === 'id' && page.order[0].direction === 'asc')) {
      return this.#sorted(key, query, access, test, page, page.order);
    }
    const entities: EntityRow[] = [];
    let skip = page.after === undefined ? (page.offset ?? 0) : 0;
    let more = false;
    const step = Math.min(skip + page.limit + 1, STEP);
    const looked = await this.#walk(access, test, page.after ?? '', step, (row) => {
      if (skip > 0) skip--;
      else if (entities.length < page.limit) entities.push(row);
      else more = true;
      return !more;
    });
    if (test) this.#parts.cache.keep(entities);
    this.#account(key, query, page, access, looked, entities.length);
    return { entities, more, ...(page.count ? { count: await this.#count(key, query, access, test) } : {}) };
  }

  async numbered(tenant: TenantId, numbers: readonly number[]): Promise<readonly (StoredEntity | undefined)[]> {
    const key = this.#parts.dictionary.findTenant(tenant);
    return numbers.map((number) => {
      const row = key === undefined ? undefined : this.#rows.byKey(number);
      return row?.tenant === key ? this.#current(row) : undefined;
    });
  }

  async walk(
    tenant: TenantId,
    query: EntityQuery,
    { after, limit, descending = false }: { readonly after?: number; readonly limit: number; readonly descending?: boolean },
  ): Promise<readonly StoredEntity[]> {
    const key = this.#parts.dictionary.findTenant(tenant);
    if (key === undefined) return [];
    const next = byNumber(query, key, this.#parts, descending);
    const predicate = this.#predicate(key, query);
    const found: EntityRow[] = [];
    const slices = new Slices();
    for (let from = after ?? (descending ? Number.MAX_SAFE_INTEGER : 0); ; ) {
      const candidates = next(from, STEP);
      for (const number of candidates) {
        const row = this.#current(this.#rows.byKey(number, false));
        if (!row || !predicate(row.entity)) continue;
        found.push(row);
        if (found.length === limit) return found;
      }
      const last = candidates.at(-1);
      if (last === undefined || candidates.length < STEP) return found;
      from = last;
      if (slices.over) await slices.rest();
    }
  }

  /** Tells what queries cost, so that there are indexes for those that cost much. */
  #account(tenant: number, query: EntityQuery, page: PageRequest, access: Access, looked: number, matches: number): void {
    const { lookup } = access;
    if (!lookup) {
      this.#demand.looked(tenant, query, looked, (page.offset ?? 0) + matches);
      return;
    }
    const { index } = lookup;
    index.uses++;
    index.saved += Math.max(0, walkOf(lookup, page) - looked);
    index.lastUsed = this.#clock.micros();
  }

  /** The query as a test of one entity; linked paths (4.9) continue in this tenant. */
  #predicate(tenant: number, query: EntityQuery): Predicate {
    return compile(query, (id) => this.#current(this.#rows.byId(tenant, id))?.entity);
  }

  /** What is left of the query as a test of one candidate. */
  #test(tenant: number, query: EntityQuery, { left, lookup }: Access): Test | undefined {
    if (left === 'nothing' && !lookup) return undefined;
    const predicate = this.#predicate(tenant, query);
    if (left === 'everything') return (row) => predicate(row.entity);
    const { shapes } = this.#parts;
    const types = left === 'types' ? query.types : undefined;
    // Of what has expired in an entity the index still has the value.
    return (row, rested) => {
      if (rested || row.partial || row.shape === undefined) return predicate(row.entity);
      return types === undefined || typesMatch(types, shapes.shape(row.shape).types);
    };
  }

  /**
   * Visits the matches after an id, in ascending order, until `visit` returns false.
   * @param step candidates fetched at a time
   * @returns how many candidates it looked at
   */
  async #walk(
    access: Access,
    test: Test | undefined,
    after: string,
    step: number,
    visit: (row: EntityRow) => boolean,
  ): Promise<number> {
    const slices = new Slices();
    let looked = 0;
    let rested = false;
    for (let from = after; ; ) {
      const candidates = access.next(from, step);
      for (const stored of this.#rows.byKeys(candidates, test === undefined)) {
        looked++;
        const row = this.#current(stored);
        if (!row || (test && !test(row, rested))) continue;
        if (!visit(row)) return looked;
      }
      const last = candidates.length < step ? undefined : this.#rows.byKey(candidates[step - 1] as number, false);
      if (!last) return looked;
      from = last.id;
      if (slices.over) {
        await slices.rest();
        rested = true;
      }
    }
  }

  async #count(tenant: number, query: EntityQuery, access: Access, test: Test | undefined): Promise<number> {
    const { types, anyAttribute } = query;
    let count = 0;
    if (hasOnly(query, 'types', 'anyAttribute')) {
      for (const [shape, entities] of this.#shapes(tenant)) {
        if (types && !typesMatch(types, shape.types)) continue;
        if (anyAttribute && !shape.attributes.some(({ name }) => anyAttribute.includes(name))) continue;
        count += entities;
      }
      return count;
    }
    await this.#walk(access, test, '', STEP, () => {
      count++;
      return true;
    });
    return count;
  }

  async #sorted(
    tenant: number,
    query: EntityQuery,
    access: Access,
    test: Test | undefined,
    page: PageRequest,
    order: readonly Order[],
  ): Promise<EntityPage> {
    const found: EntityRow[] = [];
    const looked = await this.#walk(access, test, '', STEP, (row) => found.push(row) <= this.#sortLimit);
    this.#account(tenant, query, page, access, looked, found.length);
    if (found.length > this.#sortLimit) {
      throw new DomainError(
        'TooComplexQuery',
        `More than ${this.#sortLimit} entities match, too many to be put in the order asked for: narrow the query down.`,
      );
    }
    const compare = compileOrder(order);
    const sorted = found.sort((a, b) => compare(a.entity, b.entity));
    const last = page.after === undefined ? -1 : sorted.findIndex(({ id }) => id === page.after);
    const start = page.after === undefined ? (page.offset ?? 0) : last + 1;
    return {
      entities: sorted.slice(start, start + page.limit),
      more: sorted.length > start + page.limit,
      ...(page.count ? { count: sorted.length } : {}),
    };
  }

  #shapes(tenant: number): Iterable<[Shape, number]> {
    return this.#parts.shapes.of(tenant, this.#clock.micros(), (key) => this.#current(this.#rows.byKey(key))?.entity);
  }

  async typeCounts(tenant: TenantId): Promise<readonly TypeCount[]> {
    const { dictionary } = this.#parts;
    const key = dictionary.findTenant(tenant);
    if (key === undefined) return [];
    const types = new Map<Iri, { entities: number; attributes: Map<Iri, { kinds: Set<string>; entities: number }> }>();
    for (const [shape, entities] of this.#shapes(key)) {
      for (const type of shape.types) {
        const of = types.get(type) ?? { entities: 0, attributes: new Map() };
        types.set(type, of);
        of.entities += entities;
        for (const { name, kinds } of shape.attributes) {
          const attribute = of.attributes.get(name) ?? { kinds: new Set(), entities: 0 };
          of.attributes.set(name, attribute);
          for (const kind of kinds) attribute.kinds.add(kind);
          attribute.entities += entities;
        }
      }
    }
    const byName = ([a]: [Iri, unknown], [b]: [Iri, unknown]): number => (a < b ? -1 : 1);
    return [...types].sort(byName).map(([type, { entities, attributes }]) => ({
      type,
      entities,
      attributes: [...attributes]
        .sort(byName)
        .map(([name, of]) => ({ name, kinds: [...of.kinds].sort(), entities: of.entities })),
    }));
  }

  async expired(limit: number): Promise<readonly { readonly tenant: TenantId; readonly id: Iri }[]> {
    const { database, dictionary } = this.#parts;
    return database
      .all('SELECT tenant, id FROM entity WHERE expires <= ? ORDER BY expires LIMIT ?', this.#clock.micros(), limit)
      .map(([tenant, id]) => ({ tenant: dictionary.tenantName(tenant as number), id: id as Iri }));
  }

  async tenants(): Promise<readonly TenantId[]> {
    return [
      ...new Set([DEFAULT_TENANT, ...this.#parts.dictionary.tenants().filter((tenant) => !isSnapshotTenant(tenant))]),
    ].sort();
  }

  async tenantExists(tenant: TenantId): Promise<boolean> {
    return tenant === DEFAULT_TENANT || this.#parts.dictionary.findTenant(tenant) !== undefined;
  }
}
