import { isObject, type JsonValue } from '../../broker/ports/ingest.ts';
import { deviceTime } from '../device-time.ts';
import { checkCount, type Parsed, PayloadError, parseJson, type Reading } from '../reading.ts';
import { type CodecField, decode } from './codec.ts';
import { flatReadings } from './flat.ts';

/** An event of ChirpStack, as far as it tells something about the device. */
export interface ChirpStackEvent {
  readonly devEui: string;
  /** The same uplink has the same key, however often it comes. Absent: it may come twice without harm. */
  readonly duplicateKey?: string;
  readonly parsed: Parsed;
}

/**
 * Reads an event of ChirpStack v4: an uplink (`object`, else the bytes by the codec), a device status, or a location. The strongest gateway gives `rssi` and `snr`.
 * Events of version 3, which have no `deviceInfo`, are read as well.
 * @returns undefined for events that tell nothing: join, ack, txack, log
 * @throws PayloadError
 */
export function parseChirpStack(text: string, codec: (devEui: string) => readonly CodecField[]): ChirpStackEvent | undefined {
  const event = eventOf(text);
  const devEui = euiOf(event);
  const observedAt = timeOf(event);
  const warnings: string[] = [];
  const readings = readingsOf(event, () => codec(devEui), warnings);
  if (readings === undefined) return undefined;
  const duplicate =
    event['deduplicationId'] ??
    (event['fCnt'] === undefined ? undefined : `${String(event['devAddr'] ?? '')}/${String(event['fCnt'])}`);
  return {
    devEui,
    ...(duplicate !== undefined && { duplicateKey: `${devEui}/${String(duplicate)}` }),
    parsed: { measures: checkCount([{ ...(observedAt !== undefined && { observedAt }), readings }]), warnings },
  };
}

/** The device EUI of a message, in lower-case hexadecimal digits: the `device_id`. @throws PayloadError if it has none */
export const chirpStackDevice = (text: string): string => euiOf(eventOf(text));

type Event = Readonly<Record<string, JsonValue>>;

function eventOf(text: string): Event {
  const event = parseJson(text);
  if (!isObject(event)) throw new PayloadError('PARSE_ERROR', 'The event must be a JSON object');
  return event as Event;
}

function euiOf(event: Event): string {
  const info = event['deviceInfo'];
  if (isObject(info)) {
    if (typeof info['devEui'] === 'string' && /^[0-9a-f]{16}$/i.test(info['devEui'])) return info['devEui'].toLowerCase();
  } else if (typeof event['devEUI'] === 'string') {
    // Version 3 sends base64, or hexadecimal digits with an older marshaler.
    if (/^[0-9a-f]{16}$/i.test(event['devEUI'])) return event['devEUI'].toLowerCase();
    const bytes = Buffer.from(event['devEUI'], 'base64');
    if (bytes.length === 8) return bytes.toString('hex');
  }
  throw new PayloadError('PARSE_ERROR', 'The event has no deviceInfo.devEui of 16 hexadecimal digits');
}

function timeOf(event: Event) {
  const gateways = event['rxInfo'];
  const times = [
    event['time'],
    ...(Array.isArray(gateways)
      ? gateways.map((gateway) => (isObject(gateway) ? (gateway['nsTime'] ?? gateway['time']) : undefined))
      : []),
    event['publishedAt'],
  ];
  for (const time of times) {
    const observedAt = deviceTime(time);
    if (observedAt !== undefined) return observedAt;
  }
  return undefined;
}

function readingsOf(event: Event, codec: () => readonly CodecField[], warnings: string[]): readonly Reading[] | undefined {
  if (event['margin'] !== undefined || event['batteryLevel'] !== undefined) {
    // Without a measured level the network server sends 0.
    const battery =
      event['batteryLevelUnavailable'] === true || event['externalPowerSource'] === true
        ? {}
        : { batteryLevel: event['batteryLevel'] ?? 0 };
    return flatReadings({
      margin: event['margin'] ?? 0,
      externalPowerSource: event['externalPowerSource'] ?? false,
      ...battery,
    });
  }
  const location = event['location'];
  if (isObject(location) && typeof location['latitude'] === 'number' && typeof location['longitude'] === 'number') {
    return [{ address: 'location', value: { type: 'Point', coordinates: [location['longitude'], location['latitude']] } }];
  }
  const isUplink = ['fPort', 'data', 'object', 'objectJSON', 'rxInfo'].some((member) => event[member] !== undefined);
  if (!isUplink || event['acknowledged'] !== undefined || event['queueItemId'] !== undefined) return undefined;
  return [...values(event, codec, warnings), ...radio(event['rxInfo'])];
}

function values(event: Event, codec: () => readonly CodecField[], warnings: string[]): readonly Reading[] {
  const { object, objectJSON, data } = event;
  const decoded = isObject(object)
    ? object
    : typeof objectJSON === 'string' && objectJSON !== ''
      ? parseJson(objectJSON)
      : undefined;
  if (isObject(decoded) && Object.keys(decoded).length > 0) return flatReadings(decoded as Record<string, JsonValue>);
  if (data === undefined || data === '' || data === null) return [];
  if (typeof data !== 'string' || !/^[A-Za-z0-9+/]*={0,2}$/.test(data) || data.length % 4 === 1)
    throw new PayloadError('PARSE_ERROR', 'data is not base64');
  const port = typeof event['fPort'] === 'number' ? event['fPort'] : 0;
  const readings = decode(codec(), port, Buffer.from(data, 'base64'));
  if (readings.length === 0) warnings.push(`The bytes of port ${port} have no codec, and the event no object`);
  return readings;
}

function radio(gateways: JsonValue | undefined): readonly Reading[] {
  if (!Array.isArray(gateways)) return [];
  const heard = gateways.filter((gateway): gateway is Event => isObject(gateway) && typeof gateway['rssi'] === 'number');
  const [best] = heard.sort((a, b) => (b['rssi'] as number) - (a['rssi'] as number));
  if (best === undefined) return [];
  const snr = best['snr'] ?? best['loRaSNR'] ?? 0;
  return flatReadings({ rssi: best['rssi'] as number, snr });
}
