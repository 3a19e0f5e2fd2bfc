import type { AttributeInstance, Attributes } from '../attribute.ts';
import type { AttributeChange, ChangeDraft, LateInstance } from '../change.ts';
import type { Entity } from '../entity.ts';
import type { Iri } from '../iri.ts';
import type { Moment } from '../patch/edit.ts';
import { compareInstants } from '../time.ts';

/** An attribute instance that history must get under its instanceId, whatever is there already. */
export interface Reading {
  readonly name: Iri;
  readonly instance: AttributeInstance;
  /** It becomes the current value, also if that is of a later time. */
  readonly force?: true;
}

/**
 * Adds readings to a change of an entity: of each series the newest becomes the current value, unless the current one is newer, and all go to history.
 * Unlike an NGSI-LD write, two readings that say the same are two.
 * @param current the entity as it is stored; undefined: the draft creates it
 */
export function withReadings(
  draft: ChangeDraft | undefined,
  current: Entity | undefined,
  readings: readonly Reading[],
  { at, stamp }: Moment,
): ChangeDraft | undefined {
  const base = draft?.after ?? current;
  if (base === undefined || readings.length === 0) return draft;
  const stamped = (instance: AttributeInstance, createdAt = at): AttributeInstance => ({
    ...instance,
    createdAt,
    modifiedAt: at,
    stamp,
  });
  const attributes: Record<Iri, readonly AttributeInstance[]> = { ...base.attributes };
  const changes: AttributeChange[] = [...(draft?.attributes ?? [])];
  const late: LateInstance[] = [...(draft?.late ?? [])];
  let changed = false;
  for (const series of grouped(readings)) {
    const newest = series.at(-1) as Reading;
    const { name, instance } = newest;
    const { datasetId } = instance;
    const before = attributes[name]?.find((one) => one.datasetId === datasetId);
    const behind = before !== undefined && newest.force !== true && isBehind(instance, before);
    for (const reading of behind ? series : series.slice(0, -1)) late.push({ name, instance: stamped(reading.instance) });
    if (behind) continue;
    const after = stamped(instance, before?.createdAt);
    const { instanceId: _, ...state } = after;
    const others = (attributes[name] ?? []).filter((one) => one !== before);
    attributes[name] = [...others, state as AttributeInstance];
    changed = true;
    changes.push({
      name,
      ...(datasetId === undefined ? {} : { datasetId }),
      ...(before === undefined ? { kind: 'created' } : { kind: 'updated', before }),
      after,
    } as AttributeChange);
  }
  if (!changed && draft === undefined) {
    return { kind: 'updated', before: base, after: base, attributes: [], late, at, stamp };
  }
  const after: Entity = changed ? { ...base, attributes: attributes as Attributes, modifiedAt: at } : base;
  return {
    kind: draft?.kind ?? 'updated',
    ...(current === undefined ? {} : { before: current }),
    after,
    attributes: changes,
    ...(late.length === 0 ? {} : { late }),
    at,
    stamp,
  };
}

function isBehind(reading: AttributeInstance, current: AttributeInstance): boolean {
  if (reading.observedAt === undefined || current.observedAt === undefined) return false;
  return compareInstants(reading.observedAt, current.observedAt) < 0;
}

/** By series, each in order of time; those of one moment in the order in which they came. */
function grouped(readings: readonly Reading[]): readonly (readonly Reading[])[] {
  const series = new Map<string, Reading[]>();
  const seriesFor = ({ name, instance }: Reading): Reading[] => {
    const key = `${name} ${instance.datasetId ?? ''}`;
    const known = series.get(key) ?? [];
    series.set(key, known);
    return known;
  };
  let last: Reading | undefined;
  let same: Reading[] = [];
  for (const reading of readings) {
    // Those of one series mostly come together.
    if (last === undefined || last.name !== reading.name || last.instance.datasetId !== reading.instance.datasetId) {
      same = seriesFor(reading);
      last = reading;
    }
    same.push(reading);
  }
  const order = ({ instance: a }: Reading, { instance: b }: Reading): number => {
    if (a.observedAt === undefined || b.observedAt === undefined || a.observedAt === b.observedAt) return 0;
    // Of one length the texts are in the order of the moments.
    if (a.observedAt.length === b.observedAt.length) return a.observedAt < b.observedAt ? -1 : 1;
    return compareInstants(a.observedAt, b.observedAt);
  };
  return [...series.values()].map((of) => (of.length === 1 ? of : of.sort(order)));
}

/** What becomes of one instance of a series, and what the current value is then. */
export interface Amendment {
  readonly name: Iri;
  readonly datasetId: Iri | undefined;
  readonly instanceId: Iri;
  /** undefined: it is forgotten. */
  readonly instance: AttributeInstance | undefined;
  /** The newest of the series when this is done, with its instanceId; undefined: there is none. The state is left as it is if it is absent here. */
  readonly current?: { readonly instance: AttributeInstance | undefined };
}

/**
 * Changes or forgets instances of history, and brings the state in line, without history hearing of anything new.
 * @param draft what else happens to the entity
 */
export function withAmendments(
  draft: ChangeDraft | undefined,
  current: Entity,
  amendments: readonly Amendment[],
  { at, stamp }: Moment,
): ChangeDraft {
  const base = draft?.after ?? current;
  const attributes: Record<Iri, readonly AttributeInstance[]> = { ...base.attributes };
  const changes: AttributeChange[] = [...(draft?.attributes ?? [])];
  const late: LateInstance[] = [...(draft?.late ?? [])];
  let changed = false;
  for (const { name, datasetId, instanceId, instance, current: next } of amendments) {
    const own = { ...instance, instanceId, modifiedAt: at, stamp } as AttributeInstance;
    const dataset = datasetId === undefined ? {} : { datasetId };
    const before = attributes[name]?.find((one) => one.datasetId === datasetId);
    const isCurrent = next?.instance?.instanceId === instanceId && instance !== undefined;
    if (next === undefined || (!isCurrent && instance !== undefined) || next.instance !== undefined) {
      if (instance === undefined) {
        late.push({ name, instance: { type: 'Property', value: '', ...dataset, instanceId }, amends: 'forgotten' });
      } else if (!isCurrent) late.push({ name, instance: own, amends: 'replaced' });
    }
    if (next === undefined) continue;
    const others = (attributes[name] ?? []).filter((one) => one !== before);
    const after = isCurrent ? own : next.instance;
    if (after === undefined) {
      if (before === undefined) {
        late.push({ name, instance: { type: 'Property', value: '', ...dataset, instanceId }, amends: 'forgotten' });
        continue;
      }
      if (others.length > 0) attributes[name] = others;
      else delete attributes[name];
      changes.push({ name, ...dataset, kind: 'deleted', before: { ...before, instanceId }, amends: true });
    } else {
      const { instanceId: _, ...state } = { ...after, stamp };
      attributes[name] = [...others, state as AttributeInstance];
      changes.push({
        name,
        ...dataset,
        ...(before === undefined ? { kind: 'created' } : { kind: 'updated', before }),
        after,
        amends: true,
      } as AttributeChange);
    }
    changed = true;
  }
  const after: Entity =
    changed || draft?.after !== undefined ? { ...base, attributes: attributes as Attributes, modifiedAt: at } : current;
  return { kind: 'updated', before: current, after, attributes: changes, ...(late.length === 0 ? {} : { late }), at, stamp };
}
