import { eachPosition, type Geometry, type Position } from '../geometry.ts';

/** The smallest convex geometry that holds all of them: a Polygon, or a LineString or Point if they have no area. At least one position is needed. */
export function convexHull(geometries: readonly Geometry[]): Geometry {
  const places = new Map<string, Position>();
  for (const geometry of geometries) eachPosition(geometry, ([x, y]) => void places.set(`${x} ${y}`, [x, y]));
  const points = [...places.values()].sort((a, b) => a[0] - b[0] || a[1] - b[1]);
  const [first, last] = [points[0], points.at(-1)];
  if (first === undefined || last === undefined) return { type: 'MultiPoint', coordinates: [] };
  if (points.length === 1) return { type: 'Point', coordinates: first };
  const lower = chain(points);
  const upper = chain(points.toReversed());
  const ring = [...lower.slice(0, -1), ...upper];
  if (ring.length < 4) return { type: 'LineString', coordinates: [first, last] };
  return { type: 'Polygon', coordinates: [ring] };
}

/** One side of the hull: Andrew's monotone chain. */
function chain(points: readonly Position[]): Position[] {
  const side: Position[] = [];
  for (const point of points) {
    while (side.length >= 2 && cross(side.at(-2) as Position, side.at(-1) as Position, point) <= 0) side.pop();
    side.push(point);
  }
  return side;
}

function cross(o: Position, a: Position, b: Position): number {
  return (a[0] - o[0]) * (b[1] - o[1]) - (a[1] - o[1]) * (b[0] - o[0]);
}
