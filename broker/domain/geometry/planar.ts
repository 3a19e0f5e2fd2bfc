import { eachPosition, type Geometry, type Position } from '../geometry.ts';
import { jts } from './jts.ts';
import { placeInPolygon } from './point-in-polygon.ts';

/** What geometries are to each other on the longitude-latitude plane, in degrees, as SensorThings asks: DE-9IM patterns, distance, length. */

/** True if the intersection matrix (DE-9IM, OGC 06-103r4, 6.1.15) of the two fits the pattern of nine. Collections: some member does. */
export function relatePattern(a: Geometry, b: Geometry, pattern: string): boolean {
  if (a.type === 'GeometryCollection') return a.geometries.some((member) => relatePattern(member, b, pattern));
  if (b.type === 'GeometryCollection') return b.geometries.some((member) => relatePattern(a, member, pattern));
  // Is a point inside a polygon: nearly all that is asked.
  if (a.type === 'Point' && b.type === 'Polygon') {
    const place = placeInPolygon(a.coordinates, b.coordinates);
    const matrix = place === 'interior' ? '0FFFFF212' : place === 'boundary' ? 'F0FFFF212' : 'FF0FFF212';
    return fits(matrix, pattern);
  }
  const { build, relate } = jts();
  try {
    return relate(build(a), build(b)).matches(pattern);
  } catch {
    // Rings of three positions and the like, which came in where nobody checked them.
    return false;
  }
}

function fits(matrix: string, pattern: string): boolean {
  for (let at = 0; at < 9; at++) {
    const [have, want] = [matrix[at], pattern[at]];
    if (want !== '*' && (want === 'T' ? have === 'F' : want !== have)) return false;
  }
  return true;
}

/** The smallest distance, in degrees. null: one of them has no positions. */
export function planarDistance(a: Geometry, b: Geometry): number | null {
  if (a.type === 'Point' && b.type === 'Point') {
    return Math.hypot(a.coordinates[0] - b.coordinates[0], a.coordinates[1] - b.coordinates[1]);
  }
  try {
    const { build, distance } = jts();
    return distance(build(a), build(b));
  } catch {
    return null;
  }
}

/** The length of lines, in degrees; of polygons that of their rings, of points 0. */
export function planarLength(geometry: Geometry): number {
  if (geometry.type === 'MultiLineString' || geometry.type === 'Polygon') {
    return geometry.coordinates.reduce((sum, coordinates) => sum + planarLength({ type: 'LineString', coordinates }), 0);
  }
  if (geometry.type !== 'LineString') return 0;
  let length = 0;
  let last: Position | undefined;
  eachPosition(geometry, (position) => {
    if (last !== undefined) length += Math.hypot(position[0] - last[0], position[1] - last[1]);
    last = position;
  });
  return length;
}
