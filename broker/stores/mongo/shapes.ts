import { createHash } from 'node:crypto';
import type { Entity } from '../../domain/entity.ts';
import type { TenantId } from '../../domain/iri.ts';
import type { Micros } from '../../domain/time.ts';
import { parseShape, type Shape, shapeOf } from '../shape.ts';
import type { Collections } from './collections.ts';
import { EntityRow } from './entity-row.ts';

/** Shapes that are remembered by what they are made of. */
const MOST_TEXTS = 10_000;

/** Which combinations of types and attributes there are, and how many entities have them (5.7.5 to 5.7.10). */
export class Shapes {
  readonly #collections: Collections;
  readonly #shapes = new Map<string, Shape>();
  readonly #stored = new Set<string>();
  #keys = new Map<string, string>();
  /** Counts by tenant, until an entity of the tenant has another shape. */
  readonly #counts = new Map<TenantId, ReadonlyMap<string, number>>();
  #changes = 0;

  constructor(collections: Collections) {
    this.#collections = collections;
  }

  /** Short, because keys of an index are. */
  key(entity: Entity): string {
    const text = shapeOf(entity);
    let key = this.#keys.get(text);
    if (key === undefined) {
      key = createHash('sha1').update(text).digest('base64url');
      if (this.#keys.size >= MOST_TEXTS) this.#keys = new Map();
      this.#keys.set(text, key);
    }
    return key;
  }

  /** Resolves when what these keys stand for is stored. */
  async keep(entities: Iterable<EntityRow>): Promise<void> {
    const fresh = new Map<string, string>();
    for (const row of entities) {
      const { shape } = row.known;
      if (shape !== undefined && !this.#stored.has(shape)) fresh.set(shape, shapeOf(row.entity));
    }
    if (fresh.size === 0) return;
    const upserts = [...fresh].map(([_id, text]) => ({
      updateOne: { filter: { _id }, update: { $setOnInsert: { text } }, upsert: true },
    }));
    await this.#collections.shapes.bulkWrite(upserts, { ordered: false });
    for (const key of fresh.keys()) this.#stored.add(key);
  }

  /** An entity has another shape now. */
  moved(tenant: TenantId, from: string | undefined, to: string | undefined): void {
    if (from === to) return;
    this.#changes++;
    this.#counts.delete(tenant);
  }

  /** More has changed than anybody could tell. */
  forget(): void {
    this.#changes++;
    this.#counts.clear();
  }

  /**
   * Shapes that occur, and how many entities have them; one may come twice.
   * @param expired true: of some entities something has expired by now, and they must be looked at
   */
  async of(tenant: TenantId, now: Micros, expired: boolean): Promise<readonly (readonly [Shape, number])[]> {
    const counts = await this.#countsOf(tenant);
    const gone = new Map<string, number>();
    const found: [Shape, number][] = [];
    if (expired) {
      for await (const document of this.#collections.entities.find({ t: tenant, x: { $lte: now } })) {
        const row = EntityRow.of(document);
        const { shape } = row.known;
        if (shape !== undefined) gone.set(shape, (gone.get(shape) ?? 0) + 1);
        const left = row.at(now);
        if (left) found.push([parseShape(shapeOf(left.entity)), 1]);
      }
    }
    for (const [key, count] of counts) {
      const left = count - (gone.get(key) ?? 0);
      if (left > 0) found.push([await this.#shape(key), left]);
    }
    return found;
  }

  async #countsOf(tenant: TenantId): Promise<ReadonlyMap<string, number>> {
    const known = this.#counts.get(tenant);
    if (known) return known;
    const changes = this.#changes;
    const groups = await this.#collections.entities
      .aggregate<{ _id: string; count: number }>([
        { $match: { t: tenant, h: { $exists: true } } },
        { $group: { _id: '$h', count: { $sum: 1 } } },
      ])
      .toArray();
    const counts = new Map(groups.map(({ _id, count }) => [_id, count]));
    if (changes === this.#changes) this.#counts.set(tenant, counts);
    return counts;
  }

  async #shape(key: string): Promise<Shape> {
    let shape = this.#shapes.get(key);
    if (!shape) {
      const stored = await this.#collections.shapes.findOne({ _id: key });
      if (!stored) throw new Error(`The shape ${key} is not stored`);
      shape = parseShape(stored.text);
      this.#shapes.set(key, shape);
    }
    return shape;
  }
}
