import type { AttributeInstance } from '../../domain/attribute.ts';
import type { Entity } from '../../domain/entity.ts';
import type { TemporalFilter } from '../../domain/history.ts';
import type { Iri } from '../../domain/iri.ts';
import { isObject, type JsonValue } from '../../domain/json.ts';
import { compileCondition } from '../../domain/query/evaluate.ts';
import type { Condition, ScopeSelection } from '../../domain/query/query.ts';
import { scopesMatch } from '../../domain/query/scope.ts';
import {
  geoConditions,
  informationMatches,
  intervalMatches,
  isTemporal,
  matchingInformation,
  type RegistrationInfo,
  type RegistrationMatch,
  spaceMatches,
} from '../../domain/registration.ts';
import type { RegistrationInForce } from './registrations-in-force.ts';

/** What a query for registrations, or a subscription to them, selects (5.10.2.4, 5.11.2.4). Names are IRIs. */
export interface RegistrationSelection {
  /** At least one of them matches. */
  readonly matches: readonly RegistrationMatch[];
  /** Geoqueries in it are matched with the registered geometries. */
  readonly where?: Condition;
  readonly scopes?: ScopeSelection;
  /** Absent: sources of the latest information. */
  readonly temporal?: TemporalFilter;
  /** Context source filter (csf). */
  readonly filter?: Condition;
  /** A registration that says nothing about a space may have something there: asking a source is not discovering it. */
  readonly anySpace?: true;
}

const NONE: readonly RegistrationInfo[] = [];
const NGSI_LD = 'https://uri.etsi.org/ngsi-ld/';

/** The elements of `information` that match, none if the registration does not (5.10.2.5). */
export function selectedInformation(
  { document, registration }: RegistrationInForce,
  selection: RegistrationSelection,
): readonly RegistrationInfo[] {
  const { matches, where, scopes, temporal, filter, anySpace } = selection;
  // Most registrations are about something else: found out first, and without making anything.
  if (!registration.information.some((info) => matches.some((match) => informationMatches(info, match)))) return NONE;
  if (temporal ? !intervalMatches(registration, temporal) : isTemporal(registration)) return [];
  if (scopes && registration.scopes && !scopesMatch(scopes, registration.scopes)) return [];
  if (!geoConditions(where).every((condition) => spaceMatches(registration, condition, anySpace === true))) return [];
  if (filter && !compileCondition(filter)(propertiesOf(document.members))) return [];
  const found = new Set(matches.flatMap((match) => matchingInformation(registration, match)));
  return registration.information.filter((info) => found.has(info));
}

/** The Context Source Properties as an entity, for csf (4.9). */
function propertiesOf(members: Readonly<Record<string, JsonValue>>): Entity {
  const attributes: Record<Iri, readonly AttributeInstance[]> = {};
  for (const [name, given] of Object.entries(members)) {
    if (name === 'information') continue;
    const value = isObject(given) && given['type'] === 'Property' && given['value'] !== undefined ? given['value'] : given;
    attributes[(name.includes(':') ? name : `${NGSI_LD}${name}`) as Iri] = [{ type: 'Property', value }];
    // Terms that the core @context does not define are read as names of the default vocabulary.
    if (!name.includes(':')) attributes[`${NGSI_LD}default-context/${name}` as Iri] = [{ type: 'Property', value }];
  }
  return { attributes } as unknown as Entity;
}
