import { badRequest } from './errors.ts';
import { isObject } from './json.ts';
import { limits } from './limits.ts';

/** GeoJSON geometries as 4.7 allows them; positions are [longitude, latitude, altitude?] in WGS 84 degrees. */
export type Position = readonly [number, number] | readonly [number, number, number];

export type Geometry =
  | { readonly type: 'Point'; readonly coordinates: Position }
  | { readonly type: 'MultiPoint' | 'LineString'; readonly coordinates: readonly Position[] }
  | { readonly type: 'MultiLineString' | 'Polygon'; readonly coordinates: readonly (readonly Position[])[] }
  | { readonly type: 'MultiPolygon'; readonly coordinates: readonly (readonly (readonly Position[])[])[] }
  | { readonly type: 'GeometryCollection'; readonly geometries: readonly Geometry[] };

/** The geometries that an attribute or a query may carry: all of RFC 7946 except GeometryCollection (4.7.1). */
export const GEOMETRY_TYPES = ['Point', 'MultiPoint', 'LineString', 'MultiLineString', 'Polygon', 'MultiPolygon'] as const;
export type GeometryType = (typeof GEOMETRY_TYPES)[number];

/** Nesting of `coordinates` by type: 0 is one position, 1 a list of positions … */
const DEPTH: Record<GeometryType, 0 | 1 | 2 | 3> = {
  Point: 0,
  MultiPoint: 1,
  LineString: 1,
  MultiLineString: 2,
  Polygon: 2,
  MultiPolygon: 3,
};

export function isGeometryType(type: unknown): type is GeometryType {
  return typeof type === 'string' && Object.hasOwn(DEPTH, type);
}

/**
 * Reads a GeoJSON geometry (RFC 7946, 3.1) from JSON. Polygons that cross themselves are accepted: cities' data has them, and refusing would
 * lose the rest of the entity; what a predicate answers for them is unspecified, but it answers.
 * @param what names the place for the error message, for example "location"
 * @throws DomainError BadRequestData that says what is wrong
 */
export function parseGeometry(value: unknown, what: string): Geometry {
  if (!isObject(value)) throw badRequest(`${what} must be a GeoJSON geometry, an object with "type" and "coordinates"`);
  const type = value['type'];
  if (!isGeometryType(type)) {
    throw badRequest(`${what} must be one of ${GEOMETRY_TYPES.join(', ')}, not ${JSON.stringify(type)?.slice(0, 80)}`);
  }
  checkCoordinates(type, value['coordinates'], what);
  return value as unknown as Geometry;
}

/** A geometry of this type and these coordinates. @throws DomainError BadRequestData that says what is wrong */
export function geometryOf(type: GeometryType, coordinates: unknown, what: string): Geometry {
  checkCoordinates(type, coordinates, what);
  return { type, coordinates } as unknown as Geometry;
}

function checkCoordinates(type: GeometryType, coordinates: unknown, what: string): void {
  const budget = { left: limits().positions };
  const named = `${what}: the coordinates of a ${type}`;
  checkNested(coordinates, DEPTH[type], named, budget, (positions) => {
    if (type === 'LineString' || type === 'MultiLineString') {
      if (positions.length < 2) throw badRequest(`${named} need at least two positions in a line`);
    } else if (type === 'Polygon' || type === 'MultiPolygon') {
      checkRing(positions, named);
    }
  });
}

function checkNested(
  value: unknown,
  depth: number,
  named: string,
  budget: { left: number },
  checkLine: (positions: readonly Position[]) => void,
): void {
  if (depth === 0) {
    checkPosition(value, named, budget);
    return;
  }
  if (!Array.isArray(value) || value.length === 0) throw badRequest(`${named} must be an array that is not empty`);
  for (const item of value) checkNested(item, depth - 1, named, budget, checkLine);
  if (depth === 1) checkLine(value as Position[]);
}

function checkPosition(value: unknown, named: string, budget: { left: number }): void {
  if (!Array.isArray(value) || value.length < 2 || value.length > 3) {
    throw badRequest(`${named} must be made of positions [longitude, latitude] or [longitude, latitude, altitude]`);
  }
  for (const part of value) {
    if (typeof part !== 'number' || !Number.isFinite(part)) throw badRequest(`${named} must be made of numbers`);
  }
  const [longitude, latitude] = value as [number, number];
  if (longitude < -180 || longitude > 180) {
    throw badRequest(`${named} have the longitude ${longitude}, which is not in -180..180`);
  }
  if (latitude < -90 || latitude > 90) {
    throw badRequest(`${named} have the latitude ${latitude}, which is not in -90..90 (the longitude comes first)`);
  }
  budget.left -= 1;
  if (budget.left < 0) throw badRequest(`${named} have more than ${limits().positions} positions`);
}

function checkRing(ring: readonly Position[], named: string): void {
  const first = ring[0];
  const last = ring.at(-1);
  if (first === undefined || last === undefined || ring.length < 4) {
    throw badRequest(`${named} need at least four positions in a ring`);
  }
  if (first[0] !== last[0] || first[1] !== last[1]) {
    throw badRequest(`${named} must close every ring: its last position equals its first`);
  }
}

/** Degrees; `west` ≤ `east`. */
export interface BoundingBox {
  readonly west: number;
  readonly south: number;
  readonly east: number;
  readonly north: number;
}

/** The smallest box that holds the geometry. */
export function boundingBox(geometry: Geometry): BoundingBox {
  if (geometry.type === 'Point') {
    const [x, y] = geometry.coordinates;
    return { west: x, south: y, east: x, north: y };
  }
  let west = Infinity;
  let south = Infinity;
  let east = -Infinity;
  let north = -Infinity;
  eachPosition(geometry, ([x, y]) => {
    if (x < west) west = x;
    if (x > east) east = x;
    if (y < south) south = y;
    if (y > north) north = y;
  });
  return { west, south, east, north };
}

export function boxesTouch(a: BoundingBox, b: BoundingBox): boolean {
  return a.west <= b.east && b.west <= a.east && a.south <= b.north && b.south <= a.north;
}

/** Calls back for every position of the geometry, in order. */
export function eachPosition(geometry: Geometry, visit: (position: Position) => void): void {
  switch (geometry.type) {
    case 'Point':
      visit(geometry.coordinates);
      return;
    case 'MultiPoint':
    case 'LineString':
      geometry.coordinates.forEach((position) => void visit(position));
      return;
    case 'MultiLineString':
    case 'Polygon':
      for (const line of geometry.coordinates) line.forEach((position) => void visit(position));
      return;
    case 'MultiPolygon':
      for (const polygon of geometry.coordinates) for (const ring of polygon) ring.forEach((position) => void visit(position));
      return;
    case 'GeometryCollection':
      for (const member of geometry.geometries) eachPosition(member, visit);
  }
}
