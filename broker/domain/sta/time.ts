import { badRequest } from '../errors.ts';
import type { Instant, Micros } from '../time.ts';

/** An instant or an interval of time. An instant is an interval whose end is its start, but stays an instant when it is written. */
export interface TimeSpan {
  readonly from: Micros;
  /** undefined: an instant. */
  readonly to?: Micros;
}

const INSTANT = /^(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?(Z|[+-]\d\d:?\d\d)$/i;

const DAYS = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

function daysOf(year: number, month: number): number {
  const leap = month === 2 && year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0);
  return leap ? 29 : (DAYS[month - 1] as number);
}

/** Reads ISO 8601 with a zone; digits beyond microseconds are cut. @returns undefined if it is no such moment */
export function parseMoment(text: string): Micros | undefined {
  const found = INSTANT.exec(text);
  if (found === null) return undefined;
  const [, year, month, day, hour, minute, second = '00', fraction = '', zone] = found as unknown as string[];
  if (Number(month) < 1 || Number(month) > 12 || Number(day) < 1 || Number(day) > daysOf(Number(year), Number(month))) {
    return undefined;
  }
  if (Number(hour) > 23 || Number(minute) > 59 || Number(second) > 59) return undefined;
  const millis = Date.UTC(Number(year), Number(month) - 1, Number(day), Number(hour), Number(minute), Number(second));
  let offset = 0;
  if (zone !== undefined && zone.toUpperCase() !== 'Z') {
    const digits = zone.replace(':', '');
    offset = (digits.startsWith('-') ? -1 : 1) * (Number(digits.slice(1, 3)) * 60 + Number(digits.slice(3, 5)));
  }
  return (millis - offset * 60_000) * 1000 + Number(fraction.slice(0, 6).padEnd(6, '0'));
}

/** Reads an instant, or `start/end` with end not before start. @returns undefined if it is neither */
export function parseSpan(text: string): TimeSpan | undefined {
  const at = text.indexOf('/');
  if (at < 0) {
    const from = parseMoment(text);
    return from === undefined ? undefined : { from };
  }
  const from = parseMoment(text.slice(0, at));
  const to = parseMoment(text.slice(at + 1));
  return from === undefined || to === undefined || to < from ? undefined : { from, to };
}

/** @throws DomainError BadRequestData that names the property */
export function requireSpan(value: unknown, name: string, kind: 'time' | 'instant' | 'interval'): TimeSpan {
  const span = typeof value === 'string' ? parseSpan(value) : undefined;
  const wrong = span === undefined || (kind === 'instant' && span.to !== undefined);
  if (wrong || (kind === 'interval' && span.to === undefined)) {
    const wanted =
      kind === 'instant' ? 'an instant' : kind === 'interval' ? 'an interval start/end' : 'an instant or an interval start/end';
    throw badRequest(`${name} must be ${wanted} of ISO 8601 with a time zone, not ${JSON.stringify(value)?.slice(0, 100)}`);
  }
  return span as TimeSpan;
}

/** How {@link writeMoment} writes whole milliseconds; `0` stands for any digit. */
const WRITTEN = '0000-00-00T00:00:00.000Z';
const [ZERO, NINE] = [48, 57];

/** True if this is a moment in the form that is written: found without a regular expression, because imports have one in each row. */
function isWritten(text: string): boolean {
  if (text.length !== WRITTEN.length) return false;
  for (let at = 0; at < WRITTEN.length; at++) {
    const code = text.charCodeAt(at);
    const form = WRITTEN.charCodeAt(at);
    if (form === ZERO ? code < ZERO || code > NINE : code !== form) return false;
  }
  const number = (at: number) => (text.charCodeAt(at) - ZERO) * 10 + text.charCodeAt(at + 1) - ZERO;
  const [month, day] = [number(5), number(8)];
  if (month < 1 || month > 12 || day < 1 || number(11) > 23 || number(14) > 59 || number(17) > 59) return false;
  return day <= 28 || day <= daysOf(number(0) * 100 + number(2), month);
}

/** The text in the one form that is written; as it is, if it is in that form already. @throws DomainError BadRequestData that names the property */
export function canonicalTime(value: unknown, name: string, kind: 'time' | 'instant' | 'interval'): string {
  if (kind !== 'interval' && typeof value === 'string' && isWritten(value)) return value;
  return writeSpan(requireSpan(value, name, kind));
}

/** UTC with milliseconds, or microseconds if it has any. */
export function writeMoment(at: Micros): string {
  const millis = Math.floor(at / 1000);
  const rest = at - millis * 1000;
  const iso = new Date(millis).toISOString();
  return rest === 0 ? iso : `${iso.slice(0, -1)}${String(rest).padStart(3, '0')}Z`;
}

export function writeSpan({ from, to }: TimeSpan): string {
  return to === undefined ? writeMoment(from) : `${writeMoment(from)}/${writeMoment(to)}`;
}

/** As the domain writes moments. */
export const toInstant = (at: Micros): Instant => writeMoment(at) as Instant;

const DURATION = /^(-)?P(?:(\d+)Y)?(?:(\d+)M)?(?:(\d+)W)?(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?$/;
const DAY = 86_400_000_000;

/** A duration of ISO 8601. A month is taken as 30 days and a year as 365, because a duration stands for itself here. */
export function parseDuration(text: string): Micros | undefined {
  const found = DURATION.exec(text);
  if (found === null || text.endsWith('P') || text.endsWith('T')) return undefined;
  const [sign, ...parts] = found.slice(1);
  const [years, months, weeks, days, hours, minutes, seconds] = parts.map((part) => Number(part ?? 0)) as number[] &
    [number, number, number, number, number, number, number];
  const whole = years * 365 + months * 30 + weeks * 7 + days;
  const micros = whole * DAY + hours * 3_600_000_000 + minutes * 60_000_000 + Math.round(seconds * 1_000_000);
  return sign === '-' ? -micros : micros;
}
