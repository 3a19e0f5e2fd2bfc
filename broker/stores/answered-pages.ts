import type { Entity } from '../domain/entity.ts';
import type { Iri, TenantId } from '../domain/iri.ts';
import { compile, type Predicate } from '../domain/query/evaluate.ts';
import type { EntityQuery } from '../domain/query/query.ts';
import { pathsOf } from '../domain/query/too-wide.ts';
import type { Micros } from '../domain/time.ts';
import type { EntityPage, PageRequest, StoredEntity } from '../ports/entity-store.ts';
import { hasPlainOrder } from './id-order.ts';

/** Changes that are remembered: a page that nobody asked for during so many is asked of the file again. */
const REMEMBERED_CHANGES = 128;
/** Entities with a longer text are not kept for this. */
const TEXT_LIMIT = 50_000;

/** One entity changed. Before and after may be found out when somebody asks. */
export interface EntityChange {
  readonly tenant: TenantId;
  readonly id: Iri;
  /** `unknown`: too large to keep, so that every page may have changed. */
  readonly before: Entity | undefined | 'unknown';
  readonly after: Entity | undefined | 'unknown';
}

/** A row of either store. */
type Weighed = StoredEntity & { readonly weight: number };

/** A page that was answered, and up to which change it is known to hold. */
interface Answered {
  readonly tenant: TenantId;
  readonly query: EntityQuery;
  readonly page: EntityPage;
  readonly ids: ReadonlySet<Iri>;
  changes: number;
  /** When the next entity expires, known from the second time on that somebody asks. */
  until?: Micros;
  predicate?: Predicate;
}

/**
 * Pages that were answered, by the request object: who keeps it and asks again gets the same page as long as no change concerns it. A change concerns
 * a page if the entity is on it, or comes to be or ceases to be a match; changes of other entities, types and tenants do not. Each change
 * is looked at once by each page that is asked for again.
 */
export class AnsweredPages {
  readonly #limitBytes: number;
  #answers = new WeakMap<PageRequest, Answered>();
  #bytes = 0;
  /** Requests that were answered once: only what is asked for again is worth the memory. */
  #asked = new WeakSet<PageRequest>();
  readonly #recent: EntityChange[] = [];
  /** Changes so far. The last {@link REMEMBERED_CHANGES} of them are in `#recent`, at their number modulo its size. */
  #changes = 0;

  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes;
  }

  /** An entity has changed, or will have when the transaction is committed: if it is not, a page is made anew for nothing. */
  changed(tenant: TenantId, id: Iri, before: Entity | undefined, after: Entity | undefined, textLength: number): void {
    const known = textLength <= TEXT_LIMIT;
    const change: EntityChange = { tenant, id, before: known ? before : 'unknown', after: known ? after : 'unknown' };
    this.#recent[this.#changes++ % REMEMBERED_CHANGES] = change;
  }

  /** Like {@link changed}, for a change that another process has committed. */
  heard(change: EntityChange): void {
    this.#recent[this.#changes++ % REMEMBERED_CHANGES] = change;
  }

  /** More has changed than anybody could tell. */
  forget(): void {
    this.#changes += REMEMBERED_CHANGES + 1;
  }

  /** What {@link keep} must be told: taken before the query, which may rest, so that what changes meanwhile counts. */
  get changes(): number {
    return this.#changes;
  }

  /** @param nextExpiry when the next entity expires; asked at most once for a page */
  find(
    tenant: TenantId,
    query: EntityQuery,
    request: PageRequest,
    now: Micros,
    nextExpiry: () => Micros,
  ): EntityPage | undefined {
    const known = this.#answers.get(request);
    if (known === undefined || known.query !== query || known.tenant !== tenant) return undefined;
    if (!this.#stillHolds(known, request)) return undefined;
    known.until ??= nextExpiry();
    return now < known.until ? known.page : undefined;
  }

  #stillHolds(answer: Answered, request: PageRequest): boolean {
    if (answer.changes === this.#changes) return true;
    if (this.#changes - answer.changes > REMEMBERED_CHANGES) return false;
    for (let number = answer.changes; number < this.#changes; number++) {
      const change = this.#recent[number % REMEMBERED_CHANGES] as EntityChange;
      if (change.tenant === answer.tenant && concerns(change, answer, request)) return false;
    }
    answer.changes = this.#changes;
    return true;
  }

  keep(tenant: TenantId, query: EntityQuery, request: PageRequest, page: EntityPage, changes: number): void {
    if (!this.#asked.has(request)) {
      this.#asked.add(request);
      return;
    }
    const weight = weightOf(page.entities as readonly Weighed[]);
    this.#bytes += weight;
    if (this.#bytes > this.#limitBytes) {
      this.#answers = new WeakMap();
      this.#bytes = weight;
      if (weight > this.#limitBytes) return;
    }
    this.#answers.set(request, { tenant, query, page, changes, ids: new Set(page.entities.map(({ id }) => id)) });
  }
}

/** About how many bytes of memory these take. */
function weightOf(rows: readonly Weighed[]): number {
  return rows.reduce((sum, row) => sum + row.weight, 200);
}

/** May the page be another after this change? */
function concerns({ id, before, after }: EntityChange, answer: Answered, request: PageRequest): boolean {
  if (before === 'unknown' || after === 'unknown' || answer.ids.has(id) || request.order) return true;
  const { query, page } = answer;
  // What a linked path leads to is another entity, perhaps this one.
  if (query.where && pathsOf(query.where).some((path) => path.linked !== undefined)) return true;
  answer.predicate ??= compile(query);
  const was = before !== undefined && answer.predicate(before);
  const is = after !== undefined && answer.predicate(after);
  // It has kept its place before or behind the page, or never had one.
  if (was === is) return false;
  const last = page.entities.at(-1)?.id;
  // More would have come, and so it is.
  return (
    was || request.count === true || !page.more || last === undefined || !hasPlainOrder(id) || !hasPlainOrder(last) || id < last
  );
}
