import { boundingBox, boxesTouch, type Geometry, type Position } from '../geometry.ts';
import { jsonEquals } from '../json.ts';
import { jts } from './jts.ts';
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

function relateByJts(target: Geometry, reference: Geometry, relation: Relation): boolean {
  const library = jts();
  const a = library.build(target);
  const b = library.build(reference);
  const matrix = library.relate(a, b);
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

/** A line whose positions are all the same is where a point is: without an interior it would touch nothing. */
function withoutLength(geometry: Geometry): Geometry {
  if (geometry.type !== 'LineString') return geometry;
  const [start, ...rest] = geometry.coordinates;
  if (start === undefined || rest.some(([x, y]) => x !== start[0] || y !== start[1])) return geometry;
  return { type: 'Point', coordinates: start };
}
