import type { AttributeInstance } from '../attribute.ts';
import { VALUE_MEMBER } from '../attribute.ts';
import type { ChangeDraft } from '../change.ts';
import type { Entity, EntityFragment } from '../entity.ts';
import { badRequest, notFound } from '../errors.ts';
import { type Iri, NGSILD_NULL } from '../iri.ts';
import { asksForDeletion, EntityEdit, type Moment, type Patched, withoutNulls } from './edit.ts';
import { existing } from './entity.ts';

/**
 * Update Attributes (5.6.2.4, 5.5.8): instances are swapped whole, new ones added, and those whose value is an NGSI-LD Null deleted. Types are
 * added, a scope is replaced if there is one.
 * @throws DomainError ResourceNotFound if there is no such entity
 */
export function updateAttributes(current: Entity | undefined, id: Iri, fragment: EntityFragment, moment: Moment): Patched {
  const before = existing(current, id);
  const edit = new EntityEdit(before, moment);
  const updated: Iri[] = [];
  for (const name in fragment.attributes) {
    for (const instance of fragment.attributes[name as Iri] ?? []) {
      if (asksForDeletion(instance)) edit.remove(name as Iri, instance.datasetId);
      else edit.put(name as Iri, withoutNulls(instance));
    }
    updated.push(name as Iri);
  }
  edit.addTypes(fragment.types);
  const notUpdated: { attributeName: Iri; reason: string }[] = [];
  if (fragment.scopes !== undefined) {
    if (before.scopes !== undefined) edit.setScopes(fragment.scopes);
    else notUpdated.push({ attributeName: SCOPE, reason: 'The entity has no scope to be replaced' });
  }
  if (fragment.expiresAt !== undefined) edit.setExpiry(fragment.expiresAt);
  return { draft: edit.draft(id), result: { updated, notUpdated } };
}

/**
 * Append Attributes (5.6.3.4): adds instances; those that are there already are swapped if `overwrite`, and left alone and reported if not.
 * An NGSI-LD Null deletes, for the batch update (5.6.9) that works alike; the single operation lets none come in.
 * @throws DomainError ResourceNotFound if there is no such entity
 */
export function appendAttributes(
  current: Entity | undefined,
  id: Iri,
  fragment: EntityFragment,
  { overwrite }: { readonly overwrite: boolean },
  moment: Moment,
): Patched {
  const edit = new EntityEdit(existing(current, id), moment);
  const updated: Iri[] = [];
  const notUpdated: { attributeName: Iri; reason: string }[] = [];
  for (const key in fragment.attributes) {
    const name = key as Iri;
    let refused = false;
    for (const instance of fragment.attributes[name] ?? []) {
      if (!overwrite && edit.get(name, instance.datasetId) !== undefined) refused = true;
      else if (asksForDeletion(instance)) edit.remove(name, instance.datasetId);
      else edit.put(name, withoutNulls(instance));
    }
    if (refused) notUpdated.push({ attributeName: name, reason: 'It exists already, and noOverwrite was asked for' });
    else updated.push(name);
  }
  edit.addTypes(fragment.types);
  if (fragment.scopes) {
    const had = edit.scopes ?? [];
    edit.setScopes(overwrite ? fragment.scopes : [...had, ...fragment.scopes.filter((scope) => !had.includes(scope))]);
  }
  if (fragment.scopes === null && overwrite) edit.setScopes(undefined);
  if (fragment.expiresAt !== undefined && overwrite) edit.setExpiry(fragment.expiresAt);
  return { draft: edit.draft(id), result: { updated, notUpdated } };
}

/**
 * Partial Attribute Update (5.6.4.4, 5.5.8): the members of one instance are replaced one by one, sub-attributes as a whole; an NGSI-LD Null
 * deletes the member, or the instance if it is the value.
 * @param part members that are absent stay as they are
 * @throws DomainError ResourceNotFound if there is no such entity or instance; BadRequestData if the kind of attribute would change
 */
export function partialUpdate(
  current: Entity | undefined,
  id: Iri,
  name: Iri,
  part: AttributeInstance,
  moment: Moment,
): ChangeDraft | undefined {
  const edit = new EntityEdit(existing(current, id), moment);
  const before = instanceOrRefuse(edit, id, name, part.datasetId);
  if (asksForDeletion(part)) edit.remove(name, part.datasetId);
  else edit.put(name, replaceMembers(before, part, name));
  return edit.draft(id);
}

function replaceMembers(before: AttributeInstance, part: AttributeInstance, name: Iri): AttributeInstance {
  if (part.type !== undefined && part.type !== before.type) {
    throw badRequest(
      `${name} is a ${before.type}; a partial update cannot make it a ${part.type}, replacing the attribute can`,
    );
  }
  const { attributes, ...members } = part;
  const after: Record<string, unknown> = { ...before };
  for (const [member, value] of Object.entries(members)) {
    if (value === NGSILD_NULL) delete after[member];
    else after[member] = value;
  }
  if (attributes !== undefined) {
    const inner: Record<Iri, readonly AttributeInstance[]> = { ...before.attributes };
    for (const key in attributes) {
      for (const instance of attributes[key as Iri] ?? []) {
        const others = (inner[key as Iri] ?? []).filter(({ datasetId }) => datasetId !== instance.datasetId);
        const left = asksForDeletion(instance) ? others : [...others, withoutNulls(instance)];
        if (left.length > 0) inner[key as Iri] = left;
        else delete inner[key as Iri];
      }
    }
    if (Object.keys(inner).length > 0) after['attributes'] = inner;
    else delete after['attributes'];
  }
  const whole = after as unknown as AttributeInstance;
  if (after[VALUE_MEMBER[whole.type]] === undefined) throw badRequest(`${name} would have no ${VALUE_MEMBER[whole.type]}`);
  return whole;
}

/**
 * Replace Attribute (5.6.19.4): one instance becomes what is given; only createdAt stays.
 * @throws DomainError ResourceNotFound if there is no such entity or instance
 */
export function replaceAttribute(
  current: Entity | undefined,
  id: Iri,
  name: Iri,
  instance: AttributeInstance,
  moment: Moment,
): ChangeDraft | undefined {
  const edit = new EntityEdit(existing(current, id), moment);
  instanceOrRefuse(edit, id, name, instance.datasetId);
  edit.put(name, instance);
  return edit.draft(id);
}

/** Which instances of an attribute to delete (5.6.5): all, or that of one datasetId; none of both is the default instance. */
export interface WhichInstances {
  readonly deleteAll?: boolean;
  readonly datasetId?: Iri;
}

const SCOPE = 'https://uri.etsi.org/ngsi-ld/scope' as Iri;

/**
 * Delete Attribute (5.6.5.4); `scope` can be deleted like an attribute.
 * @throws DomainError ResourceNotFound if there is no such entity, or nothing to delete
 */
export function deleteAttribute(
  current: Entity | undefined,
  id: Iri,
  name: Iri,
  { deleteAll = false, datasetId }: WhichInstances,
  moment: Moment,
): ChangeDraft | undefined {
  const edit = new EntityEdit(existing(current, id), moment);
  if (name === SCOPE) {
    if (edit.scopes === undefined) throw notFound(`Entity ${id} has no scope`);
    edit.setScopes(undefined);
  } else if (deleteAll) {
    if (edit.instances(name).length === 0) throw notFound(`Entity ${id} has no attribute ${name}`);
    for (const instance of edit.instances(name)) edit.remove(name, instance.datasetId);
  } else {
    instanceOrRefuse(edit, id, name, datasetId);
    edit.remove(name, datasetId);
  }
  return edit.draft(id);
}

function instanceOrRefuse(edit: EntityEdit, id: Iri, name: Iri, datasetId: Iri | undefined): AttributeInstance {
  const found = edit.get(name, datasetId);
  if (found !== undefined) return found;
  const which = datasetId === undefined ? 'no default instance of it' : `no instance of it with datasetId ${datasetId}`;
  throw notFound(`Entity ${id} has no attribute ${name}${edit.instances(name).length > 0 ? `: it has ${which}` : ''}`);
}

/** The part of Purge (5.6.21.4) that concerns one entity: deletes the attributes that `drops` says. */
export function dropAttributes(
  current: Entity | undefined,
  id: Iri,
  drops: (name: Iri) => boolean,
  moment: Moment,
): ChangeDraft | undefined {
  if (current === undefined) return undefined;
  const edit = new EntityEdit(current, moment);
  for (const name of edit.names)
    if (drops(name)) for (const { datasetId } of edit.instances(name)) edit.remove(name, datasetId);
  if (current.scopes !== undefined && drops(SCOPE)) edit.setScopes(undefined);
  return edit.draft(id);
}
