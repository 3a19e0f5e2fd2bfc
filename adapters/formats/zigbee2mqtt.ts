import { fromMicros, isObject, type JsonValue } from '../../broker/ports/ingest.ts';
import { deviceTime } from '../device-time.ts';
import { unitCode } from '../mapping/units.ts';
import { checkCount, type Parsed, PayloadError, parseJson } from '../reading.ts';
import { flatReadings } from './flat.ts';

/**
 * Reads the state of a device, or its availability. States are merged by the bridge and repeat what has not changed: `last_seen` says of when they are. A retained
 * one without it has no time that could be trusted, so it is flagged.
 * @param kind "availability", "retained", or undefined for a state as it came
 * @throws PayloadError
 */
export function parseZigbee(text: string, kind: string | undefined): Parsed {
  if (kind === 'availability') {
    const plain = text.trim();
    const told = plain.startsWith('{') ? parseJson(plain) : plain;
    const state = isObject(told) ? told['state'] : told;
    if (state !== 'online' && state !== 'offline')
      throw new PayloadError('PARSE_ERROR', 'availability must be online or offline');
    return { measures: [{ readings: [{ address: 'deviceState', value: state }] }], warnings: [] };
  }
  const message = parseJson(text);
  if (!isObject(message)) throw new PayloadError('PARSE_ERROR', 'The state must be a JSON object');
  const { last_seen, ...values } = message as Record<string, JsonValue>;
  const observedAt =
    typeof last_seen === 'number' && last_seen > 0 && last_seen < 8.64e15
      ? fromMicros(Math.trunc(last_seen) * 1000)
      : deviceTime(last_seen);
  const flagged = kind === 'retained' && observedAt === undefined ? { quality: 'suspect' as const } : {};
  const readings = flatReadings(values).map((reading) => ({ ...reading, ...flagged }));
  return { measures: checkCount([{ ...(observedAt !== undefined && { observedAt }), readings }]), warnings: [] };
}

/** What the bridge tells about one of its devices. */
export interface ZigbeeDevice {
  readonly friendlyName: string;
  readonly ieeeAddress: string;
  /** What it publishes: name, and unit as a UN/CEFACT code. */
  readonly attributes: readonly { readonly name: string; readonly unitCode?: string }[];
  /** What can be set. */
  readonly settable: readonly string[];
}

/** Bits of `access` of an exposed property. */
const PUBLISHED = 1;
const SETTABLE = 2;

/**
 * Reads the retained `bridge/devices`: the names that devices go by, and what they expose.
 * @throws PayloadError
 */
export function zigbeeDevices(text: string): readonly ZigbeeDevice[] {
  const list = parseJson(text);
  if (!Array.isArray(list)) throw new PayloadError('PARSE_ERROR', 'bridge/devices must be a list');
  return list.flatMap((device): readonly ZigbeeDevice[] => {
    if (!isObject(device) || typeof device['friendly_name'] !== 'string' || device['type'] === 'Coordinator') return [];
    const definition = device['definition'];
    const exposes = properties(isObject(definition) ? definition['exposes'] : undefined);
    return [
      {
        friendlyName: device['friendly_name'],
        ieeeAddress: String(device['ieee_address'] ?? ''),
        attributes: exposes
          .filter(({ access }) => (access & PUBLISHED) !== 0)
          .map(({ property, unit }) => ({ name: property, ...(unit !== undefined && { unitCode: unitCode(unit) }) })),
        settable: exposes.filter(({ access }) => (access & SETTABLE) !== 0).map(({ property }) => property),
      },
    ];
  });
}

interface Exposed {
  readonly property: string;
  readonly access: number;
  readonly unit?: string;
}

/** Properties, also those inside "light", "switch", "climate" and the like, which only group `features`. */
function properties(exposes: JsonValue | undefined): readonly Exposed[] {
  if (!Array.isArray(exposes)) return [];
  return exposes.flatMap((entry: JsonValue): readonly Exposed[] => {
    if (!isObject(entry)) return [];
    const { property, access, unit, features } = entry as Record<string, JsonValue>;
    if (typeof property === 'string' && typeof access === 'number')
      return [{ property, access, ...(typeof unit === 'string' && unit !== '' && { unit }) }];
    return properties(features);
  });
}
