import type { AttributeInstance } from '../../domain/attribute.ts';
import type { AttributeChange, Change } from '../../domain/change.ts';
import type { Iri } from '../../domain/iri.ts';
import { attributesOfProperty } from '../../domain/sta/lens/attributes.ts';
import { isMeasured, isThing, seriesOf } from '../../domain/sta/lens/series.ts';
import { DATASTREAMS, type EntitySet, LOCATION, LOCATIONS, localName, OWN, TYPE } from '../../domain/sta/lens/vocabulary.ts';
import type { SetName } from '../../domain/sta/model.ts';
import { toMicros } from '../../domain/time.ts';
import type { StoredEntity } from '../../ports/entity-store.ts';
import { datedByEntity } from './dated.ts';
import type { Item } from './item.ts';
import { placeAttribute, type Reader } from './reader.ts';

/** A SensorThings entity that a change made or changed. */
export interface Affected {
  readonly item: Item;
  /** The properties that may have changed; undefined: it is new. */
  readonly changed: ReadonlySet<string> | undefined;
}

const EXTENTS: ReadonlySet<string> = new Set(['phenomenonTime', 'resultTime', 'observedArea']);

/** What a change of an entity means in SensorThings: its entities in the order in which they came about. What was deleted is in no answer. */
export async function affected(reader: Reader, change: Change): Promise<readonly Affected[]> {
  if (change.kind === 'deleted') return [];
  const stored = await reader.entity(change.id);
  if (stored === undefined) return [];
  const found: Affected[] = [];
  const companions = (Object.keys(TYPE) as EntitySet[]).filter(
    (set) => set !== 'Things' && stored.entity.types.includes(TYPE[set]),
  );
  for (const set of companions.filter((one) => reader.model.find(one) !== undefined)) {
    const item = await reader.entityAs(set, stored);
    if (item !== undefined) add(found, item, change);
  }
  if (companions.length === 0 && isThing(stored.entity)) await ofThing(reader, stored, change, found);
  return found;
}

function add(found: Affected[], item: Item, change: Change): void {
  if (change.kind === 'created') {
    found.push({ item, changed: undefined });
    return;
  }
  const names = new Set(change.attributes.map(({ name }) => name));
  const changed = item.type.properties.filter((property) => attributesOfProperty(property).some((name) => names.has(name)));
  if (changed.length > 0) found.push({ item, changed: new Set(changed.map(({ name }) => name)) });
}

async function ofThing(reader: Reader, stored: StoredEntity, change: Change, found: Affected[]): Promise<void> {
  const thing = reader.entityItem('Things', stored);
  const series = seriesOf(stored.entity);
  const measured = (name: Iri, instance: AttributeInstance | undefined) =>
    series.some((one) => one.name === name && one.datasetId === instance?.datasetId);
  // An entity that measures for the first time has not been a Thing before.
  const fresh =
    change.kind === 'created' ||
    (!stored.entity.types.includes(TYPE.Things) &&
      change.attributes.some(({ kind, name, after }) => kind === 'created' && measured(name, after)) &&
      series.every(({ name, datasetId }) =>
        change.attributes.some((one) => one.kind === 'created' && one.name === name && one.datasetId === datasetId),
      ));
  if (fresh) found.push({ item: thing, changed: undefined });
  else {
    const changed = new Set<string>();
    for (const { name, after, before } of change.attributes) {
      if (measured(name, after ?? before) || isMeasured(stored.entity, name, (after ?? before) as AttributeInstance)) continue;
      if (['name', 'description'].includes(localName(name))) changed.add(localName(name));
      else if (!OWN.has(name) || localName(name) === 'properties') changed.add('properties');
    }
    if (changed.size > 0) found.push({ item: thing, changed });
  }
  const places = placeAttribute(stored);
  for (const one of change.attributes) {
    if (one.name === places && one.after !== undefined)
      await addInstance(reader, stored, 'HistoricalLocations', one.name, one.after, one, found);
    if (one.name === LOCATION || one.name === LOCATIONS || one.name === DATASTREAMS || one.after === undefined) continue;
    if (measured(one.name, one.after)) await addObservation(reader, stored, one.name, one.after, one, found);
  }
  for (const { name, instance, amends } of change.late ?? []) {
    if (amends === 'forgotten') continue;
    const kind = amends === 'replaced' ? 'updated' : 'created';
    if (name === places)
      await addInstance(reader, stored, 'HistoricalLocations', name, instance, { kind, amends: kind === 'updated' }, found);
    else if (measured(name, instance))
      await addObservation(reader, stored, name, instance, { kind, amends: kind === 'updated' }, found);
  }
}

type How = Pick<AttributeChange, 'kind'> & { readonly amends?: boolean };

async function addObservation(
  reader: Reader,
  stored: StoredEntity,
  name: Iri,
  instance: AttributeInstance,
  how: How,
  found: Affected[],
): Promise<void> {
  const observation = await addInstance(reader, stored, 'Observations', name, instance, how, found);
  if (observation === undefined) return;
  const datastream = (await reader.one(observation, 'Datastream')) ?? (await reader.one(observation, 'MultiDatastream'));
  if (datastream === undefined) return;
  const first =
    datastream.origin.kind === 'series' && datastream.origin.companion === undefined && how.kind === 'created' && !how.amends;
  if (!found.some(({ item }) => item.set === datastream.set && item.id === datastream.id)) {
    found.push({ item: datastream, changed: first ? undefined : EXTENTS });
  }
}

async function addInstance(
  reader: Reader,
  holder: StoredEntity,
  set: Extract<SetName, 'Observations' | 'HistoricalLocations'>,
  name: Iri,
  instance: AttributeInstance,
  how: How,
  found: Affected[],
): Promise<Item | undefined> {
  const { series } = reader.dependencies;
  const number = instance.instanceId === undefined ? undefined : series.numberOf(instance.instanceId);
  const time = instance.observedAt ?? instance.modifiedAt;
  // Without its number the instance is the newest of its moment.
  const at = time === undefined ? {} : { from: toMicros(time), to: toMicros(time) };
  const [read] =
    number === undefined
      ? await series.read(
          reader.tenant,
          { id: holder.id, name, datasetId: instance.datasetId },
          { ...at, limit: 1, descending: true },
        )
      : await series.numbered(reader.tenant, [number]);
  if (read === undefined) return undefined;
  const [dated = read] = set === 'Observations' ? await datedByEntity(reader, holder, [read]) : [read];
  const item = reader.item(set, read.number, { kind: 'instance', found: dated, holder });
  found.push({ item, changed: how.amends ? new Set(item.type.properties.map((property) => property.name)) : undefined });
  return item;
}
