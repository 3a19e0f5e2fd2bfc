import type { MapInUse } from './distribution.ts';
import { badRequest } from './errors.ts';
import type { Period } from './history.ts';
import { type Iri, isIri } from './iri.ts';
import type { JsonObject } from './json.ts';
import { addPeriods } from './period.ts';
import { fromMicros, type Instant, instant, type Micros, toMicros } from './time.ts';

/** The entities that were candidates of a query when it was first asked (4.5.25): what later pages of it are taken from (5.5.9.3). */
export interface EntityMap {
  readonly id: Iri;
  readonly expiresAt: Instant;
  /** In the order of the query. An entity that no longer fits leaves a gap, so that the places of the others stay what they were. */
  readonly ids: readonly (Iri | null)[];
  /** Registrations by entity, where it is not held here alone; "@none" stands for here. */
  readonly sources?: Readonly<Record<Iri, readonly string[]>>;
  /** The EntityMap of each context source that has one, by registration. */
  readonly linkedMaps?: Readonly<Record<Iri, Iri>>;
  /** Tells the query that it was made for from others: only the same query may find that an entity no longer fits. */
  readonly madeFor?: string;
}

/** What EntityMaps may cost. */
export interface EntityMapLimits {
  /** Entities in one map. */
  readonly entities: number;
  /** Maps of one tenant; those that end first make room. */
  readonly maps: number;
  /** How long a map lives if nobody says, and at most. */
  readonly lifetimeS: number;
  readonly longestLifetimeS: number;
}

export const ENTITY_MAP_LIMITS: EntityMapLimits = { entities: 100_000, maps: 100, lifetimeS: 600, longestLifetimeS: 86_400 };

/** When a map ends that was asked to live so long: never later than the limit, "possibly overriding the requested duration" (6.4.3.2). */
export function endOf(now: Micros, lifetime: Period | undefined, limits: EntityMapLimits): Instant {
  const wanted = lifetime === undefined ? now + limits.lifetimeS * 1e6 : addPeriods(now, lifetime, 1);
  return fromMicros(Math.min(wanted, now + limits.longestLifetimeS * 1e6));
}

/** Update EntityMap (5.14.2.4): only expiresAt is the client's to say, output-only members are ignored. @throws DomainError BadRequestData */
export function updatedMap(map: EntityMap, fragment: JsonObject, now: Micros, limits: EntityMapLimits): EntityMap {
  const { type, expiresAt } = fragment;
  if (type !== undefined && type !== 'EntityMap') throw badRequest('The type of an EntityMap must be "EntityMap"');
  if (expiresAt === undefined) return map;
  const wanted = toMicros(instant(expiresAt, 'expiresAt'));
  return { ...map, expiresAt: fromMicros(Math.min(wanted, now + limits.longestLifetimeS * 1e6)) };
}

/** What the map says about context sources (5.5.14). @param ids the entities that are looked for */
export function inUse({ sources = {}, linkedMaps = {} }: EntityMap, ids: readonly Iri[]): MapInUse {
  return {
    idsAt: (registration) => ids.filter((id) => sources[id]?.includes(registration)),
    linked: (registration) => linkedMaps[registration],
  };
}

/** As 5.2.39 shows it. */
export function entityMapBody({ id, expiresAt, ids, sources, linkedMaps }: EntityMap): JsonObject {
  const entityMap: Record<string, readonly string[]> = {};
  for (const entity of ids) if (entity !== null) entityMap[entity] = sources?.[entity] ?? LOCAL;
  return { id, type: 'EntityMap', expiresAt, entityMap, ...(linkedMaps === undefined ? {} : { linkedMaps }) };
}
const LOCAL: readonly string[] = ['@none'];

/** The id that a NGSILD-EntityMap header means: it carries the resource's URI, or the id alone. */
export function entityMapId(reference: string): Iri | undefined {
  const last = reference.slice(reference.lastIndexOf('/') + 1);
  for (const text of [decoded(last), reference]) if (isIri(text)) return text;
  return undefined;
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
