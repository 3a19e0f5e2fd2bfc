import { readFileSync } from 'node:fs';
import type { DemoDevice, DeviceKind } from './city.ts';
import { KEYS } from './city.ts';

/** One message on its way from a device: to a topic, or to a path of the HTTP API. */
export interface DemoMessage {
  readonly topic: string;
  readonly path: string;
  readonly contentType: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

const text = (name: string): string => readFileSync(new URL(`samples/${name}`, import.meta.url), 'utf8').trim();
const json = <T>(name: string): T => JSON.parse(text(name)) as T;

const SAMPLES = {
  kit: json<{ data: { recorded_at: string; sensors: { id: number; value: number }[] }[] }>('kit-readings.json'),
  kitRaw: text('kit-raw.txt'),
  kitInfo: json<Record<string, string>>('kit-info.json'),
  parking: json<Record<string, unknown>>('parking.json'),
  spot: text('spot.ul.txt'),
  container: text('container.ul.txt'),
  streetlight: json<Record<string, unknown>>('streetlight.json'),
  weather: json<Uplink>('uplink-weather.json'),
  soil: json<Uplink>('uplink-soil.json'),
};

interface Uplink {
  end_device_ids: Record<string, unknown>;
  received_at: string;
  uplink_message: Record<string, unknown>;
}

/** A day in the city: 0 at night, 1 in the afternoon. */
const day = (at: Date): number => (1 - Math.cos(((at.getUTCHours() + at.getUTCMinutes() / 60 - 3) / 24) * 2 * Math.PI)) / 2;
/** Two rush hours. */
const rush = (at: Date): number => {
  const hour = at.getUTCHours() + at.getUTCMinutes() / 60;
  return Math.exp(-((hour - 7) ** 2) / 4) + Math.exp(-((hour - 16.5) ** 2) / 5);
};
const noise = (seed: number): number => {
  const x = Math.sin(seed * 12.9898) * 43758.5453;
  return x - Math.floor(x);
};
const rounded = (value: number, digits = 1): number => Number(value.toFixed(digits));

/** What the sensors of a kit read at a moment, by number in the catalogue. */
function kitValues(device: DemoDevice, at: Date): Readonly<Record<number, number>> {
  const dust = 6 + 18 * rush(at) + 4 * noise(at.getTime() / 6e5 + device.number);
  return {
    55: rounded(8 + 9 * day(at) + device.number * 0.3),
    56: rounded(80 - 35 * day(at)),
    58: rounded(100.9 + 0.2 * noise(at.getTime() / 3.6e6), 2),
    53: rounded(42 + 16 * rush(at) + 3 * noise(at.getTime())),
    14: Math.round(900 * day(at)),
    89: rounded(dust * 0.6),
    87: rounded(dust),
    88: rounded(dust * 1.6),
    10: device.number % 2 === 0 ? 96 : -1,
  };
}

const instant = (at: Date): string => `${at.toISOString().slice(0, 19)}Z`;

/** The message of a device for these moments; formats that carry only one moment take the last. */
export function messageOf(device: DemoDevice, moments: readonly Date[], token: string | undefined, count: number): DemoMessage {
  const at = moments.at(-1) as Date;
  switch (device.kind) {
    case 'kit':
      return device.raw ? kitRaw(device, at, token) : kitJson(device, moments, token);
    case 'parking': {
      const total = 120 + 60 * device.number;
      const free = Math.round(total * (0.85 - 0.75 * day(at)) * (0.9 + 0.1 * noise(at.getTime() / 3e5)));
      return fiware(device, 'json', JSON.stringify({ ...SAMPLES.parking, total, free, TimeInstant: instant(at) }));
    }
    case 'streetlight': {
      const on = day(at) < 0.25;
      const dim = on ? (at.getUTCHours() < 4 ? 40 : 80) : 0;
      return fiware(
        device,
        'json',
        JSON.stringify({ ...SAMPLES.streetlight, on, dim, w: rounded(dim * 0.65), TimeInstant: instant(at) }),
      );
    }
    case 'spot':
      return fiware(
        device,
        'ul',
        ultraLight(SAMPLES.spot, at, { s: noise(at.getTime() / 6e5 + device.number) < day(at) ? 1 : 0 }),
      );
    case 'container': {
      const filled = ((at.getTime() / 8.64e7 + device.number * 0.3) % 1) * 150;
      return fiware(device, 'ul', ultraLight(SAMPLES.container, at, { d: rounded(175 - filled), t: rounded(6 + 9 * day(at)) }));
    }
    case 'weather': {
      const bytes = Buffer.alloc(6);
      bytes.writeInt16BE(Math.round((8 + 9 * day(at)) * 10 + device.number), 0);
      bytes.writeUInt8(Math.round(80 - 35 * day(at)), 2);
      bytes.writeUInt16BE(Math.round(10130 + 20 * noise(at.getTime() / 3.6e6)), 3);
      bytes.writeUInt8(Math.round(20 + 40 * noise(at.getTime() / 1.8e6)), 5);
      return uplink(device, at, count, { frm_payload: bytes.toString('base64') });
    }
    case 'soil':
      return uplink(device, at, count, {
        decoded_payload: { temp: rounded(7 + 3 * day(at)), moist: rounded(38 - 6 * day(at) + device.number) },
      });
  }
}

/** What a kit says of itself when it starts. */
export function infoOf(token: string, at = new Date()): DemoMessage {
  return kitMessage(token, 'info', JSON.stringify({ ...SAMPLES.kitInfo, time: instant(at) }), '');
}

function kitJson(device: DemoDevice, moments: readonly Date[], token: string | undefined): DemoMessage {
  const [sample] = SAMPLES.kit.data;
  const data = moments.map((at) => {
    const values = kitValues(device, at);
    return {
      recorded_at: instant(at),
      sensors: (sample?.sensors ?? []).map(({ id, value }) => ({ id, value: values[id] ?? value })),
    };
  });
  return kitMessage(token ?? '', 'readings', JSON.stringify({ data }), device.id);
}

function kitRaw(device: DemoDevice, at: Date, token: string | undefined): DemoMessage {
  const values = kitValues(device, at);
  const body = SAMPLES.kitRaw
    .replace(/t:[^,]+/, `t:${instant(at)}`)
    .replace(/(\d+):(-?[\d.]+|null)(?=,)/g, (pair, id: string) =>
      values[Number(id)] === undefined ? pair : `${id}:${values[Number(id)]}`,
    );
  return kitMessage(token ?? '', 'readings/raw', body, device.id);
}

const kitMessage = (token: string, part: string, body: string, id: string): DemoMessage => ({
  topic: `device/sck/${token}/${part}`,
  path: `/iot/sck/devices/${id}/readings`,
  contentType: 'application/json',
  headers: { authorization: `Bearer ${token}` },
  body,
});

function fiware(device: DemoDevice, agent: 'json' | 'ul', body: string): DemoMessage {
  const key = KEYS[device.kind as Exclude<DeviceKind, 'kit'>];
  return {
    topic: `/${agent}/${key}/${device.id}/attrs`,
    path: `${agent === 'json' ? '/iot/json' : '/iot/d'}?i=${device.id}`,
    contentType: agent === 'json' ? 'application/json' : 'text/plain',
    headers: { 'x-api-key': key },
    body,
  };
}

/** The sample with another time and other values. */
function ultraLight(sample: string, at: Date, values: Readonly<Record<string, number>>): string {
  const [, ...fields] = sample.split('|');
  const pairs = fields.map((field, index) => (index % 2 === 1 ? String(values[fields[index - 1] as string] ?? field) : field));
  return [instant(at), ...pairs].join('|');
}

function uplink(device: DemoDevice, at: Date, count: number, values: Readonly<Record<string, unknown>>): DemoMessage {
  const sample = device.kind === 'weather' ? SAMPLES.weather : SAMPLES.soil;
  const eui = `00112233445566${(device.number + (device.kind === 'weather' ? 1 : 101)).toString(16).padStart(2, '0')}`;
  const received = `${at.toISOString().slice(0, -1)}456789Z`;
  const message = {
    ...sample,
    end_device_ids: { ...sample.end_device_ids, device_id: device.id, dev_eui: eui.toUpperCase() },
    received_at: received,
    // What is zero is left out on the wire.
    uplink_message: { ...sample.uplink_message, ...values, received_at: received, f_cnt: count === 0 ? undefined : count },
  };
  return {
    topic: `v3/parks@city/devices/${device.id}/up`,
    path: '/iot/tts/up',
    contentType: 'application/json',
    headers: { 'x-api-key': KEYS[device.kind as 'weather' | 'soil'] },
    body: JSON.stringify(message),
  };
}
