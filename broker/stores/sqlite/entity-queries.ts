import { compile, type Predicate } from '../../domain/query/evaluate.ts';
import { compileGeo } from '../../domain/query/geo.ts';
import type { EntityQuery, Order } from '../../domain/query/query.ts';
import { typesMatch } from '../../domain/query/types.ts';
import type { Clock } from '../../ports/clock.ts';
import type { EntityPage, PageRequest } from '../../ports/entity-store.ts';
import { hasOnly } from '../query-parts.ts';
import type { Shape } from '../shape.ts';
import { sortedPage } from '../sorted-page.ts';
import { byNumber } from './by-number.ts';
import { type Access, compileQuery, walkOf } from './compile-query.ts';
import type { EntityRow } from './entity-cache.ts';
import type { EntityRows, Parts } from './entity-rows.ts';
import type { IndexDemand } from './index-demand.ts';
import { Slices } from './slices.ts';

/** Candidates that are fetched at a time, when the first few were not enough. */
const STEP = 200;

/** @param rested others have had their turn since the candidate was found */
type Test = (row: EntityRow, rested: boolean) => boolean;

/** How a query is answered now. */
interface Plan {
  readonly access: Access;
  /** What must be tested of each candidate; undefined: nothing. */
  readonly test: Test | undefined;
}

interface Question {
  readonly tenant: number;
  readonly query: EntityQuery;
  readonly page: PageRequest;
}

/** Answers queries: walks over the candidates that compile-query.ts finds, and tests what the way to them leaves open. */
export class EntityQueries {
  readonly #parts: Parts;
  readonly #rows: EntityRows;
  readonly #clock: Clock;
  readonly #demand: Pick<IndexDemand, 'looked'>;
  readonly #sortLimit: number;

  /** @param sortLimit how many matches a query may have that asks for an order other than that of the id */
  constructor(parts: Parts, rows: EntityRows, clock: Clock, demand: Pick<IndexDemand, 'looked'>, sortLimit: number) {
    this.#parts = parts;
    this.#rows = rows;
    this.#clock = clock;
    this.#demand = demand;
    this.#sortLimit = sortLimit;
  }

  /** The row without what has expired, if the entity exists now. */
  current(row: EntityRow | undefined): EntityRow | undefined {
    if (row === undefined || row.text === undefined) return undefined;
    return row.expires === undefined ? row : row.at(this.#clock.micros());
  }

  /** Shapes of a tenant's entities, and how many have them; see shape-counts.ts. */
  shapes(tenant: number): Iterable<[Shape, number]> {
    return this.#parts.shapes.of(tenant, this.#clock.micros(), (key) => this.current(this.#rows.byKey(key))?.entity);
  }

  async page(tenant: number, query: EntityQuery, page: PageRequest): Promise<EntityPage> {
    const question = { tenant, query, page };
    if (page.order && !(page.order.length === 1 && page.order[0]?.by === 'id' && page.order[0].direction === 'asc')) {
      return this.#sorted(question, page.order);
    }
    const entities: EntityRow[] = [];
    let skip = page.after === undefined ? (page.offset ?? 0) : 0;
    let more = false;
    const tested = await this.#walk(question, page.after ?? '', Math.min(skip + page.limit + 1, STEP), (row) => {
      if (skip > 0) skip--;
      else if (entities.length < page.limit) entities.push(row);
      else more = true;
      return !more;
    });
    if (tested) this.#parts.cache.keep(entities);
    return { entities, more, ...(page.count ? { count: await this.#count(question) } : {}) };
  }

  /** Matches in ascending or descending order of their numbers. */
  async numbered(
    tenant: number,
    query: EntityQuery,
    { after, limit, descending = false }: { readonly after?: number; readonly limit: number; readonly descending?: boolean },
  ): Promise<readonly EntityRow[]> {
    const next = byNumber(query, tenant, this.#parts, descending);
    const predicate = this.#predicate(tenant, query);
    const found: EntityRow[] = [];
    const slices = new Slices();
    for (let from = after ?? (descending ? Number.MAX_SAFE_INTEGER : 0); ; ) {
      const candidates = next(from, STEP);
      for (const number of candidates) {
        const row = this.current(this.#rows.byKey(number, false));
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

  #plan({ tenant, query, page }: Question): Plan {
    const access = compileQuery(query, tenant, this.#parts, page);
    return { access, test: this.#test(tenant, query, access) };
  }

  /** The query as a test of one entity; linked paths (4.9) continue in this tenant. */
  #predicate(tenant: number, query: EntityQuery): Predicate {
    return compile(query, (id) => this.current(this.#rows.byId(tenant, id))?.entity);
  }

  /** What is left of the query as a test of one candidate. */
  #test(tenant: number, query: EntityQuery, { left, lookup }: Access): Test | undefined {
    if (left === 'nothing' && !lookup) return undefined;
    if (left === 'everything') return this.#placeTest(query) ?? this.#wholeTest(tenant, query);
    const { shapes } = this.#parts;
    let predicate: Predicate | undefined;
    const types = left === 'types' ? query.types : undefined;
    // Of what has expired in an entity the index still has the value.
    return (row, rested) => {
      if (rested || row.partial || row.shape === undefined) {
        predicate ??= this.#predicate(tenant, query);
        return predicate(row.entity);
      }
      return types === undefined || typesMatch(types, shapes.shape(row.shape).types);
    };
  }

  #wholeTest(tenant: number, query: EntityQuery): Test {
    const predicate = this.#predicate(tenant, query);
    return (row) => predicate(row.entity);
  }

  /** For a query of types and a place: an entity has its types by its shape, and most have one geometry. Nothing else of it is looked at. */
  #placeTest(query: EntityQuery): Test | undefined {
    const { types, where } = query;
    if (where?.kind !== 'geo' || query.datasetIds !== undefined || !hasOnly(query, 'types', 'where')) return undefined;
    const { shapes } = this.#parts;
    const near = compileGeo(where);
    const name = where.property;
    let predicate: Predicate | undefined;
    return (row) => {
      const { shape } = row;
      if (!row.partial && shape !== undefined) {
        if (types && !typesMatch(types, shapes.shape(shape).types)) return false;
        const geometry = row.geometry(name);
        if (geometry !== undefined) return near(geometry);
      }
      predicate ??= compile(query);
      return predicate(row.entity);
    };
  }

  /**
   * Visits the matches after an id, in ascending order, until `visit` returns false. An index that has become ready meanwhile is used from there on.
   * @param first candidates fetched at first
   * @returns true if candidates were tested
   */
  async #walk(question: Question, after: string, first: number, visit: (row: EntityRow) => boolean): Promise<boolean> {
    const slices = new Slices();
    let plan = this.#plan(question);
    let rested = false;
    let looked = 0;
    let matches = 0;
    const account = () => {
      this.#account(question, plan.access, looked, matches);
      looked = 0;
      matches = 0;
    };
    for (let from = after, step = first; ; ) {
      const { access, test } = plan;
      const candidates = access.next(from, step);
      for (const stored of this.#rows.byKeys(candidates, test === undefined)) {
        looked++;
        const row = this.current(stored);
        if (!row || (test && !test(row, rested))) continue;
        matches++;
        if (!visit(row)) {
          account();
          return test !== undefined;
        }
      }
      const last = candidates.length < step ? undefined : this.#rows.byKey(candidates[step - 1] as number, false);
      if (!last) {
        account();
        return test !== undefined;
      }
      from = last.id;
      step = Math.max(step, Math.min(2 * step, STEP));
      if (!slices.over) continue;
      await slices.rest();
      rested = true;
      if (access.lookup) continue;
      account();
      const better = this.#parts.indexes.lookup(question.tenant, question.query) && this.#plan(question);
      if (better?.access.lookup) plan = better;
    }
  }

  /** Tells what queries cost, so that there are indexes for those that cost much. */
  #account({ tenant, query, page }: Question, { lookup }: Access, looked: number, matches: number): void {
    if (!lookup) {
      this.#demand.looked(tenant, query, looked, matches);
      return;
    }
    const { index } = lookup;
    index.uses++;
    index.saved += Math.max(0, walkOf(lookup, page) - looked);
    index.lastUsed = this.#clock.micros();
  }

  async #count(question: Question): Promise<number> {
    const { tenant, query } = question;
    const { types, anyAttribute } = query;
    let count = 0;
    if (hasOnly(query, 'types', 'anyAttribute')) {
      for (const [shape, entities] of this.shapes(tenant)) {
        if (types && !typesMatch(types, shape.types)) continue;
        if (anyAttribute && !shape.attributes.some(({ name }) => anyAttribute.includes(name))) continue;
        count += entities;
      }
      return count;
    }
    await this.#walk(question, '', STEP, () => {
      count++;
      return true;
    });
    return count;
  }

  async #sorted(question: Question, order: readonly Order[]): Promise<EntityPage> {
    const { page } = question;
    const found: EntityRow[] = [];
    await this.#walk(question, '', STEP, (row) => found.push(row) <= this.#sortLimit);
    return sortedPage(found, order, page, this.#sortLimit);
  }
}
