/** The entity sets of SensorThings, by the names that URLs use. */
export type SetName =
  | 'Things'
  | 'Locations'
  | 'HistoricalLocations'
  | 'Datastreams'
  | 'MultiDatastreams'
  | 'Sensors'
  | 'ObservedProperties'
  | 'Observations'
  | 'FeaturesOfInterest'
  | 'TaskingCapabilities'
  | 'Tasks'
  | 'Actuators'
  | 'Parties'
  | 'Licenses'
  | 'Campaigns'
  | 'ObservationGroups'
  | 'Relations';

/** The standard that defines a set: OGC 18-088, its extension for results that are lists, 17-079r1 (Tasking), or 22-022r1 (STAplus). */
export type Part = 'sensing' | 'multi' | 'tasking' | 'plus';

/**
 * What a property holds. `time` is an instant or an interval; `geometry` is a GeoJSON geometry or Feature, or whatever the encodingType says; `unit` an
 * object of name, symbol and definition; `json` any value.
 */
export type PropertyKind =
  | 'text'
  | 'json'
  | 'object'
  | 'instant'
  | 'interval'
  | 'time'
  | 'geometry'
  | 'unit'
  | 'units'
  | 'texts';

export interface PropertyModel {
  readonly name: string;
  readonly kind: PropertyKind;
  readonly mandatory?: true;
  /** Said by the service; what a client sends is ignored. `kept`: it is stored with the entity. */
  readonly computed?: true | 'kept';
  /** Texts that it may have, if not any. */
  readonly values?: readonly string[];
}

export interface LinkModel {
  readonly name: string;
  readonly to: SetName;
  readonly many: boolean;
  /** At least one is needed to create the entity. */
  readonly mandatory?: true;
  /** The link back: its name at the other end. */
  readonly inverse: string;
}

/** One entity type (tables 1 to 28 of 18-088, and those of its extensions), in the order in which its members are shown. */
export interface TypeModel {
  readonly set: SetName;
  /** Singular: "Thing". */
  readonly type: string;
  readonly part: Part;
  readonly properties: readonly PropertyModel[];
  readonly links: readonly LinkModel[];
}

const text = (name: string): PropertyModel => ({ name, kind: 'text', mandatory: true });
const must = (name: string, kind: PropertyKind): PropertyModel => ({ name, kind, mandatory: true });
const may = (name: string, kind: PropertyKind): PropertyModel => ({ name, kind });
const computed = (name: string, kind: PropertyKind): PropertyModel => ({ name, kind, computed: true });
const NAMED = [text('name'), text('description')];
const OPEN = may('properties', 'object');

const one = (name: string, to: SetName, inverse: string): LinkModel => ({ name, to, inverse, many: false, mandatory: true });
const oneOf = (name: string, to: SetName, inverse: string): LinkModel => ({ name, to, inverse, many: false });
const many = (name: SetName, inverse: string): LinkModel => ({ name, to: name, inverse, many: true });
const some = (name: SetName, inverse: string): LinkModel => ({ name, to: name, inverse, many: true, mandatory: true });

/** STAplus: who owns it, and on which terms others may use it. */
const party = (inverse: SetName) => oneOf('Party', 'Parties', inverse);
const OWNED = (inverse: SetName) => [party(inverse), oneOf('License', 'Licenses', inverse)];

const EXTENTS = [computed('observedArea', 'json'), computed('phenomenonTime', 'interval'), computed('resultTime', 'interval')];

export const TYPES: readonly TypeModel[] = [
  {
    set: 'Things',
    type: 'Thing',
    part: 'sensing',
    properties: [...NAMED, OPEN],
    links: [
      many('Locations', 'Things'),
      many('HistoricalLocations', 'Thing'),
      many('Datastreams', 'Thing'),
      many('MultiDatastreams', 'Thing'),
      many('TaskingCapabilities', 'Thing'),
      party('Things'),
    ],
  },
  {
    set: 'Locations',
    type: 'Location',
    part: 'sensing',
    properties: [...NAMED, text('encodingType'), must('location', 'geometry'), OPEN],
    links: [many('Things', 'Locations'), many('HistoricalLocations', 'Locations')],
  },
  {
    set: 'HistoricalLocations',
    type: 'HistoricalLocation',
    part: 'sensing',
    properties: [must('time', 'instant')],
    links: [one('Thing', 'Things', 'HistoricalLocations'), some('Locations', 'HistoricalLocations')],
  },
  {
    set: 'Datastreams',
    type: 'Datastream',
    part: 'sensing',
    properties: [...NAMED, text('observationType'), must('unitOfMeasurement', 'unit'), ...EXTENTS, OPEN],
    links: [
      one('Thing', 'Things', 'Datastreams'),
      one('Sensor', 'Sensors', 'Datastreams'),
      one('ObservedProperty', 'ObservedProperties', 'Datastreams'),
      many('Observations', 'Datastream'),
      ...OWNED('Datastreams'),
      many('Campaigns', 'Datastreams'),
    ],
  },
  {
    set: 'MultiDatastreams',
    type: 'MultiDatastream',
    part: 'multi',
    properties: [
      ...NAMED,
      text('observationType'),
      must('multiObservationDataTypes', 'texts'),
      must('unitOfMeasurements', 'units'),
      ...EXTENTS,
      OPEN,
    ],
    links: [
      one('Thing', 'Things', 'MultiDatastreams'),
      one('Sensor', 'Sensors', 'MultiDatastreams'),
      some('ObservedProperties', 'MultiDatastreams'),
      many('Observations', 'MultiDatastream'),
      ...OWNED('MultiDatastreams'),
      many('Campaigns', 'MultiDatastreams'),
    ],
  },
  {
    set: 'Sensors',
    type: 'Sensor',
    part: 'sensing',
    properties: [...NAMED, text('encodingType'), must('metadata', 'json'), OPEN],
    links: [many('Datastreams', 'Sensor'), many('MultiDatastreams', 'Sensor')],
  },
  {
    set: 'ObservedProperties',
    type: 'ObservedProperty',
    part: 'sensing',
    properties: [text('name'), text('definition'), text('description'), OPEN],
    links: [many('Datastreams', 'ObservedProperty'), many('MultiDatastreams', 'ObservedProperties')],
  },
  {
    set: 'Observations',
    type: 'Observation',
    part: 'sensing',
    properties: [
      may('phenomenonTime', 'time'),
      must('result', 'json'),
      may('resultTime', 'instant'),
      may('resultQuality', 'json'),
      may('validTime', 'interval'),
      may('parameters', 'object'),
    ],
    links: [
      oneOf('Datastream', 'Datastreams', 'Observations'),
      oneOf('MultiDatastream', 'MultiDatastreams', 'Observations'),
      oneOf('FeatureOfInterest', 'FeaturesOfInterest', 'Observations'),
      many('ObservationGroups', 'Observations'),
      // Relations in which it is the Subject, and those in which it is the Object.
      { name: 'Objects', to: 'Relations', inverse: 'Subject', many: true },
      { name: 'Subjects', to: 'Relations', inverse: 'Object', many: true },
    ],
  },
  {
    set: 'FeaturesOfInterest',
    type: 'FeatureOfInterest',
    part: 'sensing',
    properties: [...NAMED, text('encodingType'), must('feature', 'geometry'), OPEN],
    links: [many('Observations', 'FeatureOfInterest')],
  },
  {
    set: 'TaskingCapabilities',
    type: 'TaskingCapability',
    part: 'tasking',
    properties: [...NAMED, must('taskingParameters', 'object'), OPEN],
    links: [
      one('Thing', 'Things', 'TaskingCapabilities'),
      one('Actuator', 'Actuators', 'TaskingCapabilities'),
      many('Tasks', 'TaskingCapability'),
    ],
  },
  {
    set: 'Tasks',
    type: 'Task',
    part: 'tasking',
    properties: [
      must('taskingParameters', 'object'),
      may('creationTime', 'instant'),
      // Of the device's command, if it is one: not in the standard, which says nothing of what becomes of a Task.
      { name: 'status', kind: 'text', computed: 'kept' },
      { name: 'info', kind: 'json', computed: 'kept' },
    ],
    links: [one('TaskingCapability', 'TaskingCapabilities', 'Tasks')],
  },
  {
    set: 'Actuators',
    type: 'Actuator',
    part: 'tasking',
    properties: [...NAMED, text('encodingType'), must('metadata', 'json'), OPEN],
    links: [many('TaskingCapabilities', 'Actuator')],
  },
  {
    set: 'Parties',
    type: 'Party',
    part: 'plus',
    // No open properties: nothing personal is to be kept here.
    properties: [
      { name: 'role', kind: 'text', mandatory: true, values: ['individual', 'institutional'] },
      may('authId', 'text'),
      may('displayName', 'text'),
      may('description', 'text'),
    ],
    links: (['Things', 'Datastreams', 'MultiDatastreams', 'Campaigns', 'ObservationGroups'] as const).map((set) =>
      many(set, 'Party'),
    ),
  },
  {
    set: 'Licenses',
    type: 'License',
    part: 'plus',
    properties: [
      text('name'),
      text('definition'),
      may('description', 'text'),
      may('logo', 'text'),
      may('attributionText', 'text'),
    ],
    links: (['Datastreams', 'MultiDatastreams', 'Campaigns', 'ObservationGroups'] as const).map((set) => many(set, 'License')),
  },
  {
    set: 'Campaigns',
    type: 'Campaign',
    part: 'plus',
    properties: [
      ...NAMED,
      may('classification', 'text'),
      text('termsOfUse'),
      may('privacyPolicy', 'text'),
      must('creationTime', 'instant'),
      may('startTime', 'instant'),
      may('endTime', 'instant'),
      may('url', 'text'),
      OPEN,
    ],
    links: [
      ...OWNED('Campaigns'),
      many('Datastreams', 'Campaigns'),
      many('MultiDatastreams', 'Campaigns'),
      many('ObservationGroups', 'Campaigns'),
    ],
  },
  {
    set: 'ObservationGroups',
    type: 'ObservationGroup',
    part: 'plus',
    properties: [
      ...NAMED,
      may('purpose', 'text'),
      must('creationTime', 'instant'),
      may('endTime', 'instant'),
      may('termsOfUse', 'text'),
      may('privacyPolicy', 'text'),
      may('dataQuality', 'object'),
      OPEN,
    ],
    links: [
      ...OWNED('ObservationGroups'),
      many('Observations', 'ObservationGroups'),
      many('Relations', 'ObservationGroups'),
      many('Campaigns', 'ObservationGroups'),
    ],
  },
  {
    set: 'Relations',
    type: 'Relation',
    part: 'plus',
    properties: [text('role'), may('description', 'text'), may('externalResource', 'text'), OPEN],
    links: [
      one('Subject', 'Observations', 'Objects'),
      oneOf('Object', 'Observations', 'Subjects'),
      many('ObservationGroups', 'Relations'),
    ],
  },
];

/** The sets that one service root shows; links to others are left out. */
export class Model {
  readonly #types = new Map<string, TypeModel>();

  constructor(parts: readonly Part[]) {
    const shown = TYPES.filter(({ part }) => parts.includes(part));
    const sets = new Set<SetName>(shown.map(({ set }) => set));
    for (const type of shown) this.#types.set(type.set, { ...type, links: type.links.filter(({ to }) => sets.has(to)) });
  }

  get types(): Iterable<TypeModel> {
    return this.#types.values();
  }

  /** undefined: there is no such set here. */
  find(set: string): TypeModel | undefined {
    return this.#types.get(set);
  }

  of(set: SetName): TypeModel {
    const found = this.#types.get(set);
    if (found === undefined) throw new TypeError(`This service root has no ${set}`);
    return found;
  }

  link(set: SetName, name: string): LinkModel | undefined {
    return this.of(set).links.find((link) => link.name === name);
  }

  property(set: SetName, name: string): PropertyModel | undefined {
    return this.of(set).properties.find((property) => property.name === name);
  }
}

export const SENSING = new Model(['sensing', 'multi']);
/** Everything there is (ADR-0006). */
export const STAPLUS = new Model(['sensing', 'multi', 'tasking', 'plus']);
