import { createRequire } from 'node:module';
import type { Geometry, Position } from '../geometry.ts';

/** What we use of a JTS geometry: 0 for points, 1 for lines, 2 for polygons. */
export interface JtsGeometry {
  getDimension(): number;
}

/** The intersection matrix (DE-9IM, OGC 06-103r4, 6.1.15) of two geometries. */
export interface IntersectionMatrix {
  isWithin(): boolean;
  isContains(): boolean;
  isIntersects(): boolean;
  isEquals(dimensionA: number, dimensionB: number): boolean;
  isOverlaps(dimensionA: number, dimensionB: number): boolean;
  matches(pattern: string): boolean;
}

/** What we use of JTS. */
export interface Jts {
  build(geometry: Geometry): JtsGeometry;
  /** Also of polygons that cross themselves. @throws what JTS throws of rings of three positions and the like */
  relate(a: JtsGeometry, b: JtsGeometry): IntersectionMatrix;
  distance(a: JtsGeometry, b: JtsGeometry): number;
}

let loaded: Jts | undefined;

/** Loaded when the first request needs it: 50 ms that a broker which only knows points never spends. */
export function jts(): Jts {
  loaded ??= loadJts();
  return loaded;
}

function loadJts(): Jts {
  // `require` loads an ES module in the same tick; an import() would make every predicate a Promise.
  const require = createRequire(import.meta.url);
  const load = (path: string) => require(`jsts/org/locationtech/jts/${path}.js`).default;
  const GeometryFactory = load('geom/GeometryFactory');
  const Coordinate = load('geom/Coordinate');
  const RelateOp = load('operation/relate/RelateOp');
  const DistanceOp = load('operation/distance/DistanceOp');
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
  /** The polygonal geometry that covers the same places, without crossing itself. */
  const mend = (geometry: JtsGeometry): JtsGeometry =>
    geometry.getDimension() === 2 ? load('operation/buffer/BufferOp').bufferOp(geometry, 0) : geometry;
  return {
    build,
    relate(a, b) {
      try {
        return RelateOp.relate(a, b);
      } catch {
        // A polygon that crosses itself can defeat the algorithm.
        return RelateOp.relate(mend(a), mend(b));
      }
    },
    distance: (a, b) => DistanceOp.distance(a, b),
  };
}
