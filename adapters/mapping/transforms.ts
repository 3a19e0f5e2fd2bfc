import { createHash } from 'node:crypto';
import { deviceTime } from '../device-time.ts';

/**
 * What an expression can call, as `value|name(arguments)`; nothing else can be. The names are those of the FIWARE IoT agents. Transforms that
 * take a regular expression are left out: a pattern from outside can hold up the broker for minutes. A value of the wrong kind gives undefined,
 * which means "no value".
 */
export const TRANSFORMS: Readonly<Record<string, (value: unknown, ...rest: unknown[]) => unknown>> = {
  // Numbers
  parsefloat: (value) => Number.parseFloat(String(value)),
  parseint: (value) => Number.parseInt(String(value), 10),
  round: (value) => Math.round(Number(value)),
  floor: (value) => Math.floor(Number(value)),
  ceil: (value) => Math.ceil(Number(value)),
  abs: (value) => Math.abs(Number(value)),
  tofixed: (value, digits = 0) => Number(value).toFixed(Math.min(20, Math.max(0, Math.trunc(Number(digits))))),
  isnan: (value) => Number.isNaN(Number(value)),
  hextoint: (value) => Number.parseInt(String(value), 16),
  bitwisemask: (value, mask, operation = '&', shift = 0) => {
    const [left, right] = [Number(value), Number(mask)];
    const masked =
      operation === '|' ? left | right : operation === '^' ? left ^ right : operation === '&' ? left & right : undefined;
    return masked === undefined ? undefined : masked >> Number(shift);
  },
  // Text
  trim: (value) => text(value)?.trim(),
  length: (value) => (Array.isArray(value) ? value.length : text(value)?.length),
  substr: (value, from, to) => text(value)?.slice(Number(from), to === undefined ? undefined : Number(to)),
  indexOf: (value, part) => (Array.isArray(value) ? value.indexOf(part) : text(value)?.indexOf(String(part))),
  includes: (value, part) => (Array.isArray(value) ? value.includes(part) : text(value)?.includes(String(part))),
  split: (value, separator) => text(value)?.split(String(separator)).slice(0, 1000),
  replacestr: (value, from, to) => text(value)?.replace(String(from), () => String(to)),
  replaceallstr: (value, from, to) => {
    const whole = text(value);
    // An empty pattern would insert between all characters.
    return whole === undefined || String(from) === '' || String(to).length > 64
      ? whole
      : whole.replaceAll(String(from), () => String(to));
  },
  touppercase: (value) => text(value)?.toUpperCase(),
  tolowercase: (value) => text(value)?.toLowerCase(),
  tostring: (value) => (typeof value === 'object' ? JSON.stringify(value) : String(value)),
  urlencode: (value) => encodeURIComponent(String(value)),
  urldecode: (value) => {
    try {
      return decodeURIComponent(String(value));
    } catch {
      return undefined;
    }
  },
  hextostring: (value) => Buffer.from(String(value), 'hex').toString('utf8'),
  hash: (value) => createHash('sha256').update(String(value)).digest('hex'),
  // Lists and objects
  slice: (value, from, to) => list(value)?.slice(Number(from), to === undefined ? undefined : Number(to)),
  joinarrtostr: (value, separator = ',') => list(value)?.join(String(separator)),
  concatarr: (value, other) => list(value)?.concat(other).slice(0, 1000),
  addset: (value, item) => list(value) && [...new Set([...(list(value) ?? []), item])],
  removeset: (value, item) => list(value)?.filter((member) => member !== item),
  lengtharray: (value) => list(value)?.length,
  addreduce: (value) => list(value)?.reduce((sum: number, item) => sum + Number(item), 0),
  isarray: (value) => Array.isArray(value),
  typeof: (value) => typeof value,
  valuePicker: (value, wanted) =>
    typeof value === 'object' && value !== null
      ? Object.entries(value).flatMap(([name, member]) => (member === wanted ? [name] : []))
      : undefined,
  mapper: (value, values, choices) => list(choices)?.[list(values)?.indexOf(value) ?? -1],
  thmapper: (value, limits, choices) => {
    const at = list(limits)?.findIndex((limit) => Number(value) <= Number(limit)) ?? -1;
    const all = list(choices);
    return at < 0 ? all?.at(-1) : all?.[at];
  },
  jsonparse: (value) => {
    try {
      return JSON.parse(String(value));
    } catch {
      return undefined;
    }
  },
  jsonstringify: (value) => JSON.stringify(value),
  // Times: texts of ISO 8601, and milliseconds since 1970
  toisodate: (value) => isoTime(value),
  toisostring: (value) => isoTime(value),
  gettime: (value) => {
    const at = typeof value === 'number' ? value : Date.parse(deviceTime(value, 'UTC') ?? '');
    return Number.isNaN(at) ? undefined : at;
  },
};

const text = (value: unknown): string | undefined =>
  typeof value === 'string' ? value : typeof value === 'number' || typeof value === 'boolean' ? String(value) : undefined;
const list = (value: unknown): unknown[] | undefined => (Array.isArray(value) ? value : undefined);

function isoTime(value: unknown): string | undefined {
  if (typeof value === 'number') return Math.abs(value) < 8.64e15 ? new Date(value).toISOString() : undefined;
  return deviceTime(value, 'UTC');
}
