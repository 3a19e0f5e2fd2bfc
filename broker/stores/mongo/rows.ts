import type { Iri, TenantId } from '../../domain/iri.ts';
import type { Clock } from '../../ports/clock.ts';
import { type Collections, type EntityDocument, keyOf } from './collections.ts';
import { EntityRow } from './entity-row.ts';
import type { Reader } from './reader.ts';
import type { RowCache } from './row-cache.ts';

/** What readers need of an entity's document: not what it is found by, nor what has followed from its last write. */
export const READ = { q: 0, g: 0, w: 0, c: 0, y: 0, s: 0, z: 0 } as const;

/** Reads entities. */
export class Rows {
  readonly #entities: Collections['entities'];
  readonly #reader: Reader;
  readonly #cache: RowCache;
  readonly #clock: Clock;

  constructor({ entities }: Collections, reader: Reader, cache: RowCache, clock: Clock) {
    this.#entities = entities;
    this.#reader = reader;
    this.#cache = cache;
    this.#clock = clock;
  }

  /** What is stored of an entity, also if it has expired. */
  async byId(tenant: TenantId, id: Iri): Promise<EntityRow | undefined> {
    const key = keyOf(tenant, id);
    const known = this.#cache.get(key);
    if (known) return known;
    const keep = this.reading();
    const found = await this.#reader.one(this.#entities, { _id: key }, { projection: READ });
    return found && keep(found);
  }

  /** {@link byId} for several. Those that are not there are not in the answer. */
  async byKeys(keys: readonly string[]): Promise<ReadonlyMap<string, EntityRow>> {
    const rows = new Map<string, EntityRow>();
    const missing: string[] = [];
    for (const key of keys) {
      const known = this.#cache.get(key);
      if (known) rows.set(key, known);
      else missing.push(key);
    }
    if (missing.length > 0) {
      const keep = this.reading();
      const asked = { projection: READ, limit: missing.length };
      for (const document of await this.#reader.some(this.#entities, { _id: { $in: missing } }, asked)) {
        rows.set(document._id, keep(document));
      }
    }
    return rows;
  }

  /** To be called before the database is asked. @returns what remembers rows that were read, unless something was written meanwhile */
  reading(): (document: EntityDocument) => EntityRow {
    const before = this.#cache.writes;
    return (document) => {
      const row = this.#cache.settled(EntityRow.of(document));
      if (this.#cache.writes === before) this.#cache.set(row);
      return row;
    };
  }

  /** The row without what has expired, if the entity exists now. */
  current(row: EntityRow | undefined): EntityRow | undefined {
    return row?.at(this.#clock.micros());
  }
}
