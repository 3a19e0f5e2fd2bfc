import { type BoundingBox, boundingBox, eachPosition, type Geometry, type Position } from '../geometry.ts';
import { relate } from './relate.ts';

/** Mean radius of the earth in metres (IUGG); 4.23.1 asks for distances on a sphere. */
export const EARTH_RADIUS_M = 6_371_008.8;

const RADIANS = Math.PI / 180;

/** Haversine distance in metres. */
export function pointDistanceM(a: Position, b: Position): number {
  const latitudeA = a[1] * RADIANS;
  const latitudeB = b[1] * RADIANS;
  const sinLatitude = Math.sin((latitudeB - latitudeA) / 2);
  const sinLongitude = Math.sin(((b[0] - a[0]) * RADIANS) / 2);
  const h = sinLatitude * sinLatitude + Math.cos(latitudeA) * Math.cos(latitudeB) * sinLongitude * sinLongitude;
  return 2 * EARTH_RADIUS_M * Math.asin(Math.min(1, Math.sqrt(h)));
}

/**
 * The smallest distance in metres between two geometries along the earth's surface; 0 if they touch. Sides of lines and polygons are taken
 * as arcs of great circles, which differ from straight lines on the map by less than a metre over 10 km.
 */
export function distanceM(a: Geometry, b: Geometry): number {
  if (a.type === 'Point' && b.type === 'Point') return pointDistanceM(a.coordinates, b.coordinates);
  if (a.type === 'GeometryCollection') return Math.min(Infinity, ...a.geometries.map((member) => distanceM(member, b)));
  if (b.type === 'GeometryCollection') return distanceM(b, a);
  if (relate(a, b, 'intersects')) return 0;
  const left = skeleton(a);
  const right = skeleton(b);
  return EARTH_RADIUS_M * Math.min(fromPoints(left, right), fromPoints(right, left));
}

type Vector = readonly [number, number, number];

/** Points of a geometry on the unit sphere, and the arcs between them; a lone point is an arc to itself. */
interface Skeleton {
  readonly points: readonly Vector[];
  readonly arcs: readonly (readonly [Vector, Vector])[];
}

function skeleton(geometry: Geometry): Skeleton {
  const points: Vector[] = [];
  eachPosition(geometry, (position) => void points.push(onSphere(position)));
  const arcs: (readonly [Vector, Vector])[] = [];
  for (const line of lines(geometry)) {
    const vectors = line.map(onSphere);
    for (let at = 1; at < vectors.length; at += 1) arcs.push([vectors[at - 1] as Vector, vectors[at] as Vector]);
  }
  return { points, arcs: arcs.length > 0 ? arcs : points.map((point) => [point, point]) };
}

function lines(geometry: Geometry): readonly (readonly Position[])[] {
  switch (geometry.type) {
    case 'LineString':
      return [geometry.coordinates];
    case 'MultiLineString':
    case 'Polygon':
      return geometry.coordinates;
    case 'MultiPolygon':
      return geometry.coordinates.flat();
    default:
      return [];
  }
}

function onSphere([longitude, latitude]: Position): Vector {
  const cosLatitude = Math.cos(latitude * RADIANS);
  return [
    cosLatitude * Math.cos(longitude * RADIANS),
    cosLatitude * Math.sin(longitude * RADIANS),
    Math.sin(latitude * RADIANS),
  ];
}

function fromPoints(from: Skeleton, to: Skeleton): number {
  let least = Infinity;
  for (const point of from.points) {
    for (const [a, b] of to.arcs) least = Math.min(least, angleToArc(point, a, b));
  }
  return least;
}

/** Angle in radians between a point and the nearest point of the arc from `a` to `b`. */
function angleToArc(point: Vector, a: Vector, b: Vector): number {
  const normal = cross(a, b);
  const length = Math.hypot(normal[0], normal[1], normal[2]);
  if (length < 1e-15) return angle(point, a);
  // The foot of the perpendicular lies on the arc if the point is past `a` and before `b` as seen along the great circle.
  if (dot(cross(normal, a), point) >= 0 && dot(cross(b, normal), point) >= 0) {
    return Math.abs(Math.asin(Math.max(-1, Math.min(1, dot(normal, point) / length))));
  }
  return Math.min(angle(point, a), angle(point, b));
}

function angle(a: Vector, b: Vector): number {
  const c = cross(a, b);
  return Math.atan2(Math.hypot(c[0], c[1], c[2]), dot(a, b));
}

function cross(a: Vector, b: Vector): Vector {
  return [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
}

function dot(a: Vector, b: Vector): number {
  return a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
}

/** A box, in degrees, that holds everything within `distance` metres of the geometry. Near a pole or across 180° it spans all longitudes. */
export function boxAround(geometry: Geometry, distance: number): BoundingBox {
  const box = boundingBox(geometry);
  // A little more than exact, because rounding must not lose a match: the exact test follows anyway.
  const reach = (distance / EARTH_RADIUS_M) * (1 + 1e-9) + 1e-9;
  const degrees = reach / RADIANS;
  const south = Math.max(-90, box.south - degrees);
  const north = Math.min(90, box.north + degrees);
  const highest = Math.max(Math.abs(box.south), Math.abs(box.north)) * RADIANS;
  const world = { west: -180, south, east: 180, north };
  if (highest + reach >= Math.PI / 2) return world;
  const wide = Math.asin(Math.min(1, Math.sin(Math.min(reach, Math.PI / 2)) / Math.cos(highest))) / RADIANS;
  if (box.west - wide < -180 || box.east + wide > 180) return world;
  return { west: box.west - wide, south, east: box.east + wide, north };
}
