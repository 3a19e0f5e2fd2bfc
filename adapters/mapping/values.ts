import { type AttributeInstance, type Geometry, type Iri, isIri, isObject, type JsonValue } from '../../broker/ports/ingest.ts';
import { deviceTime } from '../device-time.ts';

type Kind = AttributeInstance['type'];
type Cast = 'number' | 'integer' | 'boolean' | 'time' | 'none';

/** Names of attribute types as IoT agents know them, in lower case, to the NGSI-LD kind and how the value is read. */
const TYPES: Readonly<Record<string, readonly [Kind, Cast]>> = {
  number: ['Property', 'number'],
  float: ['Property', 'number'],
  double: ['Property', 'number'],
  integer: ['Property', 'integer'],
  boolean: ['Property', 'boolean'],
  datetime: ['Property', 'time'],
  date: ['Property', 'time'],
  time: ['Property', 'time'],
  relationship: ['Relationship', 'none'],
  geoproperty: ['GeoProperty', 'none'],
  'geo:json': ['GeoProperty', 'none'],
  'geo:point': ['GeoProperty', 'none'],
  'geo:line': ['GeoProperty', 'none'],
  'geo:polygon': ['GeoProperty', 'none'],
  point: ['GeoProperty', 'none'],
  multipoint: ['GeoProperty', 'none'],
  linestring: ['GeoProperty', 'none'],
  multilinestring: ['GeoProperty', 'none'],
  polygon: ['GeoProperty', 'none'],
  multipolygon: ['GeoProperty', 'none'],
  languageproperty: ['LanguageProperty', 'none'],
  vocabproperty: ['VocabProperty', 'none'],
  vocabularyproperty: ['VocabProperty', 'none'],
  jsonproperty: ['JsonProperty', 'none'],
  listproperty: ['ListProperty', 'none'],
  listrelationship: ['ListRelationship', 'none'],
};

/** The kind of attribute that a type name asks for; an unknown one asks for a plain Property. */
export function kindOf(type: string | undefined): readonly [Kind, Cast] {
  const known = type === undefined ? undefined : TYPES[type.toLowerCase()];
  return known ?? ['Property', 'none'];
}

/** The text that asks NGSI-LD for a deletion (4.5.0). From a device it is no value: devices measure, they do not delete. */
const DELETION = 'urn:ngsi-ld:null';

/** The members of an attribute instance that carry its value. @returns undefined if the value does not suit the kind */
export function valueMembers(
  kind: Kind,
  cast: Cast,
  raw: JsonValue,
  options: { readonly geoOrder?: string | undefined; expand(term: string): Iri },
): AttributeInstance | undefined {
  if (raw === null || raw === DELETION) return undefined;
  switch (kind) {
    case 'Property': {
      const value = castValue(cast, raw);
      return value === undefined ? undefined : { type: kind, value };
    }
    case 'GeoProperty': {
      const value = geometryOf(raw, options.geoOrder);
      return value === undefined ? undefined : { type: kind, value };
    }
    case 'Relationship': {
      const list = Array.isArray(raw) ? raw : [raw];
      if (list.length === 0 || !list.every(isIri)) return undefined;
      return { type: kind, object: Array.isArray(raw) ? (list as Iri[]) : (raw as Iri) };
    }
    case 'LanguageProperty': {
      const map = typeof raw === 'string' ? { '@none': raw } : raw;
      if (!isObject(map) || !Object.values(map).every((text) => typeof text === 'string')) return undefined;
      return { type: kind, languageMap: map as Record<string, string> };
    }
    case 'VocabProperty': {
      const list = Array.isArray(raw) ? raw : [raw];
      if (list.length === 0 || !list.every((term) => typeof term === 'string')) return undefined;
      const terms = list.map((term) => options.expand(term as string));
      return { type: kind, vocab: Array.isArray(raw) ? terms : (terms[0] as Iri) };
    }
    case 'ListProperty':
      return { type: kind, valueList: Array.isArray(raw) ? raw : [raw] };
    case 'ListRelationship': {
      const list = Array.isArray(raw) ? raw : [raw];
      return list.every(isIri) ? { type: kind, objectList: list } : undefined;
    }
    case 'JsonProperty':
      return { type: kind, json: raw };
  }
}

function castValue(cast: Cast, raw: JsonValue): JsonValue | undefined {
  if (cast === 'none') return raw;
  if (cast === 'time') return typeof raw === 'number' ? undefined : deviceTime(raw, 'UTC');
  if (cast === 'boolean') {
    if (typeof raw === 'boolean') return raw;
    if (raw === 'true' || raw === 1 || raw === '1') return true;
    return raw === 'false' || raw === 0 || raw === '0' ? false : undefined;
  }
  if (typeof raw === 'bigint') return raw;
  const number = typeof raw === 'number' ? raw : typeof raw === 'string' && raw.trim() !== '' ? Number(raw) : Number.NaN;
  if (!Number.isFinite(number)) return undefined;
  return cast === 'integer' ? Math.trunc(number) : number;
}

/** Levels of arrays around a position, by geometry type. */
const NESTING: Readonly<Record<string, number>> = {
  Point: 0,
  MultiPoint: 1,
  LineString: 1,
  MultiLineString: 2,
  Polygon: 2,
  MultiPolygon: 3,
};

/**
 * Reads a position or geometry: GeoJSON, an array [lon, lat], or text "a,b" if the order is known. Such text means lat,lon in one family of
 * brokers and lon,lat in another, so that without an order it is refused rather than put on the wrong side of the earth.
 */
export function geometryOf(raw: JsonValue, order?: string): Geometry | undefined {
  let value: JsonValue = raw;
  if (typeof value === 'string') {
    if (order !== 'lon,lat' && order !== 'lat,lon') return undefined;
    const [a, b, ...rest] = value.split(',').map((part) => (part.trim() === '' ? Number.NaN : Number(part)));
    if (a === undefined || b === undefined || rest.length > 0) return undefined;
    value = order === 'lon,lat' ? [a, b] : [b, a];
  }
  if (Array.isArray(value)) value = { type: 'Point', coordinates: value };
  if (!isObject(value)) return undefined;
  const levels = NESTING[String(value['type'])];
  if (levels === undefined || !nested(value['coordinates'], levels)) return undefined;
  return { type: value['type'], coordinates: value['coordinates'] } as unknown as Geometry;
}

function nested(value: unknown, levels: number): boolean {
  if (!Array.isArray(value)) return false;
  if (levels > 0) return value.length > 0 && value.every((item) => nested(item, levels - 1));
  const [longitude, latitude] = value;
  return (
    (value.length === 2 || value.length === 3) &&
    value.every((number) => Number.isFinite(number)) &&
    Math.abs(longitude) <= 180 &&
    Math.abs(latitude) <= 90
  );
}
