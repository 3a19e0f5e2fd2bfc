import type { JsonObject } from '../../broker/ports/ingest.ts';
import { type Rates, randomNumbers, signal } from './signal.ts';

/** One message of a simulated device, ready to be posted. */
export interface SimulatedMessage {
  readonly path: string;
  /** Where the secret goes: the API key of a network server, or the token of a kit. */
  readonly key: string;
  readonly body: string;
}

/** A device that sends by itself. Each step it says what it has to say, which is nothing during a gap, and all at once after a late one. */
export interface Sender {
  step(at: Date): readonly SimulatedMessage[];
}

export const SIMULATION_KEYS = { chirpstack: 'simulated-chirpstack', 'things-stack': 'simulated-tts' } as const;

/** The groups of the simulated network servers. */
export const SIMULATION_GROUPS: readonly JsonObject[] = [
  {
    resource: '/iot/chirpstack',
    apikey: SIMULATION_KEYS.chirpstack,
    entity_type: 'WeatherObserved',
    explicitAttrs: true,
    attributes: [
      { object_id: 'temp', name: 'temperature', type: 'Number', metadata: { unitCode: { type: 'Text', value: 'CEL' } } },
      { object_id: 'hum', name: 'relativeHumidity', type: 'Number', expression: 'hum / 100' },
    ],
    // The devices send bytes: two numbers of two bytes.
    codec: [
      { port: 2, offset: 0, length: 2, type: 'int', factor: 0.1, name: 'temp' },
      { port: 2, offset: 2, length: 2, type: 'uint', factor: 0.1, name: 'hum' },
    ],
  },
  {
    resource: '/iot/tts',
    apikey: SIMULATION_KEYS['things-stack'],
    entity_type: 'WaterObserved',
    explicitAttrs: true,
    attributes: [
      { object_id: 'level', name: 'height', type: 'Number', metadata: { unitCode: { type: 'Text', value: 'MTR' } } },
    ],
  },
];

/** A kit as the provisioning API takes it. */
export const simulatedKit = (number: number): JsonObject => ({
  device_id: `simulated-kit-${number}`,
  protocol: 'SmartCitizen',
  newToken: true,
  static_attributes: [
    { name: 'location', type: 'geo:json', value: { type: 'Point', coordinates: [17.1 + number / 100, 48.14] } },
  ],
});

/** A Smart Citizen Kit; what it could not send it has on its card, and sends later in one message. */
export function kitSender(number: number, token: string, rates: Rates): Sender {
  const random = randomNumbers(1000 + number);
  const sensors: readonly (readonly [number, (at: Date) => number])[] = [
    [55, signal({ mean: 14, swing: 6, noise: 0.4 }, random)],
    [56, signal({ mean: 62, swing: -14, noise: 2, least: 5 }, random)],
    [58, signal({ mean: 101.3, swing: 0.1, noise: 0.2, memory: 0.99 }, random)],
    [53, signal({ mean: 52, swing: 8, noise: 5, memory: 0.4, least: 30 }, random)],
    [87, signal({ mean: 12, swing: 3, noise: 6, memory: 0.8, least: 0 }, random)],
  ];
  const waiting: object[] = [];
  let lateFor = 0;
  return {
    step(at) {
      const values = sensors.map(([id, value]) => ({
        id,
        value: random() < rates.fault ? null : Number(value(at).toFixed(2)),
      }));
      if (random() < rates.gap) return [];
      waiting.push({ recorded_at: at.toISOString().replace(/\.\d+Z$/, 'Z'), sensors: values });
      if (lateFor > 0) lateFor--;
      else if (random() < rates.late) lateFor = 1 + Math.floor(random() * 5);
      if (lateFor > 0) return [];
      // The newest first, as firmware does it.
      const body = JSON.stringify({ data: waiting.splice(0).reverse() });
      const message = { path: `/iot/sck/devices/simulated-kit-${number}/readings`, key: token, body };
      return random() < rates.twice ? [message, message] : [message];
    },
  };
}

/** A LoRaWAN device behind a ChirpStack server: bytes, several gateways that hear it more or less well, a frame counter. */
export function chirpStackSender(number: number, rates: Rates): Sender {
  const random = randomNumbers(2000 + number);
  const devEui = (0x0a11000000000000n + BigInt(number)).toString(16).padStart(16, '0');
  const temperature = signal({ mean: 13, swing: 7, noise: 0.5 }, random);
  const humidity = signal({ mean: 60, swing: -15, noise: 3, least: 5 }, random);
  let frame = 0;
  return {
    step(at) {
      frame++;
      const bytes = Buffer.alloc(4);
      bytes.writeInt16BE(Math.round(temperature(at) * 10));
      bytes.writeUInt16BE(Math.round(Math.min(100, humidity(at)) * 10), 2);
      if (random() < rates.gap) return [];
      const event = {
        deduplicationId: `${devEui}-${frame}-${at.getTime()}`,
        time: at.toISOString(),
        deviceInfo: {
          applicationId: '6f1d2c3b-0000-4000-8000-00000000000a',
          applicationName: 'simulation',
          deviceName: `weather-${number}`,
          devEui,
        },
        devAddr: '260b0011',
        fCnt: frame,
        fPort: 2,
        data: bytes.toString('base64'),
        rxInfo: gateways(random, 'gatewayId'),
      };
      const message = { path: '/iot/chirpstack?event=up', key: SIMULATION_KEYS.chirpstack, body: JSON.stringify(event) };
      return random() < rates.twice ? [message, message] : [message];
    },
  };
}

/** A LoRaWAN device behind The Things Stack, whose payload formatter has decoded its bytes. Members that are 0 are left out, as that server does. */
export function thingsStackSender(number: number, rates: Rates): Sender {
  const random = randomNumbers(3000 + number);
  const level = signal({ mean: 2.3, swing: 0, noise: 0.15, memory: 0.98, least: 0 }, random);
  let frame = -1;
  return {
    step(at) {
      frame++;
      const height = Number(level(at).toFixed(3));
      if (random() < rates.gap) return [];
      const received = at.toISOString();
      const uplink = {
        end_device_ids: {
          device_id: `simulated-river-${number}`,
          application_ids: { application_id: 'simulation' },
          dev_eui: `0A12${String(number).padStart(12, '0')}`,
          dev_addr: '260B0012',
        },
        received_at: received,
        uplink_message: {
          session_key_id: 'c2ltdWxhdGlvbg==',
          f_port: 1,
          ...(frame > 0 && { f_cnt: frame }),
          frm_payload: '',
          decoded_payload: { level: height },
          rx_metadata: gateways(random, 'gateway_ids'),
          received_at: received,
        },
      };
      const message = { path: '/iot/tts/up', key: SIMULATION_KEYS['things-stack'], body: JSON.stringify(uplink) };
      return random() < rates.twice ? [message, message] : [message];
    },
  };
}

function gateways(random: () => number, member: 'gatewayId' | 'gateway_ids'): readonly object[] {
  return Array.from({ length: 1 + Math.floor(random() * 3) }, (_, at) => ({
    [member]: member === 'gatewayId' ? `00800000a000000${at}` : { gateway_id: `gw-${at}` },
    rssi: Math.round(-120 + random() * 50),
    snr: Math.round(-10 + random() * 18),
  }));
}
