import type { AttributeInstance } from '../../domain/attribute.ts';
import type { Entity } from '../../domain/entity.ts';
import type { Iri } from '../../domain/iri.ts';
import { fromStoredText, storedText } from '../../domain/json.ts';
import type { Stamp } from '../../domain/stamp.ts';
import type { Instant } from '../../domain/time.ts';
import type { Dictionary } from './dictionary.ts';
import type { InstanceNumbers } from './instance-numbers.ts';

/** The text of an entity: names as numbers, and of its instances only what the entity itself does not say. */
interface Coded {
  /** Types. */
  readonly t: readonly number[];
  /** Scopes. */
  readonly s?: readonly string[];
  readonly c: Instant;
  readonly m: Instant;
  readonly x?: Instant;
  readonly h: CodedStamp;
  /** See instance-numbers.ts. */
  readonly q?: InstanceNumbers;
  /** Name, instances, name, instances … */
  readonly a: readonly (number | readonly CodedInstance[])[];
}

type CodedStamp = readonly [at: number, origin: number];

/** An instance; `createdAt`, `modifiedAt` and `h` (stamp) are absent if they are the entity's, and 0 if the instance has none. */
type CodedInstance = Omit<AttributeInstance, 'createdAt' | 'modifiedAt' | 'stamp'> & {
  readonly createdAt?: Instant | 0 | undefined;
  readonly modifiedAt?: Instant | 0 | undefined;
  readonly stamp?: undefined;
  readonly h?: CodedStamp | 0 | undefined;
};

/** What instances are written relative to. */
type Base = Pick<Entity, 'createdAt' | 'modifiedAt' | 'stamp'>;

/**
 * Writes entities as short text and reads them back. What a commit costs is bytes on the disk: this text has a third of the bytes of the
 * entity's plain JSON, most of which are the same IRIs, times and stamps again and again, and it is read as fast.
 */
export class Codec {
  readonly #dictionary: Dictionary;

  constructor(dictionary: Dictionary) {
    this.#dictionary = dictionary;
  }

  /** Inside a transaction, because names may be new. The id is not in the text. */
  encode(entity: Entity, numbers?: InstanceNumbers): string {
    const a: (number | CodedInstance[])[] = [];
    for (const name in entity.attributes) {
      const instances = entity.attributes[name as Iri] as readonly AttributeInstance[];
      a.push(this.#dictionary.name(name as Iri));
      a.push(instances.map((instance) => this.encodeInstance(instance, entity)));
    }
    const coded: Record<keyof Coded, unknown> = {
      t: entity.types.map((type) => this.#dictionary.name(type)),
      s: entity.scopes,
      c: entity.createdAt,
      m: entity.modifiedAt,
      x: entity.expiresAt,
      h: this.#encodeStamp(entity.stamp),
      q: numbers,
      a,
    };
    return storedText(coded);
  }

  decode(text: string, id: Iri): Entity {
    return this.decodeState(text, id).entity;
  }

  /** The entity, and which of its instances are history as well. */
  decodeState(text: string, id: Iri): { readonly entity: Entity; readonly numbers: InstanceNumbers } {
    const { t, s, c, m, x, h, q: numbers, a } = fromStoredText(text) as Coded;
    const stamp = this.#decodeStamp(h);
    const base = { createdAt: c, modifiedAt: m, stamp };
    const attributes: Record<Iri, readonly AttributeInstance[]> = {};
    for (let at = 0; at < a.length; at += 2) {
      const instances = a[at + 1] as readonly CodedInstance[];
      attributes[this.#dictionary.iri(a[at] as number)] = instances.map((instance) => this.decodeInstance(instance, base));
    }
    const types = t.map((type) => this.#dictionary.iri(type));
    const entity = { id, types, attributes, createdAt: c, modifiedAt: m, stamp };
    if (s === undefined && x === undefined) return { entity, numbers };
    const more = { ...(s === undefined ? {} : { scopes: s }), ...(x === undefined ? {} : { expiresAt: x }) };
    return { entity: { ...entity, ...more }, numbers };
  }

  /** Inside a transaction. */
  encodeInstance(instance: AttributeInstance, base: Base): CodedInstance {
    const { createdAt, modifiedAt, stamp } = instance;
    return {
      ...instance,
      createdAt: createdAt === base.createdAt ? undefined : (createdAt ?? 0),
      modifiedAt: modifiedAt === base.modifiedAt ? undefined : (modifiedAt ?? 0),
      stamp: undefined,
      h: stamp === undefined ? 0 : sameStamp(stamp, base.stamp) ? undefined : this.#encodeStamp(stamp),
    };
  }

  /** @param coded becomes the instance, if nothing has to be taken out of it: copying objects is most of what reading costs */
  decodeInstance(coded: CodedInstance, base: Base): AttributeInstance {
    if (coded.h === undefined && coded.createdAt === undefined && coded.modifiedAt === undefined) {
      const instance = coded as { -readonly [K in keyof CodedInstance]: unknown };
      instance.createdAt = base.createdAt;
      instance.modifiedAt = base.modifiedAt;
      instance.stamp = base.stamp;
      return instance as AttributeInstance;
    }
    const { h, createdAt, modifiedAt, ...rest } = coded;
    const instance = rest as Record<string, unknown>;
    if (createdAt !== 0) instance['createdAt'] = createdAt ?? base.createdAt;
    if (modifiedAt !== 0) instance['modifiedAt'] = modifiedAt ?? base.modifiedAt;
    if (h !== 0) instance['stamp'] = h === undefined ? base.stamp : this.#decodeStamp(h);
    return instance as unknown as AttributeInstance;
  }

  #encodeStamp({ at, origin }: Stamp): CodedStamp {
    return [at, this.#dictionary.name(origin as Iri)];
  }

  #decodeStamp([at, origin]: CodedStamp): Stamp {
    return { at, origin: this.#dictionary.iri(origin) };
  }
}

const sameStamp = (a: Stamp, b: Stamp): boolean => a === b || (a.at === b.at && a.origin === b.origin);
