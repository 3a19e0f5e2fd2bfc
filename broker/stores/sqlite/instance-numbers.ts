import type { AttributeInstance } from '../../domain/attribute.ts';
import type { ChangeDraft } from '../../domain/change.ts';
import type { Entity } from '../../domain/entity.ts';
import type { Iri } from '../../domain/iri.ts';

/**
 * Which instances of an entity's state are in its history by being in the state, and their numbers (history.seq) there, in the order of its
 * attributes. A single number: they count up from it. 0, and all of them if undefined: the history table has a row of the instance, or history
 * was told to forget it.
 *
 * An entity's creation writes no rows into the history table. An instance gets its row when something takes its place, or when temporal
 * provision is about to change it: most attributes of most entities never change, and a row for each, with its index entry, would be a
 * third of what creating an entity costs.
 */
export type InstanceNumbers = number | readonly number[] | undefined;

/** @param place of the instance, counted over all attributes */
export function numberAt(numbers: InstanceNumbers, place: number): number {
  return typeof numbers === 'number' ? numbers + place : (numbers?.[place] ?? 0);
}

/** The instances of one name that have numbers, or of all names, with their numbers. */
export function* numbered(
  entity: Entity,
  numbers: InstanceNumbers,
  wanted?: Iri,
): Generator<{ readonly name: Iri; readonly instance: AttributeInstance; readonly seq: number }, void, undefined> {
  if (numbers === undefined) return;
  let place = 0;
  for (const key in entity.attributes) {
    const name = key as Iri;
    const instances = entity.attributes[name] as readonly AttributeInstance[];
    if (wanted === undefined || name === wanted) {
      for (const [at, instance] of instances.entries()) {
        const seq = numberAt(numbers, place + at);
        if (seq !== 0) yield { name, instance, seq };
      }
    }
    place += instances.length;
  }
}

/** @param seq one of the numbers before an update of which these are left */
export function hasNumber(numbers: InstanceNumbers, seq: number): boolean {
  return typeof numbers === 'number' ? seq >= numbers : numbers?.includes(seq) === true;
}

/** Where the instances of a name begin. */
function offsetOf(entity: Entity, wanted: Iri): number {
  let offset = 0;
  for (const name in entity.attributes) {
    if (name === wanted) return offset;
    offset += entity.attributes[name as Iri]?.length ?? 0;
  }
  return offset;
}

function placeOf(instances: readonly AttributeInstance[], instance: AttributeInstance): number {
  const at = instances.indexOf(instance);
  return at >= 0 ? at : instances.findIndex(({ datasetId }) => datasetId === instance.datasetId);
}

/** True if the instances of a creation can do without rows: every one says when it was made, none ends by itself or has a number already. */
export function needsNoRows({ kind, before, attributes }: ChangeDraft, after: Entity): boolean {
  if (kind !== 'created' || before !== undefined || attributes.some(({ amends }) => amends)) return false;
  for (const name in after.attributes) {
    for (const { createdAt, modifiedAt, expiresAt, instanceId } of after.attributes[
      name as Iri
    ] as readonly AttributeInstance[]) {
      if (createdAt === undefined || modifiedAt === undefined || expiresAt !== undefined || instanceId !== undefined)
        return false;
    }
  }
  return true;
}

/** The numbers after an update: what it wrote has rows, what it left alone keeps its number. */
export function numbersAfter(
  before: { readonly entity: Entity; readonly numbers: InstanceNumbers },
  after: Entity,
  { attributes }: ChangeDraft,
): InstanceNumbers {
  if (before.numbers === undefined) return undefined;
  const numbers: number[] = [];
  let any = false;
  let same = Array.isArray(before.numbers);
  for (const key in after.attributes) {
    const name = key as Iri;
    const old = before.entity.attributes[name];
    const offset = old === undefined ? 0 : offsetOf(before.entity, name);
    for (const instance of after.attributes[name] as readonly AttributeInstance[]) {
      const place = old === undefined || attributes.some((change) => change.after === instance) ? -1 : placeOf(old, instance);
      const number = place < 0 ? 0 : numberAt(before.numbers, offset + place);
      if (number !== 0) any = true;
      if (same && numberAt(before.numbers, numbers.length) !== number) same = false;
      numbers.push(number);
    }
  }
  if (same && (before.numbers as readonly number[]).length === numbers.length) return before.numbers;
  return any ? numbers : undefined;
}
