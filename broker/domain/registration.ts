import { relate } from './geometry/relate.ts';
import type { Geometry } from './geometry.ts';
import type { TemporalFilter } from './history.ts';
import type { Iri } from './iri.ts';
import { compileGeo } from './query/geo.ts';
import { compilePattern } from './query/pattern.ts';
import type { Condition, GeoCondition, TypeSelection } from './query/query.ts';
import { typesMatch } from './query/types.ts';
import { type Instant, type Micros, toMicros } from './time.ts';

/** 4.3.6.2, 4.3.6.3: how what a source has relates to what this broker has. */
export const REGISTRATION_MODES = ['inclusive', 'exclusive', 'redirect', 'auxiliary'] as const;
export type RegistrationMode = (typeof REGISTRATION_MODES)[number];

/** Some entities, or some attributes, or some attributes of some entities (5.2.10). Names are IRIs. */
export interface RegistrationInfo {
  /** Absent: any entity. */
  readonly entities?: readonly EntityInfo[];
  /** propertyNames, then relationshipNames, in the order given; absent: any attribute. */
  readonly attributes?: readonly Iri[];
}

/** 5.2.8. Without id and idPattern: every entity of the types. A source may leave out the types, which 5.2.8 does not foresee but registrants do. */
export interface EntityInfo {
  readonly types?: readonly Iri[];
  readonly id?: Iri;
  readonly idPattern?: string;
}

/** 5.2.11. Without end it is open. */
export interface TimeInterval {
  readonly start: Micros;
  readonly end?: Micros;
}

/** What a context source registration says that decides whether, and how, its source is asked (5.2.9). Plain JSON. */
export interface Registration {
  readonly id: Iri;
  readonly endpoint: string;
  readonly mode: RegistrationMode;
  readonly information: readonly RegistrationInfo[];
  /** Names of 4.20, groups taken apart. */
  readonly operations: readonly string[];
  /** The tenant at the source; absent: its default one. The caller's tenant never travels (4.14). */
  readonly tenant?: string;
  /** How the source calls itself in Via (4.3.6.4). */
  readonly alias?: string;
  readonly datasetIds?: readonly (Iri | '@none')[];
  readonly scopes?: readonly string[];
  readonly location?: Geometry;
  readonly observationSpace?: Geometry;
  readonly operationSpace?: Geometry;
  readonly observationInterval?: TimeInterval;
  readonly managementInterval?: TimeInterval;
  readonly expiresAt?: Instant;
  /** contextSourceInfo: in the order given. */
  readonly info: readonly { readonly key: string; readonly value: string }[];
  /** 5.2.34: the source answers from what it holds itself. */
  readonly localOnly: boolean;
  readonly timeoutMs?: number;
  readonly cooldownMs?: number;
  /** For how long a reply to a read may be used again (`cacheDuration`). */
  readonly cacheMicros?: Micros;
}

/** Groups of Table 4.20-2. */
const READ_OPERATIONS = [
  'retrieveEntity', 'queryEntity', 'queryBatch', 'retrieveEntityTypes', 'retrieveEntityTypeDetails', 'retrieveEntityTypeInfo', 'retrieveAttrTypes',
  'retrieveAttrTypeDetails', 'retrieveAttrTypeInfo',
]; // biome-ignore format: a list to be read as one
const SUBSCRIPTION_OPERATIONS = [
  'createSubscription',
  'updateSubscription',
  'retrieveSubscription',
  'querySubscription',
  'deleteSubscription',
];
const ENTITY_MAP_OPERATIONS = ['retrieveEntityMap', 'updateEntityMap', 'deleteEntityMap', 'createEntityMapQueryEntity'];
export const OPERATION_GROUPS: Readonly<Record<string, readonly string[]>> = {
  federationOps: [...READ_OPERATIONS, ...SUBSCRIPTION_OPERATIONS, ...ENTITY_MAP_OPERATIONS, 'retrieveContextSourceIdentity'],
  associationOps: [...READ_OPERATIONS, ...SUBSCRIPTION_OPERATIONS, 'retrieveContextSourceIdentity'],
  updateOps: ['updateEntity', 'updateAttrs', 'replaceEntity', 'replaceAttrs'],
  retrieveOps: ['retrieveEntity', 'queryEntity'],
  redirectionOps: [
    'createEntity', 'updateEntity', 'appendAttrs', 'updateAttrs', 'deleteAttrs', 'deleteEntity', 'mergeEntity', 'replaceEntity', 'replaceAttrs', 'purgeEntity',
    ...READ_OPERATIONS.filter((name) => name !== 'queryBatch'), ...ENTITY_MAP_OPERATIONS, 'retrieveContextSourceIdentity',
  ], // biome-ignore format: a list to be read as one
};

/** Table 4.20-1: every operation that a source may offer. */
export const OPERATION_NAMES: ReadonlySet<string> = new Set([
  ...Object.values(OPERATION_GROUPS).flat(),
  'createBatch', 'upsertBatch', 'updateBatch', 'deleteBatch', 'mergeBatch', 'upsertTemporal', 'appendAttrsTemporal', 'deleteAttrsTemporal',
  'updateAttrInstanceTemporal', 'deleteAttrInstanceTemporal', 'deleteTemporal', 'retrieveTemporal', 'queryTemporal', 'createEntityMapQueryTemporal',
]); // biome-ignore format: a list to be read as one

/** What an auxiliary source may be asked (5.9.2.4). */
export const AUXILIARY_OPERATIONS: ReadonlySet<string> = new Set(['retrieveOps', 'retrieveEntity', 'queryEntity']);

/** The specification of entities and attributes that 5.12 matches with registrations. What is absent restricts nothing. */
export interface RegistrationMatch {
  readonly ids?: readonly Iri[];
  readonly idPattern?: string;
  readonly types?: TypeSelection;
  /** At least one of these. */
  readonly attributes?: readonly Iri[];
  readonly datasetIds?: readonly (Iri | '@none')[];
}

/** 5.12: the elements of `information` that match, which is none if the registration as a whole does not. */
export function matchingInformation(registration: Registration, match: RegistrationMatch): readonly RegistrationInfo[] {
  const { datasetIds } = match;
  if (datasetIds && registration.datasetIds && !registration.datasetIds.some((one) => datasetIds.includes(one))) return [];
  return registration.information.filter((info) => informationMatches(info, match));
}

/** 5.12 for one RegistrationInfo. */
export function informationMatches(info: RegistrationInfo, match: RegistrationMatch): boolean {
  const { attributes } = match;
  if (info.attributes && attributes && !attributes.some((name) => info.attributes?.includes(name))) return false;
  return info.entities === undefined || info.entities.some((one) => entityInfoMatches(one, match));
}

/** 5.12 for one EntityInfo. Both an id and an idPattern: the id counts (5.2.8). */
export function entityInfoMatches(info: EntityInfo, { ids, idPattern, types }: RegistrationMatch): boolean {
  if (types && info.types && !typesMatch(types, info.types)) return false;
  if (info.id !== undefined) {
    if (ids) return ids.includes(info.id);
    return idPattern === undefined || compilePattern(idPattern)(info.id);
  }
  // Whether two patterns have a match in common cannot be told, so they might.
  if (info.idPattern !== undefined && ids) return ids.some(compilePattern(info.idPattern));
  return true;
}

/** Attributes of one entity that a registration covers: those named, or all (`undefined`); "none" if the entity is not covered. */
export function coveredAttributes(
  information: readonly RegistrationInfo[],
  entity: Pick<RegistrationMatch, 'ids' | 'types'>,
): readonly Iri[] | undefined | 'none' {
  const covering = information.filter((info) => informationMatches(info, entity));
  if (covering.length === 0) return 'none';
  if (covering.some((info) => info.attributes === undefined)) return undefined;
  return [...new Set(covering.flatMap((info) => info.attributes ?? []))];
}

/** Proxied: what is registered is not held here (4.3.6.3). */
export const isProxied = ({ mode }: Pick<Registration, 'mode'>): boolean => mode === 'exclusive' || mode === 'redirect';

/** For sources of temporal information, which are asked about nothing else (5.9.1). */
export const isTemporal = ({ observationInterval, managementInterval }: Registration): boolean =>
  observationInterval !== undefined || managementInterval !== undefined;

export function hasExpired({ expiresAt }: Pick<Registration, 'expiresAt'>, now: Micros): boolean {
  return expiresAt !== undefined && toMicros(expiresAt) <= now;
}

/**
 * 5.10.2.4: whether the interval that the filter's time property belongs to has something to do with the time asked for. For a time span: they
 * overlap. `before` and `after` ask for half of all time, of which the interval must contain some part, its ends included.
 */
export function intervalMatches(registration: Registration, { property, time }: TemporalFilter): boolean {
  const interval = property === 'observedAt' ? registration.observationInterval : registration.managementInterval;
  if (interval === undefined) return false;
  if (time === undefined) return true;
  const { start, end = Number.POSITIVE_INFINITY } = interval;
  if (time.relation === 'before') return start <= time.at;
  if (time.relation === 'after') return end >= time.at;
  return start <= time.end && end >= time.at;
}

const SPACES: Readonly<Record<string, 'location' | 'observationSpace' | 'operationSpace'>> = {
  'https://uri.etsi.org/ngsi-ld/location': 'location',
  'https://uri.etsi.org/ngsi-ld/observationSpace': 'observationSpace',
  'https://uri.etsi.org/ngsi-ld/operationSpace': 'operationSpace',
};

/**
 * 5.10.2.4: the registered geometry matches the geoquery, or contains places that might.
 * @param unknown the answer if the registration says nothing about that GeoProperty
 */
export function spaceMatches(registration: Registration, condition: GeoCondition, unknown: boolean): boolean {
  const space = SPACES[condition.property];
  const area = space === undefined ? undefined : registration[space];
  if (area === undefined) return unknown;
  if (compileGeo(condition)(area)) return true;
  // A point is what it is; only an area has other places inside.
  if (area.type === 'Point' || condition.relation === 'contains') return false;
  if (condition.relation === 'near') return condition.minDistanceM !== undefined;
  if (condition.relation === 'disjoint') return !relate(area, condition.geometry, 'within');
  return relate(area, condition.geometry, 'intersects');
}

/** The geoqueries that must hold for the condition to hold. */
export function geoConditions(where: Condition | undefined): readonly GeoCondition[] {
  if (where?.kind === 'geo') return [where];
  return where?.kind === 'and' ? where.of.flatMap(geoConditions) : [];
}

/** Attributes that a condition looks at first: they take part in matching registrations (5.10.2.4). */
export function attributesOf(where: Condition | undefined): readonly Iri[] {
  if (where === undefined) return [];
  switch (where.kind) {
    case 'and':
    case 'or':
      return where.of.flatMap(attributesOf);
    case 'not':
      return attributesOf(where.of);
    case 'geo':
      return [where.property];
    default:
      return where.path.names.slice(0, 1);
  }
}

/**
 * 4.3.6.3, 5.9.2.4: whether a new proxied registration contradicts another one: an exclusive one tolerates no proxied one about the same attributes
 * of its entity, and so a redirect one tolerates no exclusive one. Redirect ones may overlap.
 */
export function conflict(one: Registration, other: Registration): boolean {
  if (!isProxied(one) || !isProxied(other)) return false;
  if (one.mode !== 'exclusive' && other.mode !== 'exclusive') return false;
  const [exclusive, rival] = one.mode === 'exclusive' ? [one, other] : [other, one];
  return exclusive.information.some((info) =>
    (info.entities ?? []).some(
      ({ id, types }) =>
        id !== undefined &&
        matchingInformation(rival, {
          ids: [id],
          ...(types ? { types: { kind: 'any', of: types.map((type) => ({ kind: 'type', type })) } } : {}),
          ...(info.attributes ? { attributes: info.attributes } : {}),
        }).length > 0,
    ),
  );
}
