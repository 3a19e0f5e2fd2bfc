import { createRequire } from 'node:module';
import { eachPosition, type Geometry, type Position } from '../geometry.ts';
import { placeInPolygon } from './point-in-polygon.ts';

/** What geometries are to each other on the longitude-latitude plane, in degrees, as SensorThings asks: DE-9IM patterns, distance, length. */

const require = createRequire(import.meta.url);
const load = (path: string) => require(`jsts/org/locationtech/jts/${path}.js`).default;

interface Jts {
  read(geometry: Geometry): object;
  matches(a: object, b: object, pattern: string): boolean;
  distance(a: object, b: object): number;
}

let jts: Jts | undefined;

/** Loaded when the first request needs it: 50 ms that most brokers never spend. */
function library(): Jts {
  if (jts !== undefined) return jts;
  const GeometryFactory = load('geom/GeometryFactory');
  const Coordinate = load('geom/Coordinate');
  const RelateOp = load('operation/relate/RelateOp');
  const DistanceOp = load('operation/distance/DistanceOp');
  const BufferOp = load('operation/buffer/BufferOp');
  const factory = new GeometryFactory();
  const line = (positions: readonly Position[]) => factory.createLineString(positions.map(([x, y]) => new Coordinate(x, y)));
  const polygon = (rings: readonly (readonly Position[])[]) => {
    const [shell, ...holes] = rings.map((ring) => factory.createLinearRing(ring.map(([x, y]) => new Coordinate(x, y))));
    return factory.createPolygon(shell, holes);
  };
  const read = (geometry: Geometry): object => {
    switch (geometry.type) {
      case 'Point':
        return factory.createPoint(new Coordinate(geometry.coordinates[0], geometry.coordinates[1]));
      case 'MultiPoint':
        return factory.createMultiPoint(geometry.coordinates.map(([x, y]) => factory.createPoint(new Coordinate(x, y))));
      case 'LineString':
        return line(geometry.coordinates);
      case 'MultiLineString':
        return factory.createMultiLineString(geometry.coordinates.map(line));
      case 'Polygon':
        return polygon(geometry.coordinates);
      case 'MultiPolygon':
        return factory.createMultiPolygon(geometry.coordinates.map(polygon));
      case 'GeometryCollection':
        return factory.createGeometryCollection(geometry.geometries.map(read));
    }
  };
  const mended = (geometry: object) =>
    (geometry as { getDimension(): number }).getDimension() === 2 ? BufferOp.bufferOp(geometry, 0) : geometry;
  jts = {
    read,
    matches(a, b, pattern) {
      try {
        return RelateOp.relate(a, b).matches(pattern);
      } catch {
        // A polygon that crosses itself can defeat the algorithm.
        return RelateOp.relate(mended(a), mended(b)).matches(pattern);
      }
    },
    distance: (a, b) => DistanceOp.distance(a, b),
  };
  return jts;
}

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
  const { read, matches } = library();
  try {
    return matches(read(a), read(b), pattern);
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
    const { read, distance } = library();
    return distance(read(a), read(b));
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
