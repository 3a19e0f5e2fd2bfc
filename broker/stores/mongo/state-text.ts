import type { AttributeInstance, Attributes } from '../../domain/attribute.ts';
import type { Entity } from '../../domain/entity.ts';
import type { Iri } from '../../domain/iri.ts';
import { fromStoredText, storedText } from '../../domain/json.ts';

/** An instance; its times and stamp are absent if they are the entity's, and 0 if it has none. */
type Coded = Omit<AttributeInstance, 'createdAt' | 'modifiedAt' | 'stamp'> & {
  createdAt?: unknown;
  modifiedAt?: unknown;
  stamp?: unknown;
};

type Base = Pick<Entity, 'createdAt' | 'modifiedAt' | 'stamp'>;

/** An entity as text without its id. Its instances do not repeat what the entity says: most of them have its times and its stamp. */
export function stateText(entity: Entity): string {
  const { id: _, attributes, ...rest } = entity;
  const coded: Record<Iri, readonly Coded[]> = {};
  for (const name in attributes) {
    const instances = attributes[name as Iri] as readonly AttributeInstance[];
    coded[name as Iri] = instances.map((instance) => shortened(instance, entity));
  }
  return storedText({ ...rest, attributes: coded });
}

/** Reads what {@link stateText} wrote. */
export function fromStateText(text: string, id: Iri): Entity {
  const { attributes, ...rest } = fromStoredText(text) as Omit<Entity, 'id'>;
  for (const name in attributes) {
    for (const instance of attributes[name as Iri] as readonly AttributeInstance[]) complete(instance as Coded, rest);
  }
  return { id, ...rest, attributes: attributes as Attributes };
}

function shortened(instance: AttributeInstance, base: Base): Coded {
  const { createdAt, modifiedAt, stamp } = instance;
  return {
    ...instance,
    createdAt: createdAt === base.createdAt ? undefined : (createdAt ?? 0),
    modifiedAt: modifiedAt === base.modifiedAt ? undefined : (modifiedAt ?? 0),
    stamp: stamp !== undefined && stamp.at === base.stamp.at && stamp.origin === base.stamp.origin ? undefined : (stamp ?? 0),
  };
}

/** What was parsed becomes the instance: copying objects is most of what reading costs. */
function complete(coded: Coded, base: Base): void {
  if (coded.createdAt === undefined) coded.createdAt = base.createdAt;
  else if (coded.createdAt === 0) delete coded.createdAt;
  if (coded.modifiedAt === undefined) coded.modifiedAt = base.modifiedAt;
  else if (coded.modifiedAt === 0) delete coded.modifiedAt;
  if (coded.stamp === undefined) coded.stamp = base.stamp;
  else if (coded.stamp === 0) delete coded.stamp;
}
