import { createRequire } from 'node:module';
import { boundingBox, boxesTouch, type Geometry, type Position } from '../geometry.ts';
import { jsonEquals } from '../json.ts';
import { placeInPolygon } from './point-in-polygon.ts';

/** The topological relations of 4.10, as OGC Simple Features defines them, on the longitude-latitude plane. */
export type Relation = 'within' | 'contains' | 'intersects' | 'equals' | 'disjoint' | 'overlaps';

/**
 * Does `target` stand in this relation to `reference`? "within" means the target is within the reference. Points against points and polygons,
 * nearly all that cities ask, are answered here; everything else by JTS. Geometries across the 180° meridian are not joined.
 */
export function relate(first: Geometry, second: Geometry, relation: Relation): boolean {
  const target = withoutLength(first);
  const reference = withoutLength(second);
  if (relation === 'disjoint') return !relate(target, reference, 'intersects');
  if (target.type === 'GeometryCollection') return relateCollection(target.geometries, reference, relation);
  if (reference.type === 'GeometryCollection') {
    return relateCollection(reference.geometries, target, CONVERSE[relation]);
  }
  if (target.type === 'Point') {
    if (reference.type === 'Point') return relation !== 'overlaps' && samePlace(target.coordinates, reference.coordinates);
    if (reference.type === 'Polygon') return pointAgainst(target.coordinates, reference.coordinates, relation, 'within');
  } else if (target.type === 'Polygon' && reference.type === 'Point') {
    return pointAgainst(reference.coordinates, target.coordinates, relation, 'contains');
  }
  if (!boxesTouch(boundingBox(target), boundingBox(reference))) return false;
  // Also what crosses itself, where JTS has no answer, is equal to itself.
  if (relation === 'equals' && jsonEquals(target, reference)) return true;
  return relateByJts(target, reference, relation);
}

const CONVERSE: Record<Relation, Relation> = {
  within: 'contains',
  contains: 'within',
  intersects: 'intersects',
  equals: 'equals',
  disjoint: 'disjoint',
  overlaps: 'overlaps',
};

/** JTS knows no relations of collections. A collection is within what all its members are within; otherwise one member decides. */
function relateCollection(members: readonly Geometry[], other: Geometry, relation: Relation): boolean {
  if (relation === 'within' || relation === 'equals')
    return members.length > 0 && members.every((m) => relate(m, other, relation));
  return members.some((member) => relate(member, other, relation));
}

function samePlace(a: Position, b: Position): boolean {
  return a[0] === b[0] && a[1] === b[1];
}

function pointAgainst(
  point: Position,
  polygon: readonly (readonly Position[])[],
  relation: Relation,
  insideMeans: 'within' | 'contains',
): boolean {
  if (relation === insideMeans) return placeInPolygon(point, polygon) === 'interior';
  // A point has no room for a polygon, is equal to none, and overlapping needs two geometries of one dimension.
  return relation === 'intersects' && placeInPolygon(point, polygon) !== 'exterior';
}

// ---- JTS, loaded when the first request needs it: 50 ms that a broker which only knows points never spends --------------------------------

/** What we use of a JTS geometry: 0 for points, 1 for lines, 2 for polygons. */
interface JtsGeometry {
  getDimension(): number;
}

interface IntersectionMatrix {
  isWithin(): boolean;
  isContains(): boolean;
  isIntersects(): boolean;
  isEquals(dimensionA: number, dimensionB: number): boolean;
  isOverlaps(dimensionA: number, dimensionB: number): boolean;
}

interface Jts {
  build(geometry: Geometry): JtsGeometry;
  relate(a: JtsGeometry, b: JtsGeometry): IntersectionMatrix;
  /** The polygonal geometry that covers the same places, without crossing itself. */
  mend(geometry: JtsGeometry): JtsGeometry;
}

let jts: Jts | undefined;

function relateByJts(target: Geometry, reference: Geometry, relation: Relation): boolean {
  jts ??= loadJts();
  const a = jts.build(target);
  const b = jts.build(reference);
  let matrix: IntersectionMatrix;
  try {
    matrix = jts.relate(a, b);
  } catch {
    // A polygon that crosses itself can defeat the algorithm.
    matrix = jts.relate(jts.mend(a), jts.mend(b));
  }
  switch (relation) {
    case 'within':
      return matrix.isWithin();
    case 'contains':
      return matrix.isContains();
    case 'equals':
      return matrix.isEquals(a.getDimension(), b.getDimension());
    case 'overlaps':
      return matrix.isOverlaps(a.getDimension(), b.getDimension());
    default:
      return matrix.isIntersects();
  }
}

function loadJts(): Jts {
  // `require` loads an ES module in the same tick; an import() would make every predicate a Promise.
  const require = createRequire(import.meta.url);
  const load = (path: string) => require(`jsts/org/locationtech/jts/${path}.js`).default;
  const GeometryFactory = load('geom/GeometryFactory');
  const Coordinate = load('geom/Coordinate');
  const RelateOp = load('operation/relate/RelateOp');
  const factory = new GeometryFactory();
  const coordinate = (p: Position) => new Coordinate(p[0], p[1]);
  const line = (positions: readonly Position[]) => factory.createLineString(positions.map(coordinate));
  const polygon = (rings: readonly (readonly Position[])[]) => {
    const [shell, ...holes] = rings.map((ring) => factory.createLinearRing(ring.map(coordinate)));
    return factory.createPolygon(shell, holes);
  };
  const build = (geometry: Geometry): JtsGeometry => {
    switch (geometry.type) {
      case 'Point':
        return factory.createPoint(coordinate(geometry.coordinates));
      case 'MultiPoint':
        return factory.createMultiPoint(geometry.coordinates.map((p) => factory.createPoint(coordinate(p))));
      case 'LineString':
        return line(geometry.coordinates);
      case 'MultiLineString':
        return factory.createMultiLineString(geometry.coordinates.map(line));
      case 'Polygon':
        return polygon(geometry.coordinates);
      case 'MultiPolygon':
        return factory.createMultiPolygon(geometry.coordinates.map(polygon));
      case 'GeometryCollection':
        return factory.createGeometryCollection(geometry.geometries.map(build));
    }
  };
  return {
    build,
    relate: (a, b) => RelateOp.relate(a, b),
    mend: (geometry) => (geometry.getDimension() === 2 ? load('operation/buffer/BufferOp').bufferOp(geometry, 0) : geometry),
  };
}

/** A line whose positions are all the same is where a point is: without an interior it would touch nothing. */
function withoutLength(geometry: Geometry): Geometry {
  if (geometry.type !== 'LineString') return geometry;
  const [start, ...rest] = geometry.coordinates;
  if (start === undefined || rest.some(([x, y]) => x !== start[0] || y !== start[1])) return geometry;
  return { type: 'Point', coordinates: start };
}
