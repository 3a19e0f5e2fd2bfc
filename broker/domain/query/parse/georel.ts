import { badRequest } from '../../errors.ts';
import { GEOMETRY_TYPES, geometryOf, isGeometryType } from '../../geometry.ts';
import type { Context } from '../../jsonld/context.ts';
import { LOCATION } from '../../representation.ts';
import type { GeoCondition } from '../query.ts';

/** The parameters of a geoquery (4.10), as they come; `geoproperty` alone is ignored. `coordinates` is JSON text in a URL, an array in a body (5.2.13). */
export interface GeoParameters {
  readonly georel?: string | undefined;
  readonly geometry?: string | undefined;
  readonly coordinates?: unknown;
  readonly geoproperty?: string | undefined;
}

const TOPOLOGICAL = ['within', 'contains', 'intersects', 'equals', 'disjoint', 'overlaps'] as const;
/** A JSON number without minus; that it is not zero is checked when it is read. */
const NEAR = /^near;(maxDistance|minDistance)==((?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?)$/;

/**
 * Reads a geoquery. @returns undefined if none of georel, geometry and coordinates is given
 * @throws DomainError BadRequestData if only some are, or one is wrong
 */
export function parseGeoQuery(parameters: GeoParameters, context: Context): GeoCondition | undefined {
  const { georel, geometry, coordinates, geoproperty } = parameters;
  if (georel === undefined) {
    if (geometry !== undefined || coordinates !== undefined) {
      throw badRequest('geometry and coordinates need georel, which says how to compare');
    }
    return undefined;
  }
  if (geometry === undefined || coordinates === undefined) {
    throw badRequest('georel needs geometry and coordinates, which say what to compare with');
  }
  if (!isGeometryType(geometry)) {
    throw badRequest(`geometry must be one of ${GEOMETRY_TYPES.join(', ')}, not ${JSON.stringify(geometry).slice(0, 80)}`);
  }
  return {
    kind: 'geo',
    property: geoproperty === undefined ? LOCATION : context.expand(geoproperty),
    geometry: geometryOf(geometry, readCoordinates(coordinates), 'coordinates'),
    ...parseGeorel(georel),
  };
}

/** Coordinates from a URL are JSON text. @throws DomainError BadRequestData */
export function readCoordinates(coordinates: unknown, what = 'coordinates'): unknown {
  if (typeof coordinates !== 'string') return coordinates;
  try {
    return JSON.parse(coordinates);
  } catch {
    throw badRequest(`${what} must be a JSON array such as [8,40], not ${JSON.stringify(coordinates.slice(0, 80))}`);
  }
}

/** `near;maxDistance==2000`, `within` … @throws DomainError BadRequestData */
export function parseGeorel(georel: string): Pick<GeoCondition, 'relation' | 'maxDistanceM' | 'minDistanceM'> {
  const relation = TOPOLOGICAL.find((name) => name === georel);
  if (relation !== undefined) return { relation };
  const near = NEAR.exec(georel);
  const distance = Number(near?.[2]);
  if (near === null || !Number.isFinite(distance) || distance <= 0) {
    throw badRequest(
      `georel must be near;maxDistance==<metres>, near;minDistance==<metres> or one of ${TOPOLOGICAL.join(', ')}, ` +
        `where metres are more than 0; it is ${JSON.stringify(georel.slice(0, 80))}`,
    );
  }
  return near[1] === 'maxDistance'
    ? { relation: 'near', maxDistanceM: distance }
    : { relation: 'near', minDistanceM: distance };
}

/** The text of a relation: what {@link parseGeorel} reads. */
export function printGeorel(condition: Pick<GeoCondition, 'relation' | 'maxDistanceM' | 'minDistanceM'>): string {
  if (condition.maxDistanceM !== undefined) return `near;maxDistance==${condition.maxDistanceM}`;
  if (condition.minDistanceM !== undefined) return `near;minDistance==${condition.minDistanceM}`;
  return condition.relation;
}
