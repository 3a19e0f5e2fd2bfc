import { badRequest } from './errors.ts';
import type { Period } from './history.ts';
import type { Micros } from './time.ts';

/** The three forms of 4.5.19.1: P[n]Y[n]M[n]DT[n]H[n]M[n]S with parts left out, and P[n]W. Only seconds may have a fraction. */
const DURATION =
  /^P(?:(\d{1,6})W|(?:(\d{1,6})Y)?(?:(\d{1,6})M)?(?:(\d{1,6})D)?(?:T(?=\d)(?:(\d{1,6})H)?(?:(\d{1,6})M)?(?:(\d{1,9}(?:[.,]\d{1,6})?)S)?)?)$/;

const SECOND = 1_000_000;
const DAY = 86_400 * SECOND;
/** Mean length of a month in the Gregorian calendar: a first guess, corrected by counting. */
const MEAN_MONTH = 30.436875 * DAY;

/**
 * Reads a duration of ISO 8601 as 4.5.19.1 allows it. "PT0S" and "P0D" are zero, which means the whole range.
 * @throws DomainError BadRequestData naming `what`
 */
export function parsePeriod(text: unknown, what = 'aggrPeriodDuration'): Period {
  const found = typeof text === 'string' && text.length > 2 ? DURATION.exec(text) : null;
  if (found === null) {
    throw badRequest(
      `${what} must be an ISO 8601 duration such as PT1H, P1D or P1M, not ${JSON.stringify(text)?.slice(0, 80)}`,
    );
  }
  const [, weeks, years, months, days, hours, minutes, seconds] = found.map((part) =>
    part === undefined ? 0 : Number(part.replace(',', '.')),
  ) as [number, number, number, number, number, number, number, number];
  const micros = (weeks * 7 + days) * DAY + (hours * 3600 + minutes * 60) * SECOND + Math.round(seconds * SECOND);
  return { months: years * 12 + months, micros };
}

/** True for the period of 4.5.19.1 that means "all of the range". */
export function isWhole(period: Period): boolean {
  return period.months === 0 && period.micros === 0;
}

/**
 * `origin` plus `times` periods. Months keep the day of the month where they can: 31 January + 1 month is the last of February, and + 2 months is
 * 31 March again, because it is always counted from the origin.
 */
export function addPeriods(origin: Micros, period: Period, times: number): Micros {
  const shifted = period.months === 0 ? origin : addMonths(origin, period.months * times);
  return shifted + period.micros * times;
}

function addMonths(at: Micros, months: number): Micros {
  const milliseconds = Math.floor(at / 1000);
  const rest = at - milliseconds * 1000;
  const date = new Date(milliseconds);
  const day = date.getUTCDate();
  date.setUTCDate(1);
  date.setUTCMonth(date.getUTCMonth() + months);
  const last = new Date(Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + 1, 0)).getUTCDate();
  date.setUTCDate(Math.min(day, last));
  return date.getTime() * 1000 + rest;
}

/** A span of time: `from` included, `to` excluded. */
export interface Span {
  readonly from: Micros;
  readonly to: Micros;
}

/**
 * The bucket that a moment falls into, when buckets of one period follow each other from `origin` in both directions.
 * @param period must not be zero
 */
export function bucketOf(at: Micros, origin: Micros, period: Period): Span {
  const length = period.micros + period.months * MEAN_MONTH;
  let times = Math.floor((at - origin) / length);
  while (addPeriods(origin, period, times) > at) times -= 1;
  while (addPeriods(origin, period, times + 1) <= at) times += 1;
  return { from: addPeriods(origin, period, times), to: addPeriods(origin, period, times + 1) };
}

/** The end of a closed range as an exclusive bound: the finest step of an Instant later. */
export function justAfter(at: Micros): Micros {
  return at + 1;
}
