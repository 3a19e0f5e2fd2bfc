import type { Iri } from '../../domain/iri.ts';
import type { Condition, EntityQuery, TypeSelection } from '../../domain/query/query.ts';
import { targetsOf } from '../../domain/sta/lens/attributes.ts';
import { featureOf } from '../../domain/sta/lens/observation.ts';
import { isControlled, isThing, observedName, observingNames } from '../../domain/sta/lens/series.ts';
import { isDatedByEntity } from '../../domain/sta/lens/times.ts';
import {
  DATASTREAMS,
  LOCATIONS,
  localName,
  OBSERVED_PROPERTY,
  SENSOR,
  THINGS,
  TYPE,
  VISITORS,
} from '../../domain/sta/lens/vocabulary.ts';
import type { SetName } from '../../domain/sta/model.ts';
import type { StoredEntity } from '../../ports/entity-store.ts';
import type { NumberBound, Series } from '../../ports/series-store.ts';
import { datedByEntity } from './dated.ts';
import type { Item } from './item.ts';
import { storedMany } from './links.ts';
import { computedSeries, isDevice, placeAttribute, type Reader } from './reader.ts';
import { type Cursor, chained, listSource, nested, type Source } from './source.ts';

const EMPTY = listSource([]);
/** More types than this are not looked up one by one. */
const MOST_TYPES = 100;

const any = (types: readonly Iri[]): TypeSelection =>
  types.length === 1
    ? { kind: 'type', type: types[0] as Iri }
    : { kind: 'any', of: types.map((type) => ({ kind: 'type', type })) };

/** Entities of a query in order of their numbers, each as what `see` makes of it. */
function walk(
  reader: Reader,
  query: EntityQuery,
  see: (stored: StoredEntity) => Item | undefined | Promise<Item | undefined>,
): Source {
  return {
    order: 'id',
    async page(after, limit, descending) {
      const page = { limit, descending, ...(after === undefined ? {} : { after: after[0] as number }) };
      const found = await reader.dependencies.entities.walk(reader.tenant, query, page);
      const placed = [];
      for (const stored of found) {
        const item = await see(stored);
        if (item !== undefined) placed.push({ item, cursor: [stored.number] });
      }
      const last = found.at(-1);
      return { placed, next: found.length < limit || last === undefined ? undefined : [last.number] };
    },
  };
}

/** Entities of some types, seen as members of a set. @param where what else must hold of them */
export function ofTypes(reader: Reader, set: SetName, types: readonly Iri[], where?: Condition): Source {
  if (types.length === 0) return EMPTY;
  const query = { ...(types.length > MOST_TYPES ? {} : { types: any(types) }), ...(where && { where }) };
  return walk(reader, query, (stored) => reader.entityAs(set, stored));
}

/** That a Relationship leads to this. */
export const relatedTo = (name: Iri, iri: Iri) =>
  ({ kind: 'compare', path: { names: [name] }, operator: '==', value: { kind: 'uri', value: iri } }) as const;

/** All members of a set. */
export async function collection(reader: Reader, set: SetName): Promise<Source> {
  const things = await reader.thingTypes();
  switch (set) {
    case 'Things':
      return ofTypes(reader, set, things);
    case 'Locations':
    case 'FeaturesOfInterest':
      return ofTypes(reader, set, [TYPE[set], ...things]);
    case 'Sensors': {
      const devices = things.filter((type) => localName(type) === 'Device');
      const foreign = foreignThings(reader, things);
      return chained('id', [
        ofTypes(reader, set, [TYPE.Sensors, ...devices]),
        nested('id', foreign, async ({ origin }) =>
          origin.kind === 'entity' && (await reader.lacksSensor(origin.stored))
            ? listSource([reader.unspecified(origin.stored)])
            : EMPTY,
        ),
      ]);
    }
    case 'ObservedProperties':
      return chained('id', [ofTypes(reader, set, [TYPE.ObservedProperties]), listSource(await observedAttributes(reader))]);
    case 'Datastreams':
      return chained('id', [
        ofTypes(reader, set, [TYPE.Datastreams]),
        nested('id', foreignThings(reader, things), async ({ origin }) => {
          if (origin.kind !== 'entity') return EMPTY;
          const series = computedSeries(origin.stored);
          return listSource(await Promise.all(series.map((one) => reader.computedItem(origin.stored, one))));
        }),
      ]);
    case 'MultiDatastreams':
      return ofTypes(reader, set, [TYPE.MultiDatastreams]);
    case 'Observations':
      return instances(reader);
    case 'HistoricalLocations':
      return nested('none', ofTypes(reader, 'Things', things), async ({ origin }) =>
        origin.kind === 'entity' ? places(reader, origin.stored) : EMPTY,
      );
    case 'TaskingCapabilities': {
      const computed = await Promise.all((await reader.commanded()).map((thing) => reader.commandItems(thing)));
      return chained('id', [ofTypes(reader, set, [TYPE[set]]), listSource(computed.flat())]);
    }
    case 'Actuators': {
      const computed = (await reader.commanded()).map(async (thing) =>
        reader.one((await reader.commandItems(thing))[0] as Item, 'Actuator'),
      );
      const actuators = (await Promise.all(computed)).filter((one) => one !== undefined);
      return chained('id', [ofTypes(reader, set, [TYPE[set]]), listSource(actuators)]);
    }
    default:
      return ofTypes(reader, set, [TYPE[set]]);
  }
}

/** Things with Datastreams that nobody described. Those that SensorThings made can have them, too: an NGSI-LD client may add attributes. */
function foreignThings(reader: Reader, types: readonly Iri[]): Source {
  if (types.length === 0) return EMPTY;
  const query = types.length > MOST_TYPES ? {} : { types: any(types) };
  return walk(reader, query, (stored) =>
    isThing(stored.entity) && computedSeries(stored).length > 0 ? reader.entityItem('Things', stored) : undefined,
  );
}

/** Entities that are asked which property their `value` is of. */
const CONTROLLED_LOOKED_AT = 1000;

/** Attributes that are measured somewhere and that no ObservedProperty describes. */
async function observedAttributes(reader: Reader): Promise<readonly Item[]> {
  const { entities } = reader.dependencies;
  const types = new Set(await reader.thingTypes());
  const names = new Set<Iri>();
  for (const { type, attributes } of await entities.typeCounts(reader.tenant)) {
    if (!types.has(type)) continue;
    for (const { name, kinds } of attributes) {
      if (names.has(name) || !kinds.some((kind) => kind.endsWith('Property') && kind !== 'GeoProperty')) continue;
      // What a Device's `value` is of stands in each entity.
      const limit = isControlled(name) ? CONTROLLED_LOOKED_AT : 5;
      const some = await entities.query(reader.tenant, { types: any([type]), anyAttribute: [name] }, { limit });
      for (const stored of some.entities) {
        if (computedSeries(stored).some((series) => series.name === name)) names.add(observedName(stored.entity, name));
      }
    }
  }
  return Promise.all([...names].map((name) => reader.attributeItem(name)));
}

/** Instances that are looked at in one go for Observations: among them are those of names, places and links. */
const STEP = 500;

/** All Observations, in order of their numbers. */
function instances(reader: Reader): Source {
  return {
    order: 'id',
    async page(after, wanted, descending) {
      // Mostly there are as many Observations as instances; only who found none yet looks at more.
      const limit = after === undefined ? Math.max(wanted, STEP) : wanted;
      const page = { limit, descending, ...(after === undefined ? {} : { after: after[0] as number }) };
      const found = await reader.dependencies.series.walk(reader.tenant, page);
      const placed = [];
      for (const one of found) {
        const item = await reader.instanceItem('Observations', one);
        if (item !== undefined) placed.push({ item, cursor: [one.number] });
      }
      const last = found.at(-1);
      return { placed, next: found.length < limit || last === undefined ? undefined : [last.number] };
    },
  };
}

/** Bounds that a filter sets: times in micros and included. */
export interface Bounds {
  readonly from?: number;
  readonly to?: number;
  /** Of results that are numbers. */
  readonly numbers?: readonly NumberBound[];
}

/** Attributes whose streams are merged at most: each page looks at all of them. */
const MOST_NAMES = 200;

/** All Observations in order of phenomenonTime; undefined: the store does not have them in that order. */
export async function observationsInTime(reader: Reader, bounds: Bounds): Promise<Source | undefined> {
  const { series } = reader.dependencies;
  const { names, apart } = await reader.measuredNames();
  if (series.across === undefined || names.length > MOST_NAMES) return undefined;
  // What is dated by other attributes was written later than that: it can be before the bounds, and not behind them.
  const { to: _, ...open } = bounds;
  const within = apart ? open : bounds;
  return {
    order: apart ? 'none' : 'time',
    async page(after, limit, descending) {
      const [at, number] = after ?? [];
      const behind = at === undefined || number === undefined ? {} : { after: { at, number } };
      const { found, next } = (await series.across?.(reader.tenant, names, { ...within, ...behind, limit, descending })) ?? {
        found: [],
        next: undefined,
      };
      const placed = [];
      for (const one of found) {
        const item = await reader.instanceItem('Observations', one);
        if (item !== undefined) placed.push({ item, cursor: [one.at, one.number] });
      }
      return { placed, next: next && [next.at, next.number] };
    },
  };
}

/** The instances of one series, in order of time. */
export function seriesSource(
  reader: Reader,
  set: 'Observations' | 'HistoricalLocations',
  holder: StoredEntity,
  series: Series,
  bounds: Bounds = {},
  keep?: (item: Item) => boolean,
): Source {
  const { series: store } = reader.dependencies;
  // Where other attributes say when it was, the store has them in the order in which they were written.
  const apart = set === 'Observations' && isDatedByEntity(holder.entity, series.name, series.datasetId);
  const { numbers: _, ...times } = apart ? {} : bounds;
  return {
    order: apart ? 'none' : 'time',
    ...(keep === undefined && bounds.from === undefined && bounds.to === undefined
      ? { count: () => store.count(reader.tenant, series) }
      : {}),
    async page(after, limit, descending) {
      const [at, number] = after ?? [];
      const behind = at === undefined || number === undefined ? {} : { after: { at, number } };
      const found = await store.read(reader.tenant, series, { ...times, ...behind, limit, descending });
      const dated = apart ? await datedByEntity(reader, holder, found) : found;
      const placed = dated
        .map((one) => ({
          item: reader.item(set, one.number, { kind: 'instance', found: one, holder }),
          cursor: [one.at, one.number],
        }))
        .filter(({ item }) => keep === undefined || keep(item));
      const last = found.at(-1);
      return { placed, next: found.length < limit || last === undefined ? undefined : [last.at, last.number] };
    },
  };
}

const places = (reader: Reader, thing: StoredEntity, keep?: (item: Item) => boolean): Source =>
  seriesSource(reader, 'HistoricalLocations', thing, { id: thing.id, name: placeAttribute(thing) }, {}, keep);

/** The members that a link to many leads to. */
export async function linkedCollection(reader: Reader, item: Item, link: string, bounds: Bounds = {}): Promise<Source> {
  const { origin, set } = item;
  const stored = await storedMany(reader, item, link);
  if (stored !== undefined) return stored;
  if (origin.kind === 'series' && link === 'Observations') {
    return seriesSource(reader, 'Observations', origin.thing, origin.series, bounds);
  }
  if (origin.kind === 'series') {
    const observed =
      origin.companion === undefined ? [] : await reader.entitiesOf(targetsOf(origin.companion.entity, OBSERVED_PROPERTY));
    // The order of ObservedProperties is that of the results.
    return ordered(observed.map((one) => reader.entityItem('ObservedProperties', one)));
  }
  if (origin.kind === 'instance') {
    const { found, holder } = origin;
    if (found.name !== LOCATIONS) return listSource([reader.entityItem('Locations', holder)]);
    const ids = found.instance.type === 'Relationship' ? ([found.instance.object].flat() as Iri[]) : [];
    return listSource((await reader.entitiesOf(ids)).map((stored) => reader.entityItem('Locations', stored)));
  }
  if (link === 'Datastreams' || link === 'MultiDatastreams') return datastreamsOf(reader, item, link);
  if (origin.kind !== 'entity') return EMPTY;
  return linkedToEntity(reader, set, origin.stored, link, bounds);
}

async function linkedToEntity(
  reader: Reader,
  set: SetName,
  stored: StoredEntity,
  link: string,
  bounds: Bounds,
): Promise<Source> {
  const made = stored.entity.types.includes(TYPE[set as keyof typeof TYPE]);
  switch (`${set}/${link}`) {
    case 'Things/Locations': {
      const located = await reader.entitiesOf(targetsOf(stored.entity, LOCATIONS));
      if (located.length > 0) return listSource(located.map((one) => reader.entityItem('Locations', one)));
      return listSource([await reader.entityAs('Locations', stored)].filter((one) => one !== undefined));
    }
    case 'Things/HistoricalLocations':
      return places(reader, stored);
    case 'Locations/Things': {
      const things = made ? await reader.entitiesOf(targetsOf(stored.entity, THINGS)) : [stored];
      return listSource(things.map((thing) => reader.entityItem('Things', thing)));
    }
    case 'Locations/HistoricalLocations': {
      if (!made) return places(reader, stored);
      const visitors = await reader.entitiesOf(targetsOf(stored.entity, VISITORS));
      const here = (one: Item) =>
        one.origin.kind === 'instance' &&
        one.origin.found.instance.type === 'Relationship' &&
        [one.origin.found.instance.object].flat().includes(stored.id);
      return nested('none', listSource(visitors.map((thing) => reader.entityItem('Things', thing))), async ({ origin: of }) =>
        of.kind === 'entity' ? places(reader, of.stored, here) : EMPTY,
      );
    }
    case 'FeaturesOfInterest/Observations':
      return made ? observationsOf(reader, stored, bounds) : computedObservations(reader, stored, bounds);
    default:
      return EMPTY;
  }
}

/** In the order in which they are given, and found by that place. */
function ordered(items: readonly Item[]): Source {
  return {
    order: 'none',
    count: async () => items.length,
    async page(after, limit, descending) {
      const all = items.map((item, at) => ({ item, cursor: [at] as Cursor }));
      if (descending) all.reverse();
      const from = after?.[0];
      const rest = from === undefined ? all : all.filter(({ cursor: [at = 0] }) => (descending ? at < from : at > from));
      const placed = rest.slice(0, limit);
      return { placed, next: rest.length > limit ? placed.at(-1)?.cursor : undefined };
    },
  };
}

/** Observations of a feature that was made: those of the Datastreams that used it. */
async function observationsOf(reader: Reader, feature: StoredEntity, bounds: Bounds): Promise<Source> {
  const companions = await reader.entitiesOf(targetsOf(feature.entity, DATASTREAMS));
  const items: Item[] = [];
  for (const companion of companions) {
    const set = companion.entity.types.includes(TYPE.MultiDatastreams) ? 'MultiDatastreams' : 'Datastreams';
    // The id is that of a companion, or of the entity whose computed Datastreams used the feature.
    const found = companion.entity.types.includes(TYPE[set])
      ? [await reader.madeSeries(set, companion)]
      : await reader.seriesItems('Datastreams', companion);
    for (const one of found) if (one !== undefined) items.push(one);
  }
  const of = (one: Item) => one.origin.kind === 'instance' && featureOf(one.origin.found.instance) === feature.id;
  const only = items.length === 1 ? items[0] : undefined;
  if (only?.origin.kind === 'series') {
    return seriesSource(reader, 'Observations', only.origin.thing, only.origin.series, bounds, of);
  }
  return nested('none', listSource(items), async ({ origin }) =>
    origin.kind === 'series' ? seriesSource(reader, 'Observations', origin.thing, origin.series, bounds, of) : EMPTY,
  );
}

/** Observations of computed Datastreams that name no feature: they were made where the entity is. */
async function computedObservations(reader: Reader, stored: StoredEntity, bounds: Bounds): Promise<Source> {
  const series = await Promise.all(computedSeries(stored).map((one) => reader.computedItem(stored, one)));
  const of = (one: Item) => one.origin.kind === 'instance' && featureOf(one.origin.found.instance) === undefined;
  return nested('none', listSource(series), async ({ origin }) =>
    origin.kind === 'series' ? seriesSource(reader, 'Observations', origin.thing, origin.series, bounds, of) : EMPTY,
  );
}

/** Datastreams of a Thing, Sensor or ObservedProperty. */
async function datastreamsOf(reader: Reader, { origin, set }: Item, link: 'Datastreams' | 'MultiDatastreams'): Promise<Source> {
  if (set === 'Things') return origin.kind === 'entity' ? listSource(await reader.seriesItems(link, origin.stored)) : EMPTY;
  const things = await reader.thingTypes();
  if (origin.kind === 'unspecified') {
    const own: Item[] = [];
    for (const series of link === 'Datastreams' ? computedSeries(origin.thing) : []) {
      if ((await reader.sensorOf(origin.thing, series)) === undefined)
        own.push(await reader.computedItem(origin.thing, series));
    }
    return listSource(own);
  }
  if (origin.kind === 'attribute') {
    if (link !== 'Datastreams' || things.length === 0) return EMPTY;
    const query = { ...(things.length > MOST_TYPES ? {} : { types: any(things) }), anyAttribute: observingNames(origin.name) };
    const having = walk(reader, query, (stored) => reader.entityAs('Things', stored));
    return nested('id', having, async ({ origin: of }) => {
      if (of.kind !== 'entity') return EMPTY;
      const series = computedSeries(of.stored).filter(({ name }) => observedName(of.stored.entity, name) === origin.name);
      return listSource(await Promise.all(series.map((one) => reader.computedItem(of.stored, one))));
    });
  }
  if (origin.kind !== 'entity') return EMPTY;
  const { stored } = origin;
  const name = set === 'Sensors' ? SENSOR : OBSERVED_PROPERTY;
  const made = ofTypes(reader, link, [TYPE[link]], relatedTo(name, stored.id));
  if (set !== 'Sensors' || link !== 'Datastreams' || !isForeignSensor(stored)) return made;
  const measuring = nested('id', foreignThings(reader, things), async ({ origin: of }) => {
    if (of.kind !== 'entity') return EMPTY;
    const own: Item[] = [];
    for (const series of computedSeries(of.stored)) {
      const sensor = await reader.sensorOf(of.stored, series);
      if (sensor?.id === stored.id) own.push(await reader.computedItem(of.stored, series));
    }
    return listSource(own);
  });
  return chained('id', [made, measuring]);
}

/** A Sensor that SensorThings made can be named by an NGSI-LD entity, but is so rarely: then its Datastreams are those that name it there. */
const isForeignSensor = (stored: StoredEntity): boolean => isDevice(stored) || !stored.entity.types.includes(TYPE.Sensors);
