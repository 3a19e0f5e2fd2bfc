import { badRequest } from '../errors.ts';
import { type Geometry, type GeometryType, geometryOf, type Position } from '../geometry.ts';

const NAMES: Readonly<Record<string, GeometryType>> = {
  POINT: 'Point',
  LINESTRING: 'LineString',
  POLYGON: 'Polygon',
  MULTIPOINT: 'MultiPoint',
  MULTILINESTRING: 'MultiLineString',
  MULTIPOLYGON: 'MultiPolygon',
};

type Nested = Position | readonly Nested[];

/**
 * Reads Well-Known Text (OGC 06-103r4, 7): longitude, latitude and perhaps a height. An SRID in front is passed over.
 * @throws DomainError BadRequestData with what could not be read
 */
export function parseWkt(text: string): Geometry {
  const found = /^\s*(?:SRID=\d+;\s*)?([A-Za-z]+)\s*(?:Z|M|ZM)?\s*(\(.*\))\s*$/s.exec(text);
  const type = NAMES[found?.[1]?.toUpperCase() ?? ''];
  if (found === null || type === undefined) {
    throw badRequest(`geography'${text.slice(0, 80)}' is not one of ${Object.keys(NAMES).join(', ')} in Well-Known Text`);
  }
  const body = found[2] as string;
  let at = 0;
  const fail = (): never => {
    throw badRequest(`geography'${text.slice(0, 80)}' cannot be read at "${body.slice(at, at + 20)}"`);
  };
  const blank = (): void => {
    while (body[at] === ' ' || body[at] === '\t' || body[at] === '\n') at++;
  };
  const position = (): Position => {
    const numbers = /^(?:[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?\s*){2,4}/.exec(body.slice(at, at + 200));
    if (numbers === null) return fail();
    at += numbers[0].length;
    const parts = numbers[0].trim().split(/\s+/).map(Number);
    return parts.slice(0, 3) as unknown as Position;
  };
  const group = (depth: number): readonly Nested[] => {
    if (body[at] !== '(' || depth > 4) fail();
    at++;
    const items: Nested[] = [];
    for (;;) {
      blank();
      items.push(body[at] === '(' ? group(depth + 1) : position());
      blank();
      if (body[at] === ',') at++;
      else if (body[at] === ')') break;
      else fail();
    }
    at++;
    return items;
  };
  const read = group(0);
  blank();
  if (at < body.length) fail();
  if (type === 'Point') return geometryOf(type, read.length === 1 ? read[0] : read, "geography''");
  // MULTIPOINT ((1 2), (3 4)) and MULTIPOINT (1 2, 3 4) are both written.
  const flat = type === 'MultiPoint' ? read.map((item) => (Array.isArray(item[0]) ? item[0] : item)) : read;
  return geometryOf(type, flat, "geography''");
}
