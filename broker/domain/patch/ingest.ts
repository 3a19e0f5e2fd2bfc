import type { AttributeInstance, Attributes } from '../attribute.ts';
import type { ChangeDraft } from '../change.ts';
import type { Entity } from '../entity.ts';
import { badRequest } from '../errors.ts';
import type { Iri } from '../iri.ts';
import { compareInstants } from '../time.ts';
import { EntityEdit, type Moment } from './edit.ts';

/** A part of an entity that was measured. */
export interface Measured {
  readonly id: Iri;
  /** Given to the entity if it does not exist yet or lacks them. */
  readonly types: readonly Iri[];
  readonly attributes: Attributes;
}

/**
 * The rule of ports/ingest.ts: the current value only moves forward in observedAt. A reading that is older than the current one goes to
 * history and changes nothing else; one that is equal in time and content is a duplicate.
 * @returns undefined if all of it was there already
 * @throws DomainError BadRequestData if the entity would be created without a type
 */
export function ingestFragment(
  current: Entity | undefined,
  { id, types, attributes }: Measured,
  moment: Moment,
): ChangeDraft | undefined {
  if (current === undefined && types.length === 0)
    throw badRequest(`Entity ${id} does not exist yet, and no type is known for it`);
  const edit = new EntityEdit(current, moment);
  edit.addTypes(types);
  for (const key in attributes) {
    const name = key as Iri;
    for (const instance of attributes[name] ?? []) {
      const before = edit.get(name, instance.datasetId);
      if (before !== undefined && isOlder(instance, before)) edit.late(name, instance);
      else edit.put(name, instance);
    }
  }
  return edit.draft(id);
}

/** Readings without observedAt count as of now. */
function isOlder(reading: AttributeInstance, current: AttributeInstance): boolean {
  if (reading.observedAt === undefined || current.observedAt === undefined) return false;
  return compareInstants(reading.observedAt, current.observedAt) < 0;
}
