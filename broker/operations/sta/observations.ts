import type { AttributeInstance } from '../../domain/attribute.ts';
import { badRequest } from '../../domain/errors.ts';
import { convexHull } from '../../domain/geometry/hull.ts';
import type { Iri } from '../../domain/iri.ts';
import type { JsonObject, JsonValue } from '../../domain/json.ts';
import { geometryIn } from '../../domain/sta/filter/value.ts';
import { attributeValue, relationship, targetsOf } from '../../domain/sta/lens/attributes.ts';
import { type ObservationFrame, observationInstance, placedAt } from '../../domain/sta/lens/observation.ts';
import {
  DATASTREAMS,
  FEATURE,
  LOCATIONS,
  OBSERVED_AREA,
  PHENOMENON_END,
  RESULT_TIME,
  TYPE,
} from '../../domain/sta/lens/vocabulary.ts';
import type { TypeModel } from '../../domain/sta/model.ts';
import { writeMoment } from '../../domain/sta/time.ts';
import type { StoredEntity } from '../../ports/entity-store.ts';
import type { Series } from '../../ports/series-store.ts';
import type { Creation, Implied, Ref } from './create.ts';
import { encoded } from './create.ts';
import { planLinks } from './links.ts';
import { type Located, plannedLocations, type Target } from './locations.ts';

/** Where the Observations of a Datastream go. */
export interface ObservedSeries {
  readonly thing: Target;
  readonly to: { readonly companion: Iri } | { readonly name: Iri };
  /** The attribute. */
  readonly name: Iri;
  readonly datasetId?: Iri | undefined;
  readonly unitCode: string | undefined;
  /** What features remember the Datastream by; undefined: it is being made, and is its companion. */
  readonly features: Iri | undefined;
  readonly companion?: StoredEntity;
  /** Of a MultiDatastream: how many results an Observation has. */
  readonly results?: number;
}

/** Features that this plan makes or has linked, by what they were made of; areas that Datastreams will have seen. */
interface Made {
  readonly byLocation: Map<Iri, Iri>;
  readonly bySeries: Map<ObservedSeries, ObservationFrame>;
  readonly linked: Set<string>;
  readonly areas: Map<Iri, JsonValue>;
  /** Where Things are. */
  readonly places: Map<Iri, readonly Located[]>;
}
const made = new WeakMap<Creation, Made>();

function madeBy(creation: Creation): Made {
  const known = made.get(creation) ?? {
    byLocation: new Map(),
    bySeries: new Map(),
    linked: new Set(),
    areas: new Map(),
    places: new Map(),
  };
  made.set(creation, known);
  return known;
}

/** Plans an Observation, and the feature of interest that it lacks. */
export async function planObservation(
  creation: Creation,
  type: TypeModel,
  body: JsonObject,
  properties: JsonObject,
  implied: Implied,
): Promise<Ref> {
  const [datastream] = await creation.links(type, body, 'Datastream', implied);
  const [multi] = await creation.links(type, body, 'MultiDatastream', implied);
  if (datastream !== undefined && multi !== undefined)
    throw badRequest('An Observation has a Datastream or a MultiDatastream, not both');
  const series = (datastream ?? multi)?.series;
  if (series === undefined) throw badRequest('Observation lacks the mandatory link "Datastream"');
  await creation.rules.observe(series);
  const [given] = await creation.links(type, body, 'FeatureOfInterest', implied);
  const ref = await observe(creation, series, properties, given);
  await planLinks(creation, type, body, implied, ref, undefined);
  return ref;
}

/** @param given the feature that the client names or makes */
async function observe(
  creation: Creation,
  series: ObservedSeries,
  properties: JsonObject,
  given: Ref | undefined,
): Promise<Ref> {
  checkResults(series, properties);
  const frame = await frameFor(creation, series, given);
  const number = await creation.newNumber();
  observeAt(creation, series, properties, frame, number);
  return { set: 'Observations', iri: series.thing.iri, number };
}

/** What one Observation of a series gets, the next of the same request gets, too. @param given the feature that the client names or makes */
export async function frameFor(creation: Creation, series: ObservedSeries, given: Ref | undefined): Promise<ObservationFrame> {
  const { bySeries } = madeBy(creation);
  const known = given === undefined ? bySeries.get(series) : undefined;
  if (known !== undefined) return known;
  const feature = await featureFor(creation, series, given);
  const { datasetId, unitCode } = series;
  const frame = { datasetId, unitCode, ...(feature === undefined ? {} : { feature, placed: placedAt(feature) }) };
  if (given === undefined && feature !== undefined) bySeries.set(series, frame);
  return frame;
}

/** @throws DomainError BadRequestData if a MultiDatastream gets another number of results than it observes properties */
export function checkResults({ results }: ObservedSeries, { result }: JsonObject): void {
  if (results !== undefined && (!Array.isArray(result) || result.length !== results)) {
    throw badRequest(`"result" of an Observation of this MultiDatastream must be an array of ${results} elements`);
  }
}

/** Plans an Observation of which everything is known. @param properties checked ones */
export function observeAt(
  { plan, reader }: Creation,
  { thing, to }: ObservedSeries,
  properties: JsonObject,
  frame: ObservationFrame,
  number: number,
): void {
  // 18-088, 8.2.7: without a time the Observation is as of now.
  const now = () => writeMoment(Math.floor(reader.dependencies.clock.micros() / 1000) * 1000);
  const timed = properties['phenomenonTime'] == null ? { ...properties, phenomenonTime: now() } : properties;
  const instanceId = reader.dependencies.series.instanceId(number);
  const instance = observationInstance(timed, frame, undefined, instanceId);
  plan.observe(thing.iri, { instance, series: 'name' in to ? { name: to.name } : to });
}

/** Tells the extents of a series that an Observation was added. */
export function extendBy(creation: Creation, series: Series, instance: AttributeInstance): void {
  const text = (name: Iri) => {
    const inner = instance.attributes?.[name]?.[0];
    return inner?.type === 'Property' && typeof inner.value === 'string' ? inner.value : undefined;
  };
  creation.reader.dependencies.extents.extend(creation.reader.tenant, series, {
    end: text(PHENOMENON_END),
    resultTime: text(RESULT_TIME),
  });
}

/** The feature that an Observation has: the one it names, or that of where its Thing is. undefined: it is computed from the entity. */
async function featureFor(creation: Creation, series: ObservedSeries, given: Ref | undefined): Promise<Iri | undefined> {
  const { plan, reader } = creation;
  if (given !== undefined) {
    // A feature that is computed from an entity is what an Observation without one has.
    const stored = given.item?.origin.kind === 'entity' ? given.item.origin.stored : undefined;
    if (stored !== undefined && !stored.entity.types.includes(TYPE.FeaturesOfInterest)) return stored.id;
    if (remember(creation, given.iri, series, stored)) {
      see(creation, series, stored === undefined ? plannedFeature(creation, given.iri) : given.item?.property('feature'));
    }
    return given.iri;
  }
  const known = madeBy(creation);
  const locations =
    plannedLocations(creation, series.thing.iri) ??
    known.places.get(series.thing.iri) ??
    (await locationsOf(creation, series.thing.stored));
  known.places.set(series.thing.iri, locations);
  for (const location of locations) {
    const own = known.byLocation.get(location.iri);
    if (own !== undefined) {
      if (remember(creation, own, series, undefined)) see(creation, series, location.properties['location']);
      return own;
    }
    const [feature] =
      location.feature === undefined ? [] : await reader.entitiesOf(targetsOf(location.feature.entity, FEATURE));
    if (feature !== undefined) {
      if (remember(creation, feature.id, series, feature)) see(creation, series, location.properties['location']);
      return feature.id;
    }
  }
  for (const { iri, properties } of locations) {
    const encoding = String(properties['encodingType']).toLowerCase();
    if (!encoding.includes('geo+json') || geometryIn(properties['location']) === undefined) continue;
    const feature = creation.newIri('FeatureOfInterest');
    const { location, ...described } = properties;
    const content: JsonObject = { ...described, feature: location ?? null };
    plan.create(feature, [TYPE.FeaturesOfInterest], encoded(reader.model.of('FeaturesOfInterest'), content));
    plan.put(iri, FEATURE, relationship(feature));
    known.byLocation.set(iri, feature);
    remember(creation, feature, series, undefined);
    see(creation, series, location);
    return feature;
  }
  if ('name' in series.to) return undefined;
  throw badRequest('Observation lacks a "FeatureOfInterest", and its Thing has no Location that one could be made of');
}

/** A feature knows the Datastreams that used it: so its Observations are found. @returns true if this one has not used it before */
function remember(creation: Creation, feature: Iri, series: ObservedSeries, stored: StoredEntity | undefined): boolean {
  const datastream = series.features ?? ('companion' in series.to ? series.to.companion : series.thing.iri);
  const { linked } = madeBy(creation);
  const key = `${feature} ${datastream}`;
  if (linked.has(key) || (stored !== undefined && targetsOf(stored.entity, DATASTREAMS).includes(datastream))) return false;
  linked.add(key);
  creation.plan.link(feature, DATASTREAMS, [datastream]);
  return true;
}

/** The area that a Datastream has observed grows by a feature. */
function see(creation: Creation, { to, companion }: ObservedSeries, feature: JsonValue | undefined): void {
  if (!('companion' in to)) return;
  const geometry = geometryIn(feature);
  if (geometry === undefined) return;
  const { areas } = madeBy(creation);
  const before = areas.get(to.companion) ?? (companion && attributeValue(companion.entity, OBSERVED_AREA));
  const known = geometryIn(before);
  const hull = convexHull(known === undefined ? [geometry] : [known, geometry]);
  const json = hull as unknown as JsonValue;
  if (known !== undefined && JSON.stringify(known) === JSON.stringify(hull)) return;
  areas.set(to.companion, json);
  creation.plan.put(to.companion, OBSERVED_AREA, { type: 'GeoProperty', value: hull });
}

function plannedFeature(creation: Creation, iri: Iri): JsonValue | undefined {
  const attributes = creation.plan.created(iri) ?? {};
  for (const instances of Object.values(attributes)) {
    for (const instance of instances) if (instance.type === 'GeoProperty') return instance.value as unknown as JsonValue;
  }
  return undefined;
}

async function locationsOf(creation: Creation, thing: StoredEntity | undefined): Promise<readonly Located[]> {
  if (thing === undefined) return [];
  const stored = await creation.reader.entitiesOf(targetsOf(thing.entity, LOCATIONS));
  return stored.map((location) => ({
    iri: location.id,
    properties: creation.reader.entityItem('Locations', location).properties,
    feature: location,
  }));
}
