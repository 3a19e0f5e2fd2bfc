import type { AttributeInstance } from '../../attribute.ts';
import type { Entity } from '../../entity.ts';
import type { Iri } from '../../iri.ts';
import { COMPANIONS, DATASET, DATASTREAMS, localName, MULTI, OBSERVES, OWN, TYPE, term } from './vocabulary.ts';

/** Attributes of an entity that a Datastream stands for. */
export interface ThingSeries {
  readonly name: Iri;
  readonly datasetId: Iri | undefined;
  /** The entity with what SensorThings says of the Datastream; undefined: nobody said anything, all of it is computed. */
  readonly companion?: Iri;
  /** It is a MultiDatastream: results are lists. */
  readonly multi?: true;
}

/** Attributes of Smart Data Models that carry a time or a unit and are no measurements. */
const NO_MEASUREMENT = new Set(
  'name description address category dateObserved dateObservedFrom dateObservedTo dateLastValueReported dateModified dateCreated dateIssued TimeInstant deviceState status mnc mcc laneId validFrom validTo validity dateRetrieved dateFirstUsed dateInstalled controlledProperty unit'.split(
    ' ',
  ),
);

/** Attributes of Smart Data Models that are measured also where nobody says when or in which unit. */
const MEASURED = new Set(
  'availableSpotNumber occupiedSpotNumber availableBikeNumber freeSlotNumber outOfServiceSlotNumber fillingLevel batteryLevel occupancy occupied intensity averageVehicleSpeed averageHeadwayTime peopleCount rssi'.split(
    ' ',
  ),
);

/** Types of Smart Data Models whose numbers are measurements. */
const OBSERVED = /(Observed|Measurement|Forecast)$/;

/** Attributes that hold whatever their entity's `controlledProperty` names: `value` of a Device (which NGSI-LD has a word of its own for), and those of DeviceMeasurement. */
const CONTROLLED = new Set(['value', 'hasValue', 'numValue', 'textValue']);
const HAS_VALUE = 'https://uri.etsi.org/ngsi-ld/hasValue' as Iri;

export const isControlled = (name: Iri): boolean => CONTROLLED.has(localName(name));

/** What a measured attribute observes: itself, or what the entity says that it is about. */
export function observedName(entity: Pick<Entity, 'attributes'>, name: Iri): Iri {
  if (!isControlled(name)) return name;
  const controlled = controlledProperties(entity);
  return controlled.length === 1 ? (controlled[0] as Iri) : name;
}

/** Attributes that may observe a property: that of the name itself, and those that hold what controlledProperty names. */
export function observingNames(property: Iri): readonly Iri[] {
  const base = property.slice(0, property.length - localName(property).length);
  return [property, HAS_VALUE, ...[...CONTROLLED].map((short) => (base + short) as Iri)];
}

/** The properties that an entity names, in the vocabulary of the attribute that does so. */
function controlledProperties({ attributes }: Pick<Entity, 'attributes'>): readonly Iri[] {
  for (const name of Object.keys(attributes) as Iri[]) {
    const short = localName(name);
    if (short !== 'controlledProperty') continue;
    const [instance] = attributes[name] ?? [];
    const values = instance?.type === 'Property' ? [instance.value].flat() : [];
    const base = name.slice(0, name.length - short.length);
    return values
      .filter((value) => typeof value === 'string' && /^[A-Za-z]\w*$/.test(value))
      .map((value) => `${base}${value}` as Iri);
  }
  return [];
}

/** False: nothing under this name is ever an Observation, whatever it says. */
export const mayBeMeasured = (name: Iri): boolean => !OWN.has(name) && !NO_MEASUREMENT.has(localName(name));

/** True if an attribute instance is something that was measured (ADR-0006). */
export function isMeasured(
  { types, attributes }: Pick<Entity, 'types' | 'attributes'>,
  name: Iri,
  instance: AttributeInstance,
): boolean {
  const short = localName(name);
  if (OWN.has(name) || NO_MEASUREMENT.has(short)) return false;
  switch (instance.type) {
    case 'Property':
      if (instance.observedAt !== undefined || instance.unitCode !== undefined || MEASURED.has(short)) return true;
      if (CONTROLLED.has(short) && instance.value !== '' && controlledProperties({ attributes }).length > 0) return true;
      return typeof instance.value === 'number' && types.some((type) => OBSERVED.test(localName(type)));
    case 'ListProperty':
      return instance.observedAt !== undefined || instance.unitCode !== undefined;
    case 'JsonProperty':
      return instance.observedAt !== undefined;
    default:
      return false;
  }
}

/** An entity never changes, and is asked for each of its Observations. */
const known = new WeakMap<Entity, readonly ThingSeries[]>();

/** The Datastreams of an entity: those that SensorThings made, and one for each other attribute that is measured. */
export function seriesOf(entity: Entity): readonly ThingSeries[] {
  let series = known.get(entity);
  if (series === undefined) {
    series = readSeries(entity);
    known.set(entity, series);
  }
  return series;
}

function readSeries(entity: Entity): readonly ThingSeries[] {
  if (isCompanion(entity)) return [];
  const made = (entity.attributes[DATASTREAMS] ?? []).flatMap(madeSeries);
  const computed: ThingSeries[] = [];
  for (const [name, instances] of Object.entries(entity.attributes) as [Iri, readonly AttributeInstance[]][]) {
    for (const instance of instances) {
      if (!isMeasured(entity, name, instance)) continue;
      const { datasetId } = instance;
      if (!made.some((one) => one.name === name && one.datasetId === datasetId)) computed.push({ name, datasetId });
    }
  }
  return [...made, ...computed];
}

function madeSeries(instance: AttributeInstance): readonly ThingSeries[] {
  if (instance.type !== 'Relationship') return [];
  const text = (name: Iri) => {
    const inner = instance.attributes?.[name]?.[0];
    return inner?.type === 'Property' && typeof inner.value === 'string' ? (inner.value as Iri) : undefined;
  };
  const name = text(OBSERVES);
  if (name === undefined) return [];
  const multi = instance.attributes?.[MULTI] !== undefined;
  return [{ name, datasetId: text(DATASET), companion: [instance.object].flat()[0] as Iri, ...(multi ? { multi: true } : {}) }];
}

export const isCompanion = (entity: Entity): boolean => entity.types.some((type) => COMPANIONS.has(type));

/** Things: made as such, or with something that was measured (ADR-0006). */
export function isThing(entity: Entity): boolean {
  if (isCompanion(entity)) return false;
  return entity.types.includes(TYPE.Things) || seriesOf(entity).length > 0;
}

/** A name for the attribute that holds the Observations of a property of this name: "Air temperature" becomes airTemperature. */
export function coinedName(text: string): string {
  const words = text.normalize('NFKD').match(/[A-Za-z0-9]+/g) ?? [];
  const joined = words
    .map((word, at) => (at === 0 ? word.charAt(0).toLowerCase() : word.charAt(0).toUpperCase()) + word.slice(1))
    .join('');
  const name = joined.slice(0, 60);
  const taken = RESERVED.has(name) || OWN.has(term(name)) || NO_MEASUREMENT.has(name);
  return /^[A-Za-z]/.test(name) && !taken ? name : `observed${name.charAt(0).toUpperCase()}${name.slice(1)}`;
}

/** Members that NGSI-LD gives a meaning of its own. */
const RESERVED = new Set(
  'id type scope value object languageMap json vocab valueList objectList unitCode observedAt createdAt modifiedAt deletedAt expiresAt datasetId instanceId observationSpace operationSpace title entity'.split(
    ' ',
  ),
);
