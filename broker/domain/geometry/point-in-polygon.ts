import type { Position } from '../geometry.ts';

export type Place = 'interior' | 'boundary' | 'exterior';

/**
 * Where a point lies relative to a polygon, given as its rings: the shell, then the holes. The edge of a hole is boundary.
 * Exact: rounding never moves a point across an edge.
 */
export function placeInPolygon(point: Position, rings: readonly (readonly Position[])[]): Place {
  const shell = rings[0];
  if (shell === undefined) return 'exterior';
  const place = placeInRing(point, shell);
  if (place !== 'interior') return place;
  for (let at = 1; at < rings.length; at += 1) {
    const inHole = placeInRing(point, rings[at] as readonly Position[]);
    if (inHole === 'interior') return 'exterior';
    if (inHole === 'boundary') return 'boundary';
  }
  return 'interior';
}

/** Counts the edges that a ray from the point to the east crosses: odd is inside. */
function placeInRing([x, y]: Position, ring: readonly Position[]): Place {
  let inside = false;
  for (let at = 1; at < ring.length; at += 1) {
    const [x1, y1] = ring[at - 1] as Position;
    const [x2, y2] = ring[at] as Position;
    if (x1 < x && x2 < x) continue;
    if (x === x2 && y === y2) return 'boundary';
    if (y1 === y && y2 === y) {
      if (Math.min(x1, x2) <= x && x <= Math.max(x1, x2)) return 'boundary';
      continue;
    }
    if (y1 > y !== y2 > y) {
      const side = orientation(x1, y1, x2, y2, x, y);
      if (side === 0) return 'boundary';
      // Upwards edges have the point to their left if the ray crosses them.
      if (side > 0 === y2 > y1) inside = !inside;
    }
  }
  return inside ? 'interior' : 'exterior';
}

/** Positive if (x, y) lies to the left of the line from 1 to 2, negative to the right, zero exactly on it. */
function orientation(x1: number, y1: number, x2: number, y2: number, x: number, y: number): number {
  const left = (x1 - x) * (y2 - y);
  const right = (y1 - y) * (x2 - x);
  const difference = left - right;
  // Shewchuk's bound ("Adaptive Precision Floating-Point Arithmetic", 1997): beyond it the sign of the rounded result is right.
  if (Math.abs(difference) > 3.3306690738754716e-16 * (Math.abs(left) + Math.abs(right))) return difference;
  return exactOrientation(x1, y1, x2, y2, x, y);
}

/** The same in whole numbers, for the few points within a hair of an edge. */
function exactOrientation(x1: number, y1: number, x2: number, y2: number, x: number, y: number): number {
  const [bx1, by1, bx2, by2, bx, by] = [x1, y1, x2, y2, x, y].map(scaled) as [bigint, bigint, bigint, bigint, bigint, bigint];
  const difference = (bx1 - bx) * (by2 - by) - (by1 - by) * (bx2 - bx);
  return difference > 0n ? 1 : difference < 0n ? -1 : 0;
}

/** A coordinate times 2^1074, the smallest step of a double: always whole. */
function scaled(value: number): bigint {
  const view = new DataView(new ArrayBuffer(8));
  view.setFloat64(0, value);
  const bits = view.getBigUint64(0);
  const exponent = Number((bits >> 52n) & 0x7ffn);
  const fraction = bits & 0xfffffffffffffn;
  const magnitude = exponent === 0 ? fraction : (fraction | 0x10000000000000n) << BigInt(exponent - 1);
  return bits >> 63n === 1n ? -magnitude : magnitude;
}
