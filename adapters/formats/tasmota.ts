import { isObject, type JsonValue } from '../../broker/ports/ingest.ts';
import { deviceTime } from '../device-time.ts';
import { checkCount, type Parsed, PayloadError, parseJson } from '../reading.ts';
import { flatReadings } from './flat.ts';

/**
 * Reads what a Tasmota device publishes below `tele` and `stat`. Values of sensors are addressed `<sensor>.<field>` (`DS18B20.Temperature`); the phases of an energy meter
 * come as lists and stay lists. `Online` and `Offline` (LWT) become `deviceState`.
 * @param kind  the last level of the topic: SENSOR, STATE, LWT, RESULT, POWER1 …
 * @param zone  of the device: its `Time` is local and names none. Without it, and in the hour that autumn has twice, the time of reception holds.
 * @throws PayloadError
 */
export function parseTasmota(text: string, kind: string | undefined, zone?: string): Parsed {
  if (kind === 'LWT') {
    const state = text.trim().toLowerCase();
    if (state !== 'online' && state !== 'offline') throw new PayloadError('PARSE_ERROR', 'LWT must be Online or Offline');
    return { measures: [{ readings: [{ address: 'deviceState', value: state }] }], warnings: [] };
  }
  if (kind !== undefined && /^POWER\d*$/.test(kind)) {
    return { measures: [{ readings: [{ address: kind, value: text.trim() }] }], warnings: [] };
  }
  const message = parseJson(text);
  if (!isObject(message)) throw new PayloadError('PARSE_ERROR', 'The message must be a JSON object');
  const { Time, ...values } = message as Record<string, JsonValue>;
  const observedAt = deviceTime(Time, zone);
  const readings = flatReadings(values);
  return { measures: checkCount([{ ...(observedAt !== undefined && { observedAt }), readings }]), warnings: [] };
}

/** The parts of a topic under a full-topic pattern such as `%prefix%/%topic%/`. */
export interface TasmotaTopic {
  readonly prefix: 'cmnd' | 'stat' | 'tele';
  readonly device: string;
  /** What comes behind: SENSOR, LWT, RESULT … */
  readonly kind: string;
}

/** The topic filter that hears one prefix of all devices. @throws Error if the pattern lacks a part */
export function tasmotaFilter(fullTopic: string, prefix: string): string {
  if (!fullTopic.includes('%prefix%') || !fullTopic.includes('%topic%'))
    throw new Error('fullTopic must contain %prefix% and %topic%');
  return `${ending(fullTopic).replace('%prefix%', prefix).replace('%topic%', '+')}+`;
}

/** The topic of a command to a device. */
export const tasmotaCommand = (fullTopic: string, device: string, command: string): string =>
  `${ending(fullTopic).replace('%prefix%', 'cmnd').replace('%topic%', device)}${command}`;

/** Takes a topic apart. @returns undefined if it does not follow the pattern */
export function tasmotaTopic(fullTopic: string, topic: string): TasmotaTopic | undefined {
  const pattern = ending(fullTopic).split('/').slice(0, -1);
  const levels = topic.split('/');
  if (levels.length !== pattern.length + 1) return undefined;
  let prefix: string | undefined;
  let device: string | undefined;
  for (const [at, part] of pattern.entries()) {
    if (part === '%prefix%') prefix = levels[at];
    else if (part === '%topic%') device = levels[at];
    else if (part !== levels[at]) return undefined;
  }
  if ((prefix !== 'cmnd' && prefix !== 'stat' && prefix !== 'tele') || !device) return undefined;
  return { prefix, device, kind: levels.at(-1) as string };
}

const ending = (pattern: string): string => (pattern.endsWith('/') ? pattern : `${pattern}/`);
