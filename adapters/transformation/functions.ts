import { isObject, type JsonObject, type JsonValue } from '../../broker/ports/ingest.ts';
import { deviceTime } from '../device-time.ts';

/**
 * What a template can call without code of its own. A value of the wrong kind gives undefined, which means "no value". All take time linear in
 * what they are given.
 */
export const FUNCTIONS: Readonly<Record<string, (...values: (JsonValue | undefined)[]) => JsonValue | undefined>> = {
  toISO: (value) => (typeof value === 'number' ? isoTime(value) : deviceTime(value, 'UTC')),
  fromEpoch: (value) => isoTime(Number(value) * 1000),
  fromEpochMs: (value) => isoTime(Number(value)),
  number: (value) => finite(typeof value === 'string' ? Number(value.trim().replace(',', '.') || Number.NaN) : Number(value)),
  round: (value, digits = 0) => {
    const factor = 10 ** Math.min(12, Math.max(0, Math.trunc(Number(digits))));
    return typeof value === 'number' ? finite(Math.round(value * factor) / factor) : undefined;
  },
  scale: (value, factor = 1, offset = 0) =>
    typeof value === 'number' ? finite(Number((value * Number(factor) + Number(offset)).toPrecision(12))) : undefined,
  lookup: (value, table, fallback) => {
    const found =
      isObject(table) && value !== undefined && Object.hasOwn(table, String(value)) ? table[String(value)] : undefined;
    return found ?? fallback;
  },
  hex: (value) => (typeof value === 'string' ? Buffer.from(value, 'base64').toString('hex') : undefined),
  base64: (value) => (typeof value === 'string' ? Buffer.from(value, 'hex').toString('base64') : undefined),
  lower: (value) => text(value)?.toLowerCase(),
  upper: (value) => text(value)?.toUpperCase(),
  substr: (value, from, to) => text(value)?.slice(Number(from ?? 0), to === undefined ? undefined : Number(to)),
  split: (value, separator) =>
    text(value)
      ?.split(String(separator ?? ','))
      .slice(0, 1000),
  join: (value, separator = ',') => (Array.isArray(value) ? value.join(String(separator).slice(0, 64)) : undefined),
  coalesce: (...values) => values.find((value) => value !== undefined && value !== null),
  point: (longitude, latitude) => {
    const position = [Number(longitude), Number(latitude)];
    return position.every(Number.isFinite) ? { type: 'Point', coordinates: position } : undefined;
  },
  merge: (...values) => Object.assign({}, ...values.filter(isObject)) as JsonObject,
};

const finite = (value: number): number | undefined => (Number.isFinite(value) ? value : undefined);
const isoTime = (ms: number): string | undefined => (Math.abs(ms) < 8.64e15 ? new Date(ms).toISOString() : undefined);

function text(value: JsonValue | undefined): string | undefined {
  return typeof value === 'string'
    ? value
    : typeof value === 'number' || typeof value === 'boolean'
      ? String(value)
      : undefined;
}
