import type { Iri } from '../../iri.ts';
import type { SetName } from '../model.ts';

const DEFAULT = 'https://uri.etsi.org/ngsi-ld/default-context/';
const CORE: Readonly<Record<string, string>> = {
  description: 'http://purl.org/dc/terms/description',
  location: 'https://uri.etsi.org/ngsi-ld/location',
  properties: 'https://purl.org/geojson/vocab#properties',
  status: 'https://uri.etsi.org/ngsi-ld/status',
};

/** The IRI that a short name has for an NGSI-LD client which names no @context of its own. */
export const term = (name: string): Iri => (CORE[name] ?? DEFAULT + name) as Iri;

/** The last part of an IRI: what is behind the last "/", "#" or ":". */
export function localName(iri: string): string {
  for (let at = iri.length - 1; at >= 0; at--) {
    const code = iri.charCodeAt(at);
    if (code === SLASH || code === HASH || code === COLON) return iri.slice(at + 1);
  }
  return iri;
}
const [SLASH, HASH, COLON] = [0x2f, 0x23, 0x3a];

/** Types of the entities that are made through SensorThings. */
export const TYPE = {
  Things: term('Thing'),
  Locations: term('Location'),
  Datastreams: term('Datastream'),
  MultiDatastreams: term('MultiDatastream'),
  Sensors: term('Sensor'),
  ObservedProperties: term('ObservedProperty'),
  FeaturesOfInterest: term('FeatureOfInterest'),
  TaskingCapabilities: term('TaskingCapability'),
  Tasks: term('Task'),
  Actuators: term('Actuator'),
  Parties: term('Party'),
  Licenses: term('License'),
  Campaigns: term('Campaign'),
  ObservationGroups: term('ObservationGroup'),
  Relations: term('Relation'),
} as const satisfies Partial<Record<SetName, Iri>>;

/** Sets whose entities have an entity of their own here. */
export type EntitySet = keyof typeof TYPE;

export const isEntitySet = (set: SetName): set is EntitySet => Object.hasOwn(TYPE, set);

/** Types that say something about a Thing and are none. */
export const COMPANIONS: ReadonlySet<Iri> = new Set(Object.values(TYPE).filter((type) => type !== TYPE.Things));

/** Attributes with a meaning of their own. */
export const NAME = term('name');
export const DESCRIPTION = term('description');
export const LOCATION = term('location');
/** Of a Thing: its Locations since when; of a Location: its Things, and all that ever were there. */
export const LOCATIONS = term('locations');
export const THINGS = term('things');
export const VISITORS = term('visitors');
/** Of a Thing: one Relationship instance for each Datastream, whose datasetId is the Datastream's id; of a feature: the Datastreams that used it. */
export const DATASTREAMS = term('datastreams');
export const THING = term('thing');
export const SENSOR = term('sensor');
export const OBSERVED_PROPERTY = term('observedProperty');
/** Which attribute of the Thing holds the Observations, and under which datasetId. */
export const OBSERVES = term('observes');
export const DATASET = term('seriesDataset');
/** The Datastream is a MultiDatastream. */
export const MULTI = term('multi');
/** Of a Task: how far its commands are, one by one and all in all, and what the device said. */
export const COMMAND_STATES = term('commandStates');
export const STATUS = term('status');
export const INFO = term('info');
/** STAplus: who owns it. Of a Party: who that is for the broker. */
export const PARTY = term('party');
export const AUTH_ID = term('authId');
export const LICENSE = term('license');
/** Of a Relation: the Observations that it relates. */
export const SUBJECT = term('relationSubject');
export const OBJECT = term('relationObject');
/** Of a Relation: the entities whose Observations it relates, so that it is found when they go. */
export const RELATED = term('relatedThings');
/** Of a Location: the feature that was made of it. */
export const FEATURE = term('generatedFeature');
export const OBSERVED_AREA = term('observedArea');
/** Members of a Feature and others that are no plain geometry, word for word. */
export const VERBATIM_LOCATION = term('staLocation');

/** Sub-attributes of an Observation. */
export const PHENOMENON_END = term('phenomenonEnd');
export const RESULT_TIME = term('resultTime');
export const RESULT_QUALITY = term('resultQuality');
export const VALID_TIME = term('validTime');
export const PARAMETERS = term('parameters');
export const FEATURE_OF_INTEREST = term('featureOfInterest');

/** What is never shown among `properties`, nor taken for a measurement. */
export const OWN: ReadonlySet<Iri> = new Set([
  NAME,
  DESCRIPTION,
  LOCATION,
  LOCATIONS,
  THINGS,
  VISITORS,
  DATASTREAMS,
  THING,
  SENSOR,
  OBSERVED_PROPERTY,
  OBSERVES,
  DATASET,
  FEATURE,
  OBSERVED_AREA,
  VERBATIM_LOCATION,
  PARTY,
  term('properties'),
]);
