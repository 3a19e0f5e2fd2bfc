import { instanceValue } from '../../domain/attribute.ts';
import type { Entity } from '../../domain/entity.ts';
import type { Geometry } from '../../domain/geometry.ts';
import type { Iri } from '../../domain/iri.ts';
import { isObject } from '../../domain/json.ts';
import { nextExpiry, withoutExpired } from '../../domain/patch.ts';
import type { Micros } from '../../domain/time.ts';
import type { StoredEntity } from '../../ports/entity-store.ts';
import type { Codec } from './codec.ts';
import type { InstanceNumbers } from './instance-numbers.ts';

type Columns = Omit<
  EntityRow,
  'entity' | 'numbers' | 'weight' | 'at' | 'partial' | 'number' | 'rendered' | 'renderedAs' | 'geometry'
> & { readonly partial?: boolean };

/** What the store knows of an entity row. `text` undefined: there is a row (history knows the id), but the entity does not exist now. */
export class EntityRow implements StoredEntity {
  readonly key: number;
  readonly tenant: number;
  readonly id: Iri;
  readonly version: number;
  /** When the entity, or the first thing in it, stops to exist (4.22). */
  readonly expires: Micros | undefined;
  /** False: the temporal evolution was deleted (5.6.16), or never was. */
  readonly evolution: boolean;
  /** Which types and attributes it has (shape-counts.ts); undefined without state. */
  readonly shape: number | undefined;
  readonly past: string | undefined;
  readonly text: string | undefined;
  /** Not what is stored, but what is left of it now. */
  readonly partial: boolean;
  rendered: string | undefined = undefined;
  renderedAs: string | undefined = undefined;
  readonly #codec: Codec;
  #entity: Entity | undefined;
  #numbers: InstanceNumbers;
  #place: Geometry | undefined;
  #placeName: Iri | undefined;

  constructor(row: Columns, codec: Codec, entity?: Entity, numbers?: InstanceNumbers) {
    this.key = row.key;
    this.tenant = row.tenant;
    this.id = row.id;
    this.version = row.version;
    this.expires = row.expires;
    this.evolution = row.evolution;
    this.shape = row.shape;
    this.past = row.past;
    this.text = row.text;
    this.partial = row.partial ?? false;
    this.#codec = codec;
    this.#entity = entity;
    this.#numbers = numbers;
  }

  get number(): number {
    return this.key;
  }

  /** Parsed once, when somebody asks. Only for rows with text. */
  get entity(): Entity {
    return this.#entity ?? this.#decode();
  }

  /**
   * The geometry of an attribute that has one instance, which is a GeoProperty: the one that was asked for last is at hand. Undefined: the attribute has none,
   * or several, and whoever wants to know looks at the entity.
   */
  geometry(name: Iri): Geometry | undefined {
    if (this.#placeName !== name) {
      const [only, ...others] = this.entity.attributes[name] ?? [];
      const value = only?.type === 'GeoProperty' && others.length === 0 ? instanceValue(only) : undefined;
      this.#place = isObject(value) ? (value as unknown as Geometry) : undefined;
      this.#placeName = name;
    }
    return this.#place;
  }

  /** Of the instances in `entity`. Only for rows with text that are not partial. */
  get numbers(): InstanceNumbers {
    if (this.#entity === undefined) this.#decode();
    return this.#numbers;
  }

  #decode(): Entity {
    const { entity, numbers } = this.#codec.decodeState(this.text as string, this.id);
    this.#entity = entity;
    this.#numbers = numbers;
    return entity;
  }

  /**
   * The row without what has expired at a moment (4.22). Until the sweeper comes, what is left has a version of its own between two
   * positions: it grows as more expires, and no change ever has it.
   */
  at(now: Micros): EntityRow | undefined {
    if (this.expires === undefined || this.expires > now) return this;
    const left = withoutExpired(this.entity, now);
    if (!left) return undefined;
    const next = nextExpiry(left.entity);
    const expires = next === Number.POSITIVE_INFINITY ? undefined : next;
    const version = this.version + left.gone / (left.gone + 1);
    const { key, tenant, id, evolution, shape, past, text } = this;
    return new EntityRow(
      { key, tenant, id, version, expires, evolution, shape, past, text, partial: true },
      this.#codec,
      left.entity,
    );
  }

  /** About how many bytes of memory it takes: the parsed form is some times the text. */
  get weight(): number {
    return 500 + 8 * (this.text?.length ?? 0);
  }
}

/**
 * Rows read or written lately, the same objects for everybody, bounded in bytes. Two generations: what was used since the last turn
 * survives the next, so that a hit costs one look-up and no bookkeeping.
 */
export class EntityCache {
  readonly #generationBytes: number;
  #young = new Map<number, EntityRow>();
  #old = new Map<number, EntityRow>();
  #youngKeys: Keys = new Map();
  #oldKeys: Keys = new Map();
  #bytes = 0;

  constructor(limitBytes: number) {
    this.#generationBytes = limitBytes / 2;
  }

  byKey(key: number): EntityRow | undefined {
    const row = this.#young.get(key);
    if (row) return row;
    const older = this.#old.get(key);
    if (older) this.set(older);
    return older;
  }

  byId(tenant: number, id: Iri): EntityRow | undefined {
    const key = this.#youngKeys.get(tenant)?.get(id) ?? this.#oldKeys.get(tenant)?.get(id);
    return key === undefined ? undefined : this.byKey(key);
  }

  /** Takes a row that was only looked at while there is room: a walk over everything must not drive out what is asked for again. */
  offer(row: EntityRow): void {
    if (this.#old.size === 0 && this.#bytes < this.#generationBytes) this.set(row);
  }

  /** Takes rows that were asked for, as they are stored. */
  keep(rows: readonly EntityRow[]): void {
    for (const row of rows) if (!row.partial && this.byKey(row.key) === undefined) this.set(row);
  }

  set(row: EntityRow): void {
    if (this.#bytes > this.#generationBytes) {
      this.#old = this.#young;
      this.#oldKeys = this.#youngKeys;
      this.#young = new Map();
      this.#youngKeys = new Map();
      this.#bytes = 0;
    }
    // The older generation must not answer with an older state when the younger is dropped.
    if (this.#old.delete(row.key)) this.#oldKeys.get(row.tenant)?.delete(row.id);
    const known = this.#young.get(row.key);
    if (known) this.#bytes -= known.weight;
    else keysOf(this.#youngKeys, row.tenant).set(row.id, row.key);
    this.#young.set(row.key, row);
    this.#bytes += row.weight;
  }

  /** Forgets everything. */
  clear(): void {
    this.#young.clear();
    this.#old.clear();
    this.#youngKeys.clear();
    this.#oldKeys.clear();
    this.#bytes = 0;
  }

  /** Forgets a row: the next reader takes it from the file. */
  drop(row: EntityRow): void {
    this.#young.delete(row.key);
    this.#old.delete(row.key);
    this.#youngKeys.get(row.tenant)?.delete(row.id);
    this.#oldKeys.get(row.tenant)?.delete(row.id);
  }
}

/** By tenant and id. One text for both would have to be made, and hashed, at every look. */
type Keys = Map<number, Map<Iri, number>>;

function keysOf(keys: Keys, tenant: number): Map<Iri, number> {
  let ofTenant = keys.get(tenant);
  if (!ofTenant) {
    ofTenant = new Map();
    keys.set(tenant, ofTenant);
  }
  return ofTenant;
}

/** Keeps nothing: for those who need what no change of the log tells of. */
export class NoEntityCache extends EntityCache {
  constructor() {
    super(0);
  }
  override set(): void {}
  override offer(): void {}
  override keep(): void {}
}
