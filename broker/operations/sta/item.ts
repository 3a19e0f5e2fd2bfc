import { type AttributeInstance, instanceValue } from '../../domain/attribute.ts';
import { instanceOf } from '../../domain/entity.ts';
import type { Iri } from '../../domain/iri.ts';
import type { JsonObject, JsonValue } from '../../domain/json.ts';
import type { Row } from '../../domain/sta/filter/evaluate.ts';
import { attributeValue, decodeProperty, placeOf, plainValue, textNamed } from '../../domain/sta/lens/attributes.ts';
import { observationProperties } from '../../domain/sta/lens/observation.ts';
import { isMeasured, observedName, seriesOf } from '../../domain/sta/lens/series.ts';
import { unitCodeOf, unitOfMeasurement } from '../../domain/sta/lens/units.ts';
import { DATASTREAMS, localName, OBSERVED_AREA, OWN, TYPE, term } from '../../domain/sta/lens/vocabulary.ts';
import type { SetName, TypeModel } from '../../domain/sta/model.ts';
import { commandParameters } from '../../domain/sta/tasking.ts';
import { writeMoment, writeSpan } from '../../domain/sta/time.ts';
import type { StoredEntity } from '../../ports/entity-store.ts';
import type { NumberedInstance, Series } from '../../ports/series-store.ts';
import type { CommandTarget } from '../devices/targets.ts';
import type { Extents } from './extents.ts';

/** What a SensorThings entity is made of. */
export type Origin =
  /** An entity: made through SensorThings, or seen as this. */
  | { readonly kind: 'entity'; readonly stored: StoredEntity }
  /** A Datastream: a series of a Thing's attribute, and what SensorThings says of it. */
  | { readonly kind: 'series'; readonly thing: StoredEntity; readonly series: Series; readonly companion?: StoredEntity }
  /** An Observation or HistoricalLocation: an attribute instance of an entity. */
  | { readonly kind: 'instance'; readonly found: NumberedInstance; readonly holder: StoredEntity }
  /** An ObservedProperty that nobody described. */
  | { readonly kind: 'attribute'; readonly name: Iri }
  /** The Sensor of a Thing that names none. */
  | { readonly kind: 'unspecified'; readonly thing: StoredEntity }
  /** A TaskingCapability: a command of the device behind an entity. */
  | { readonly kind: 'command'; readonly thing: StoredEntity; readonly target: CommandTarget }
  /** The device that carries out the commands of an entity. */
  | { readonly kind: 'actuator'; readonly thing: StoredEntity; readonly device: string };

const OBSERVATION_TYPES = 'http://www.opengis.net/def/observationType/OGC-OM/2.0/OM_';
const GEOJSON = 'application/geo+json';

/** A SensorThings entity as it is read. */
export class Item implements Row {
  readonly set: SetName;
  readonly id: number;
  readonly origin: Origin;
  readonly type: TypeModel;
  readonly #root: string;
  /** Of a Datastream, once somebody needs them. */
  extents: Extents | undefined;
  /** Links that were loaded for a filter. */
  readonly loaded = new Map<string, readonly Item[]>();
  #properties: JsonObject | undefined;

  constructor(type: TypeModel, id: number, origin: Origin, root: string) {
    this.type = type;
    this.set = type.set;
    this.id = id;
    this.origin = origin;
    this.#root = root;
  }

  selfLink(): string {
    return `${this.#root}/${this.set}(${this.id})`;
  }

  /** An Observation of a MultiDatastream. */
  get isMulti(): boolean {
    if (this.origin.kind !== 'instance') return false;
    const { found, holder } = this.origin;
    return seriesOf(holder.entity).some(
      ({ name, datasetId, multi }) => multi === true && name === found.name && datasetId === found.instance.datasetId,
    );
  }

  linked(name: string): readonly Item[] {
    return this.loaded.get(name) ?? [];
  }

  property(name: string): JsonValue | undefined {
    return this.properties[name];
  }

  /** By the names of the model; what has no value is left out, but the resultTime of an Observation is null. */
  get properties(): JsonObject {
    this.#properties ??= this.#read();
    return this.#properties;
  }

  #read(): JsonObject {
    const { origin } = this;
    switch (origin.kind) {
      case 'entity':
        return entityProperties(this.type, origin.stored);
      case 'series':
        return { ...seriesProperties(this.type, origin), ...this.#times() };
      case 'instance':
        if (this.set === 'Observations') return observationProperties(origin.found.instance, origin.found.at);
        return { time: writeMoment(origin.found.at) };
      case 'attribute':
        return { name: localName(origin.name), definition: origin.name, description: localName(origin.name) };
      case 'unspecified':
        return {
          name: `Unspecified sensor of ${nameOf(origin.thing)}`,
          description: 'The entity does not say what measured its values',
          encodingType: 'text/plain',
          metadata: 'unspecified',
        };
      case 'command': {
        const { name } = origin.target.command;
        return { name, description: `${name} of ${origin.thing.id}`, taskingParameters: commandParameters(name) };
      }
      case 'actuator':
        return {
          name: origin.device,
          description: `The device that carries out the commands of ${origin.thing.id}`,
          encodingType: 'text/plain',
          metadata: origin.device,
        };
    }
  }

  #times(): JsonObject {
    const { extents } = this;
    if (extents === undefined) return {};
    return {
      phenomenonTime: writeSpan(extents.phenomenonTime),
      ...(extents.resultTime === undefined ? {} : { resultTime: writeSpan(extents.resultTime) }),
    };
  }
}

/** Its name; of an entity that has none what its id says behind the type. */
export function nameOf({ id, entity }: StoredEntity): string {
  return textNamed(entity, 'name') ?? /^urn:ngsi-ld:[^:]+:(.+)$/.exec(id)?.[1] ?? (id.split(/[:/]/).at(-1) as string);
}

function entityProperties(type: TypeModel, stored: StoredEntity): JsonObject {
  const { entity } = stored;
  const own = TYPE[type.set as keyof typeof TYPE];
  if (own !== undefined && own !== TYPE.Things && entity.types.includes(own)) return companionProperties(type, stored);
  const described = { name: nameOf(stored), description: textNamed(entity, 'description') ?? '' };
  switch (type.set) {
    case 'Things': {
      const properties = thingMembers(stored);
      return properties === undefined ? described : { ...described, properties };
    }
    case 'Locations':
      return { ...described, encodingType: GEOJSON, location: placeOf(entity) as unknown as JsonValue };
    case 'FeaturesOfInterest':
      return { ...described, encodingType: GEOJSON, feature: placeOf(entity) as unknown as JsonValue };
    default:
      return { ...described, encodingType: 'text/plain', metadata: textNamed(entity, 'documentation') ?? stored.id };
  }
}

function companionProperties(type: TypeModel, { entity }: StoredEntity): JsonObject {
  const properties: Record<string, JsonValue> = {};
  for (const property of type.properties) {
    const value = property.computed === true ? undefined : decodeProperty(entity, property);
    if (value !== undefined) properties[property.name] = value;
  }
  return properties;
}

/** What else the entity says: its attributes that are neither measurements nor links, by their short names, and what a client wrote as `properties`. */
function thingMembers({ entity }: StoredEntity): JsonObject | undefined {
  const written = attributeValue(entity, term('properties'));
  const members: Record<string, JsonValue> = {};
  for (const [name, instances] of Object.entries(entity.attributes) as [Iri, readonly AttributeInstance[]][]) {
    const [first] = instances;
    if (first === undefined || OWN.has(name) || instances.some((instance) => isMeasured(entity, name, instance))) continue;
    const short = localName(name);
    if (first.type !== 'GeoProperty' && short !== 'name' && short !== 'description') members[short] = plainValue(first);
  }
  const all = { ...members, ...(typeof written === 'object' && written !== null ? (written as JsonObject) : {}) };
  return Object.keys(all).length === 0 ? undefined : all;
}

function seriesProperties(type: TypeModel, origin: Extract<Origin, { kind: 'series' }>): JsonObject {
  const { thing, series, companion } = origin;
  if (companion !== undefined) {
    const area = attributeValue(companion.entity, OBSERVED_AREA);
    return { ...companionProperties(type, companion), ...(area === undefined ? {} : { observedArea: area }) };
  }
  const instance = instanceOf(thing.entity, series.name, series.datasetId);
  const short = localName(observedName(thing.entity, series.name));
  const value = instance === undefined ? undefined : instanceValue(instance);
  const code = (instance as { unitCode?: string } | undefined)?.unitCode ?? unitNamed(thing, series.name);
  const area = placeOf(thing.entity);
  return {
    name: `${nameOf(thing)} ${short}`,
    description: `${short} of ${thing.id}`,
    observationType: OBSERVATION_TYPES + observationType(value),
    unitOfMeasurement: unitOfMeasurement(code),
    ...(area === undefined ? {} : { observedArea: area as unknown as JsonValue }),
  };
}

/** DeviceMeasurement says the unit of its number apart. */
const unitNamed = ({ entity }: StoredEntity, name: Iri): string | undefined =>
  localName(name) === 'numValue' ? textNamed(entity, 'unit') : undefined;

function observationType(value: JsonValue | undefined): string {
  if (typeof value === 'number') return 'Measurement';
  if (typeof value === 'boolean') return 'TruthObservation';
  return typeof value === 'string' ? 'CategoryObservation' : 'Observation';
}

/** The unit that Observations of a series have in NGSI-LD: that of its companion, else that of the current value. */
export function unitCodeOfSeries({ thing, series, companion }: Extract<Origin, { kind: 'series' }>): string | undefined {
  if (companion !== undefined) return unitCodeOf(attributeValue(companion.entity, term('unitOfMeasurement')));
  return (instanceOf(thing.entity, series.name, series.datasetId) as { unitCode?: string } | undefined)?.unitCode;
}

/** True if the entity was given Datastreams through SensorThings. */
export const hasMade = (stored: StoredEntity): boolean => stored.entity.attributes[DATASTREAMS] !== undefined;
