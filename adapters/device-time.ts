import { fromMicros, type Instant } from '../broker/ports/ingest.ts';

const EXTENDED = /^(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?)?\s?(Z|[+-]\d\d(?::?\d\d)?)?$/;
const BASIC = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)?(?:[.,](\d{1,9}))?(Z|[+-]\d\d(?::?\d\d)?)?$/;

/**
 * Reads the time of a device: ISO 8601 in extended or basic form, with offset, or with a blank instead of the T.
 * Fractions are cut to milliseconds.
 * @param zone IANA name for times that carry no zone, "UTC" for instance; undefined: such times are refused, for the server's own zone
 *             says nothing about the device
 * @returns undefined if it is no time, or no such moment exists, or it exists twice or never in that zone's change of clocks
 */
export function deviceTime(text: unknown, zone?: string): Instant | undefined {
  if (typeof text !== 'string' || text.length > 40) return undefined;
  const found = EXTENDED.exec(text) ?? BASIC.exec(text);
  if (!found) return undefined;
  const [, year, month, day, hour = '00', minute = '00', second = '00', fraction = '', offset] = found;
  const parts = [year, month, day, hour, minute, second].map(Number) as [number, number, number, number, number, number];
  const utc = Date.UTC(parts[0], parts[1] - 1, parts[2], parts[3], parts[4], Math.min(parts[5], 59));
  const back = new Date(utc);
  // Date.UTC lets 30 February roll over into March; a device that says so is wrong.
  if (
    back.getUTCMonth() !== parts[1] - 1 ||
    back.getUTCDate() !== parts[2] ||
    parts[3] > 23 ||
    parts[4] > 59 ||
    parts[5] > 60
  ) {
    return undefined;
  }
  const shift = offset === undefined ? zoneOffset(utc, zone) : offsetMs(offset);
  if (shift === undefined) return undefined;
  const ms = Number(fraction.slice(0, 3).padEnd(3, '0'));
  return fromMicros((utc - shift + ms) * 1000);
}

function offsetMs(text: string): number | undefined {
  if (text === 'Z') return 0;
  const digits = text.slice(1).replace(':', '').padEnd(4, '0');
  const hours = Number(digits.slice(0, 2));
  const minutes = Number(digits.slice(2));
  if (hours > 14 || minutes > 59) return undefined;
  return (text[0] === '-' ? -1 : 1) * (hours * 60 + minutes) * 60_000;
}

/** The offset of `zone` at a local time, in ms; undefined if there is no zone, or the local time is ambiguous or left out there. */
function zoneOffset(local: number, zone: string | undefined): number | undefined {
  if (zone === undefined) return undefined;
  if (zone === 'UTC') return 0;
  try {
    const fits = [local - 86_400_000, local + 86_400_000]
      .map((near) => offsetAt(near, zone))
      .filter((offset, at, all) => all.indexOf(offset) === at && offsetAt(local - offset, zone) === offset);
    return fits.length === 1 ? fits[0] : undefined;
  } catch {
    return undefined;
  }
}

const FORMATS = new Map<string, Intl.DateTimeFormat>();

function offsetAt(utc: number, zone: string): number {
  let format = FORMATS.get(zone);
  if (format === undefined) {
    format = new Intl.DateTimeFormat('en-GB', { timeZone: zone, timeZoneName: 'longOffset' });
    FORMATS.set(zone, format);
  }
  const name = format.formatToParts(utc).find((part) => part.type === 'timeZoneName')?.value ?? 'GMT';
  return name === 'GMT' ? 0 : (offsetMs(name.slice(3)) ?? 0);
}
