import type { Entity } from '../../domain/entity.ts';
import { type BoundingBox, boundingBox, type Geometry } from '../../domain/geometry.ts';
import type { Iri } from '../../domain/iri.ts';
import { isObject } from '../../domain/json.ts';

/** Where one GeoProperty of an entity is, for a 2dsphere index: a point, or an area around it. Finds too much, never too little. */
export interface Place {
  /** The GeoProperty. */
  readonly n: Iri;
  readonly b: GeoPoint | GeoArea;
}

interface GeoPoint {
  readonly type: 'Point';
  readonly coordinates: readonly [number, number];
}
interface GeoArea {
  readonly type: 'Polygon';
  readonly coordinates: readonly (readonly (readonly [number, number])[])[];
}

/** Wider or higher boxes are not indexed: on a globe their edges are far from straight. */
const WIDEST = 20;
/** Degrees that every box is larger than what it stands for, so that arithmetic does not leave anything out. */
const MARGIN = 1e-6;

/** What the index of places is told of an entity; `wide`: GeoProperties that it cannot hold. */
export function placesOf({ attributes }: Entity): { readonly places: readonly Place[]; readonly wide: readonly Iri[] } {
  const places: Place[] = [];
  const wide = new Set<Iri>();
  for (const key in attributes) {
    const name = key as Iri;
    for (const instance of attributes[name] ?? []) {
      if (instance.type !== 'GeoProperty' || !isObject(instance.value)) continue;
      const box = boundingBox(instance.value as unknown as Geometry);
      const area = areaOf(box);
      if (area) places.push({ n: name, b: area });
      else wide.add(name);
    }
  }
  return { places, wide: [...wide] };
}

/**
 * An area on the globe that holds a box of longitudes and latitudes. The edges of an area are parts of great circles, which between two
 * places of one latitude bulge towards the pole; so the box grows by what they bulge.
 * @returns undefined if the box is too wide, or at a pole or the 180th meridian
 */
export function areaOf({ west, south, east, north }: BoundingBox): GeoPoint | GeoArea | undefined {
  if (!(west <= east && south <= north)) return undefined;
  if (west === east && south === north) {
    return west >= -180 && east <= 180 && south >= -90 && north <= 90
      ? { type: 'Point', coordinates: [west, south] }
      : undefined;
  }
  if (east - west > WIDEST || north - south > WIDEST) return undefined;
  const half = (((east - west) / 2 + MARGIN) * Math.PI) / 180;
  // The most that a great circle between two places of one latitude, so far apart, is away from it: at about 45°.
  const bulge = (Math.asin((1 - Math.cos(half)) / (1 + Math.cos(half))) * 180) / Math.PI;
  const [left, right, bottom, top] = [west - MARGIN, east + MARGIN, south - bulge - MARGIN, north + bulge + MARGIN];
  if (left < -180 || right > 180 || bottom < -89 || top > 89) return undefined;
  return {
    type: 'Polygon',
    coordinates: [
      [
        [left, bottom],
        [right, bottom],
        [right, top],
        [left, top],
        [left, bottom],
      ],
    ],
  };
}
