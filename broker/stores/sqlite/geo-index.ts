import { type AttributeInstance, type Attributes, instanceValue } from '../../domain/attribute.ts';
import type { Entity } from '../../domain/entity.ts';
import { type BoundingBox, boundingBox, type Geometry } from '../../domain/geometry.ts';
import type { Iri } from '../../domain/iri.ts';
import { searchBox } from '../../domain/query/geo.ts';
import type { GeoCondition } from '../../domain/query/query.ts';
import type { Database } from './database.ts';
import type { Dictionary } from './dictionary.ts';

/** Boxes that one entity may have: beyond that, those of one GeoProperty are united, and then no more are indexed. */
const BOXES = 16;

const INSERT = 'INSERT INTO geo (id, west, east, south, north, layer_from, layer_to) VALUES (?, ?, ?, ?, ?, ?, ?)';
const SELECT =
  'SELECT id FROM geo WHERE west <= ? AND east >= ? AND south <= ? AND north >= ? AND layer_from <= ? AND layer_to >= ? LIMIT ?';
/** An entity with more GeoProperties than {@link BOXES} is found through this layer, whatever the place. */
const EVERYWHERE = 0;
/** Half of what a layer has, see schema.ts. */
const THICKNESS = 0.25;
const WORLD: BoundingBox = { west: -180, south: -90, east: 180, north: 90 };

interface LayerBox {
  /** undefined: {@link EVERYWHERE} */
  readonly name: Iri | undefined;
  readonly box: BoundingBox;
}

/** Finds entities by the bounding boxes of their GeoProperties. What it finds may be too much, never too little: evaluate decides. */
export class GeoIndex {
  readonly #database: Database;
  readonly #dictionary: Dictionary;

  /** There may be entities in {@link EVERYWHERE}. */
  #everywhere: boolean;

  /** @param others another process writes: what it puts where is not heard here */
  constructor(database: Database, dictionary: Dictionary, others = false) {
    this.#database = database;
    this.#dictionary = dictionary;
    this.#everywhere = others || database.get('SELECT 1 FROM geo WHERE layer_from <= ? LIMIT 1', EVERYWHERE) !== undefined;
  }

  /** Inside a transaction: replaces the boxes of one entity, if they differ. */
  update(tenant: number, entity: number, before: Entity | undefined, after: Entity | undefined): void {
    const old = before ? boxesOf(before.attributes) : NONE;
    const now = after ? boxesOf(after.attributes) : NONE;
    if ((old.length === 0 && now.length === 0) || sameBoxes(old, now)) return;
    for (let at = 0; at < old.length; at++) this.#database.run('DELETE FROM geo WHERE id = ?', entity * BOXES + at);
    for (const [at, { name, box }] of now.entries()) {
      const layer = name === undefined ? EVERYWHERE : this.#dictionary.layer(tenant, this.#dictionary.name(name));
      this.#database.run(
        INSERT,
        entity * BOXES + at,
        box.west,
        box.east,
        box.south,
        box.north,
        layer - THICKNESS,
        layer + THICKNESS,
      );
      if (layer === EVERYWHERE) this.#everywhere = true;
    }
  }

  /**
   * Keys of the entities that may match, in no order; some may be of other tenants.
   * @returns undefined if matches can be anywhere, or more than `limit` would come
   */
  candidates(tenant: number, condition: GeoCondition, limit: number): Iterable<number> | undefined {
    const box = searchBox(condition);
    if (!box) return undefined;
    const found: number[] = [];
    let several = false;
    const name = this.#dictionary.findName(condition.property);
    const layer = name === undefined ? undefined : this.#dictionary.findLayer(tenant, name);
    for (const each of [EVERYWHERE, layer]) {
      if (each === undefined || (each === EVERYWHERE && !this.#everywhere)) continue;
      const rows = this.#database.all(SELECT, box.east, box.west, box.north, box.south, each, each, limit + 1);
      if (rows.length > limit) return undefined;
      several ||= found.length > 0;
      for (const [id] of rows) {
        const entity = Math.floor((id as number) / BOXES);
        // Only who has a second box can be found twice.
        several ||= entity * BOXES !== id;
        found.push(entity);
      }
    }
    return several ? new Set(found) : found;
  }
}

const NONE: readonly LayerBox[] = [];

function boxesOf(attributes: Attributes): readonly LayerBox[] {
  let found: LayerBox[] | undefined;
  for (const name in attributes) {
    for (const instance of attributes[name as Iri] as readonly AttributeInstance[]) {
      if (instance.type !== 'GeoProperty') continue;
      const value = instanceValue(instance);
      if (typeof value !== 'object') continue;
      found ??= [];
      found.push({ name: name as Iri, box: boundingBox(value as unknown as Geometry) });
    }
  }
  if (!found) return NONE;
  if (found.length <= BOXES) return found;
  const united = new Map<Iri | undefined, BoundingBox>();
  for (const { name, box } of found) {
    const known = united.get(name);
    united.set(name, known ? unite(known, box) : box);
  }
  return united.size <= BOXES ? [...united].map(([name, box]) => ({ name, box })) : [{ name: undefined, box: WORLD }];
}

const unite = (a: BoundingBox, b: BoundingBox): BoundingBox => ({
  west: Math.min(a.west, b.west),
  east: Math.max(a.east, b.east),
  south: Math.min(a.south, b.south),
  north: Math.max(a.north, b.north),
});

function sameBoxes(a: readonly LayerBox[], b: readonly LayerBox[]): boolean {
  if (a.length !== b.length) return false;
  return a.every((one, at) => {
    const other = b[at] as LayerBox;
    return (
      one.name === other.name &&
      one.box.west === other.box.west &&
      one.box.east === other.box.east &&
      one.box.south === other.box.south &&
      one.box.north === other.box.north
    );
  });
}
