import { badRequest } from './errors.ts';

declare const brand: unique symbol;

/**
 * A moment in UTC as 4.6.3 writes it: `2026-03-01T07:00:00Z`, with up to six fraction digits, kept as the client wrote them.
 * Compare with {@link compareInstants}, never as text: "00Z" and "00.0Z" are the same moment.
 */
export type Instant = string & { readonly [brand]: 'Instant' };

/** A moment as microseconds since 1970-01-01T00:00:00Z; exact in a number from the year 1684 to 2255. */
export type Micros = number;

const DATE_TIME = /^(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:[.,](\d{1,9}))?Z$/;
const DAYS = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

/**
 * Reads a DateTime of 4.6.3. A comma before the fraction is accepted and becomes a dot; fraction digits beyond six are cut.
 * @returns undefined if the text is not a DateTime in UTC, or no such moment exists (30 February)
 */
export function parseInstant(text: unknown): Instant | undefined {
  if (typeof text !== 'string') return undefined;
  const found = DATE_TIME.exec(text);
  if (!found) return undefined;
  const [, year, month, day, hour, minute, second, fraction] = found;
  const m = Number(month);
  const d = Number(day);
  if (m < 1 || m > 12 || d < 1 || d > (DAYS[m - 1] ?? 0) || Number(hour) > 23 || Number(minute) > 59 || Number(second) > 60) {
    return undefined;
  }
  if (m === 2 && d === 29 && new Date(Date.UTC(Number(year), 1, 29)).getUTCMonth() !== 1) return undefined;
  if (fraction === undefined) return text as Instant;
  return `${text.slice(0, 19)}.${fraction.slice(0, 6)}Z` as Instant;
}

/** Like {@link parseInstant}, but refuses. @throws DomainError BadRequestData naming `what` */
export function instant(text: unknown, what: string): Instant {
  const parsed = parseInstant(text);
  if (parsed === undefined) {
    throw badRequest(`${what} must be a DateTime in UTC such as 2026-03-01T07:00:00Z, not ${JSON.stringify(text)}`);
  }
  return parsed;
}

/** The moment as microseconds, for comparing, indexing and arithmetic. */
export function toMicros(at: Instant): Micros {
  // Seconds, or milliseconds: what nearly all are written in.
  if (at.length === 20 || at.length === 24) return Date.parse(at) * 1000;
  const fraction = at.slice(20, -1);
  return Date.parse(`${at.slice(0, 19)}Z`) * 1000 + Number(fraction.padEnd(6, '0'));
}

/** The shortest text for a moment: no fraction if it is zero, milliseconds or microseconds otherwise. */
export function fromMicros(micros: Micros): Instant {
  const milliseconds = Math.floor(micros / 1000);
  const rest = micros - milliseconds * 1000;
  const iso = new Date(milliseconds).toISOString();
  if (rest !== 0) return `${iso.slice(0, -1)}${String(rest).padStart(3, '0')}Z` as Instant;
  return (iso.endsWith('.000Z') ? `${iso.slice(0, -5)}Z` : iso) as Instant;
}

export function compareInstants(a: Instant, b: Instant): number {
  return a === b ? 0 : toMicros(a) - toMicros(b);
}
