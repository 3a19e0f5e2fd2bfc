import type { AttributeChange, ChangeDraft } from '../domain/change.ts';
import type { Entity } from '../domain/entity.ts';
import type { Iri } from '../domain/iri.ts';
import type { Micros } from '../domain/time.ts';

/** A creation creates every instance that the entity has, a deletion deletes them. */
export function allAttributes(kind: 'created' | 'updated' | 'deleted', entity: Entity): AttributeChange[] {
  const changes: AttributeChange[] = [];
  for (const name in entity.attributes) {
    for (const instance of entity.attributes[name as Iri] ?? []) {
      const dataset = instance.datasetId === undefined ? {} : { datasetId: instance.datasetId };
      changes.push({
        name: name as Iri,
        ...dataset,
        kind,
        ...(kind === 'deleted' ? { before: instance } : { after: instance }),
      });
    }
  }
  return changes;
}

/** Types before and after: what a subscription to either must see. */
export function uniteTypes(before: readonly Iri[] | undefined, types: readonly Iri[]): readonly Iri[] {
  if (!before || before === types || before.every((type) => types.includes(type))) return types;
  return [...new Set([...before, ...types])];
}

/** The largest stamp time of a change and of what was known before. */
export function highestStampOf(draft: ChangeDraft, known: Micros): Micros {
  let highest = Math.max(known, draft.stamp.at);
  for (const { after } of draft.attributes) if (after?.stamp && after.stamp.at > highest) highest = after.stamp.at;
  return highest;
}
