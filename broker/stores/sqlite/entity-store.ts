import type { ChangeDraft } from '../../domain/change.ts';
import { DomainError } from '../../domain/errors.ts';
import { DEFAULT_TENANT, type Iri, type TenantId } from '../../domain/iri.ts';
import { expire } from '../../domain/patch.ts';
import type { EntityQuery } from '../../domain/query/query.ts';
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
import { countedTypes } from '../type-counts.ts';
import type { EntityRow } from './entity-cache.ts';
import type { EntityQueries } from './entity-queries.ts';
import type { EntityRows, Parts } from './entity-rows.ts';

const UNCHANGED: WriteOutcome = { kind: 'unchanged' };

/** Of what has expired and is still stored, too: more of the same entity may expire before the sweeper comes. */
const NEXT_EXPIRY = 'SELECT min(expires) FROM entity WHERE expires IS NOT NULL';

export class SqliteEntityStore implements EntityStore {
  readonly #parts: Parts;
  readonly #rows: EntityRows;
  readonly #clock: Clock;
  readonly #queries: EntityQueries;

  constructor(parts: Parts, rows: EntityRows, clock: Clock, queries: EntityQueries) {
    this.#parts = parts;
    this.#rows = rows;
    this.#clock = clock;
    this.#queries = queries;
  }

  async get(tenant: TenantId, id: Iri): Promise<StoredEntity | undefined> {
    const key = this.#parts.dictionary.findTenant(tenant);
    return key === undefined ? undefined : this.#queries.current(this.#rows.byId(key, id));
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
    const key = this.#parts.dictionary.findTenant(tenant);
    if (key === undefined) return { entities: [], more: false, ...(page.count ? { count: 0 } : {}) };
    const answer = await this.#queries.page(key, query, page);
    pages.keep(tenant, query, page, answer, changes);
    return answer;
  }

  #nextExpiry(): Micros {
    return (this.#parts.database.get(NEXT_EXPIRY)?.[0] as Micros | null | undefined) ?? Number.POSITIVE_INFINITY;
  }

  async numbered(tenant: TenantId, numbers: readonly number[]): Promise<readonly (StoredEntity | undefined)[]> {
    const key = this.#parts.dictionary.findTenant(tenant);
    return numbers.map((number) => {
      const row = key === undefined ? undefined : this.#rows.byKey(number);
      return row?.tenant === key ? this.#queries.current(row) : undefined;
    });
  }

  async walk(
    tenant: TenantId,
    query: EntityQuery,
    page: { readonly after?: number; readonly limit: number; readonly descending?: boolean },
  ): Promise<readonly StoredEntity[]> {
    const key = this.#parts.dictionary.findTenant(tenant);
    if (key === undefined) return [];
    return this.#queries.numbered(key, query, page);
  }

  async typeCounts(tenant: TenantId): Promise<readonly TypeCount[]> {
    const { dictionary } = this.#parts;
    const key = dictionary.findTenant(tenant);
    if (key === undefined) return [];
    return countedTypes(this.#queries.shapes(key));
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
