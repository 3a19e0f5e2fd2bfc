import type { AttributeInstance } from '../attribute.ts';
import type { AttributeChange, ChangeDraft } from '../change.ts';
import type { Entity } from '../entity.ts';
import { alreadyExists, notFound } from '../errors.ts';
import type { Iri } from '../iri.ts';
import type { WholeEntity } from '../jsonld/expand.ts';
import { EntityEdit, type Moment } from './edit.ts';

/** The entity that must be there. @throws DomainError ResourceNotFound */
export function existing(current: Entity | undefined, id: Iri): Entity {
  if (current === undefined) throw notFound(`There is no entity ${id}`);
  return current;
}

/** Create Entity (5.6.1.4). @throws DomainError AlreadyExists */
export function createEntity(current: Entity | undefined, whole: WholeEntity, moment: Moment): ChangeDraft | undefined {
  if (current !== undefined) throw alreadyExists(`Entity ${whole.id} already exists`);
  return overwrite(undefined, whole, moment);
}

/** Replace Entity (5.6.18.4): everything but createdAt. @throws DomainError ResourceNotFound */
export function replaceEntity(current: Entity | undefined, whole: WholeEntity, moment: Moment): ChangeDraft | undefined {
  return overwrite(existing(current, whole.id), whole, moment);
}

/** Creates the entity, or replaces it: an upsert in replace mode (5.6.8.4). */
export function createOrReplaceEntity(
  current: Entity | undefined,
  whole: WholeEntity,
  moment: Moment,
): ChangeDraft | undefined {
  return overwrite(current, whole, moment);
}

function overwrite(current: Entity | undefined, whole: WholeEntity, moment: Moment): ChangeDraft | undefined {
  if (current === undefined) return created(whole, moment);
  const edit = new EntityEdit(current, moment);
  edit.setTypes(whole.types);
  edit.setScopes(whole.scopes);
  edit.setExpiry(whole.expiresAt);
  for (const name of edit.names) {
    for (const { datasetId } of edit.instances(name)) {
      if (!whole.attributes[name]?.some((instance) => instance.datasetId === datasetId)) edit.remove(name, datasetId);
    }
  }
  for (const name in whole.attributes) {
    for (const instance of whole.attributes[name as Iri] ?? []) edit.put(name as Iri, instance);
  }
  return edit.draft(whole.id);
}

/** What comes of an entity that was not there: nothing has to be compared, looked for or kept. */
function created(whole: WholeEntity, { at, stamp }: Moment): ChangeDraft {
  const { id, types, scopes, expiresAt } = whole;
  const attributes: Record<Iri, readonly AttributeInstance[]> = {};
  const changes: AttributeChange[] = [];
  for (const key in whole.attributes) {
    const name = key as Iri;
    const instances: AttributeInstance[] = [];
    for (const given of whole.attributes[name] ?? []) {
      const after = { ...given, createdAt: at, modifiedAt: at, stamp };
      const { datasetId } = given;
      instances.push(after);
      changes.push(datasetId === undefined ? { name, kind: 'created', after } : { name, datasetId, kind: 'created', after });
    }
    if (instances.length > 0) attributes[name] = instances;
  }
  const frame = { ...(scopes && { scopes }), ...(expiresAt && { expiresAt }) };
  return {
    kind: 'created',
    after: { id, types, attributes, createdAt: at, modifiedAt: at, stamp, ...frame },
    attributes: changes,
    at,
    stamp,
  };
}

/** Delete Entity (5.6.6.4). @throws DomainError ResourceNotFound */
export function deleteEntity(current: Entity | undefined, id: Iri, { at, stamp }: Moment): ChangeDraft {
  const before = existing(current, id);
  const attributes = (Object.keys(before.attributes) as Iri[]).flatMap((name) =>
    (before.attributes[name] ?? []).map((instance) => ({
      name,
      ...(instance.datasetId !== undefined && { datasetId: instance.datasetId }),
      kind: 'deleted' as const,
      before: instance,
    })),
  );
  return { kind: 'deleted', before, attributes, at, stamp };
}
