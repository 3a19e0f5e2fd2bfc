import { boxAround, distanceM, pointDistanceM } from '../geometry/distance.ts';
import { relate } from '../geometry/relate.ts';
import { type BoundingBox, boundingBox, boxesTouch, type Geometry } from '../geometry.ts';
import type { GeoCondition } from './query.ts';

/** The condition of 4.10 as a test of one target geometry. */
export function compileGeo(condition: GeoCondition): (target: Geometry) => boolean {
  const reference = condition.geometry;
  if (condition.relation === 'near') return compileNear(condition);
  const relation = condition.relation;
  if (relation === 'disjoint') return (target) => relate(target, reference, relation);
  const box = boundingBox(reference);
  return (target) => boxesTouch(boundingBox(target), box) && relate(target, reference, relation);
}

/** `maxDistance`: within the buffer, its edge included. `minDistance`: disjoint from the buffer, so farther than its edge. */
function compileNear(condition: GeoCondition): (target: Geometry) => boolean {
  const reference = condition.geometry;
  const most = condition.maxDistanceM ?? Infinity;
  const least = condition.minDistanceM ?? -1;
  if (reference.type === 'Point') {
    const place = reference.coordinates;
    return (target) => {
      const distance = target.type === 'Point' ? pointDistanceM(target.coordinates, place) : distanceM(target, reference);
      return distance <= most && distance > least;
    };
  }
  const box = condition.maxDistanceM === undefined ? undefined : boxAround(reference, condition.maxDistanceM);
  return (target) => {
    if (box !== undefined && box.west > -180 && box.east < 180 && !boxesTouch(boundingBox(target), box)) return false;
    const distance = distanceM(target, reference);
    return distance <= most && distance > least;
  };
}

/**
 * A box that every geometry matching the condition touches, for stores that keep an index of boxes; undefined if matches can be anywhere.
 * Necessary, not sufficient: what the index finds must still pass {@link compileGeo}.
 */
export function searchBox(condition: GeoCondition): BoundingBox | undefined {
  switch (condition.relation) {
    case 'disjoint':
      return undefined;
    case 'near':
      return condition.maxDistanceM === undefined ? undefined : boxAround(condition.geometry, condition.maxDistanceM);
    default:
      return boundingBox(condition.geometry);
  }
}
