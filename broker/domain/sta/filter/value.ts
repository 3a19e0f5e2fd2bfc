import type { Geometry } from '../../geometry.ts';
import { isObject, type JsonValue } from '../../json.ts';
import type { Micros } from '../../time.ts';
import { parseSpan, type TimeSpan, writeSpan } from '../time.ts';

/** What an expression is worth. null: there is no value, or nobody can say. */
export type Value =
  | null
  | boolean
  | number
  | string
  | { readonly kind: 'span'; readonly span: TimeSpan }
  | { readonly kind: 'duration'; readonly micros: Micros }
  /** Micros since midnight. */
  | { readonly kind: 'timeOfDay'; readonly micros: Micros }
  | { readonly kind: 'geometry'; readonly geometry: Geometry }
  /** An object or array, or a number too large for arithmetic. */
  | { readonly kind: 'json'; readonly json: JsonValue };

export const spanValue = (from: Micros, to?: Micros): Value => ({
  kind: 'span',
  span: to === undefined ? { from } : { from, to },
});

/** A JSON value as an operand: scalars as themselves, absent as null. */
export function jsonOperand(json: JsonValue | undefined): Value {
  if (json === undefined || json === null) return null;
  if (typeof json === 'object' || typeof json === 'bigint') return { kind: 'json', json };
  return json;
}

/** The moment or interval that a value is, also if it is a text that says one. */
export function asSpan(value: Value): TimeSpan | undefined {
  if (typeof value === 'string') return parseSpan(value);
  return isKind(value, 'span') ? value.span : undefined;
}

export function asText(value: Value): string | null {
  if (value === null || typeof value === 'string') return value;
  if (typeof value !== 'object') return String(value);
  switch (value.kind) {
    case 'span':
      return writeSpan(value.span);
    case 'json':
      return typeof value.json === 'bigint' ? String(value.json) : JSON.stringify(value.json);
    case 'geometry':
      return JSON.stringify(value.geometry);
    default:
      return String(value.micros);
  }
}

/** The geometry that a value is: of a GeoJSON Feature its geometry. */
export function asGeometry(value: Value): Geometry | undefined {
  if (isKind(value, 'geometry')) return value.geometry;
  return isKind(value, 'json') ? geometryIn(value.json) : undefined;
}

const GEOMETRIES = new Set(['Point', 'MultiPoint', 'LineString', 'MultiLineString', 'Polygon', 'MultiPolygon']);

/** The geometry of a GeoJSON geometry or Feature; undefined: it is none, whatever an encodingType says. */
export function geometryIn(json: JsonValue | undefined): Geometry | undefined {
  if (!isObject(json)) return undefined;
  if (json['type'] === 'Feature') return geometryIn(json['geometry']);
  if (json['type'] === 'GeometryCollection' && Array.isArray(json['geometries'])) {
    const members = (json['geometries'] as JsonValue[]).map(geometryIn);
    return members.every((member) => member !== undefined)
      ? { type: 'GeometryCollection', geometries: members as Geometry[] }
      : undefined;
  }
  const known = GEOMETRIES.has(json['type'] as string) && Array.isArray(json['coordinates']);
  return known && arePositions(json['coordinates'] as JsonValue) ? (json as unknown as Geometry) : undefined;
}

/** Nested arrays of numbers, none of them empty: enough for arithmetic not to fail. */
function arePositions(value: JsonValue): boolean {
  if (!Array.isArray(value) || value.length === 0) return false;
  if (typeof value[0] === 'number') return value.length >= 2 && value.every((part) => typeof part === 'number');
  return value.every(arePositions);
}

export function isKind<K extends 'span' | 'duration' | 'timeOfDay' | 'geometry' | 'json'>(
  value: Value,
  kind: K,
): value is Extract<Value, { readonly kind: K }> {
  return typeof value === 'object' && value !== null && value.kind === kind;
}
