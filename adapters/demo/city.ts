import type { JsonObject } from '../../broker/ports/ingest.ts';

/** What kind of device it is: which sample it sends, and how. */
export type DeviceKind = 'kit' | 'parking' | 'spot' | 'container' | 'streetlight' | 'weather' | 'soil';
export type Way = 'mqtt' | 'http';

export interface DemoDevice {
  readonly kind: DeviceKind;
  readonly id: string;
  readonly way: Way;
  /** Kits: compact readings instead of JSON. */
  readonly raw?: boolean;
  /** Number within its kind, from 0: makes each device a little different. */
  readonly number: number;
  readonly provisioning: JsonObject;
}

/** The tenant and service path that the city lives in. */
export const SERVICE = 'city';
export const SERVICE_PATH = '/demo';
/** The town square; devices lie around it. */
export const CENTRE: readonly [longitude: number, latitude: number] = [17.1077, 48.1486];

export const contextUrl = (subject: string): string =>
  `https://raw.githubusercontent.com/smart-data-models/dataModel.${subject}/master/context.jsonld`;

/** API keys are secrets elsewhere; a demonstration has to print its own. */
export const KEYS = {
  parking: 'demo-parking',
  spot: 'demo-spots',
  container: 'demo-waste',
  streetlight: 'demo-lights',
  weather: 'demo-weather',
  soil: 'demo-soil',
} as const;

const number = (name: string, object_id: string, unitCode?: string): JsonObject => ({
  object_id,
  name,
  type: 'Number',
  ...(unitCode !== undefined && { metadata: { unitCode: { type: 'Text', value: unitCode } } }),
});
const computed = (name: string, expression: string, type = 'Number'): JsonObject => ({ name, type, expression });

/** The service groups: what a message of each kind means, in the words of the provisioning API. */
export const GROUPS: readonly JsonObject[] = [
  {
    resource: '/iot/json',
    apikey: KEYS.parking,
    entity_type: 'OffStreetParking',
    jsonLdContext: contextUrl('Parking'),
    explicitAttrs: true,
    attributes: [
      { object_id: 'total', name: 'totalSpotNumber', type: 'Integer' },
      { object_id: 'free', name: 'availableSpotNumber', type: 'Integer' },
      computed('occupiedSpotNumber', 'total - free', 'Integer'),
      computed('occupancy', '(((total - free) * 100 / total)|round) / 100'),
    ],
    static_attributes: [{ name: 'category', type: 'Text', value: ['public', 'feeCharged'] }],
  },
  {
    resource: '/iot/d',
    apikey: KEYS.spot,
    entity_type: 'ParkingSpot',
    jsonLdContext: contextUrl('Parking'),
    explicitAttrs: true,
    attributes: [computed('status', "s == 1 ? 'occupied' : 'free'", 'Text')],
    static_attributes: [
      { name: 'category', type: 'Text', value: ['offStreet'] },
      { name: 'refParkingSite', type: 'Relationship', value: 'urn:ngsi-ld:OffStreetParking:parking-1' },
    ],
  },
  {
    resource: '/iot/d',
    apikey: KEYS.container,
    entity_type: 'WasteContainer',
    jsonLdContext: contextUrl('WasteManagement'),
    explicitAttrs: true,
    // The sensor measures the distance from the lid; the container is 180 cm deep.
    attributes: [computed('fillingLevel', '(((1 - d / 180) * 100)|round) / 100'), number('temperature', 't', 'CEL')],
    static_attributes: [{ name: 'storedWasteKind', type: 'Text', value: ['glass'] }],
  },
  {
    resource: '/iot/json',
    apikey: KEYS.streetlight,
    entity_type: 'Streetlight',
    jsonLdContext: contextUrl('Streetlighting'),
    explicitAttrs: true,
    attributes: [
      computed('powerState', "on ? 'on' : 'off'", 'Text'),
      computed('illuminanceLevel', 'dim / 100'),
      number('powerConsumption', 'w', 'WTT'),
    ],
    static_attributes: [{ name: 'status', type: 'Text', value: 'ok' }],
  },
  {
    resource: '/iot/tts',
    apikey: KEYS.weather,
    entity_type: 'WeatherObserved',
    jsonLdContext: contextUrl('Weather'),
    explicitAttrs: true,
    codec: [
      { port: 2, offset: 0, length: 2, type: 'int', factor: 0.1, name: 'temp' },
      { port: 2, offset: 2, length: 1, type: 'uint', name: 'hum' },
      { port: 2, offset: 3, length: 2, type: 'uint', factor: 0.1, name: 'press' },
      { port: 2, offset: 5, length: 1, type: 'uint', factor: 0.1, name: 'wind' },
    ],
    attributes: [
      number('temperature', 'temp', 'CEL'),
      computed('relativeHumidity', 'hum / 100'),
      number('atmosphericPressure', 'press', 'A97'),
      number('windSpeed', 'wind', 'MTS'),
    ],
  },
  {
    resource: '/iot/tts',
    apikey: KEYS.soil,
    entity_type: 'GreenspaceRecord',
    jsonLdContext: contextUrl('ParksAndGardens'),
    explicitAttrs: true,
    attributes: [number('soilTemperature', 'temp', 'CEL'), computed('soilMoistureVwc', 'moist / 100')],
  },
];

/** Which kinds there are, and how many of twenty devices are of each. */
const SHARES: readonly (readonly [DeviceKind, number])[] = [
  ['kit', 4],
  ['parking', 3],
  ['spot', 3],
  ['container', 3],
  ['streetlight', 3],
  ['weather', 2],
  ['soil', 2],
];

/** The devices of a city of this size; every kind is there if there are at least seven. */
export function cityOf(count: number): readonly DemoDevice[] {
  const order = SHARES.flatMap(([kind, share]) => Array.from({ length: share }, (_, at) => ({ kind, at }))).sort(
    (a, b) => a.at - b.at,
  );
  const made = new Map<DeviceKind, number>();
  return Array.from({ length: count }, (_, index) => {
    const { kind } = order[index % order.length] as { kind: DeviceKind };
    const own = made.get(kind) ?? 0;
    made.set(kind, own + 1);
    return deviceOf(kind, own);
  });
}

function deviceOf(kind: DeviceKind, own: number): DemoDevice {
  const id = `${kind}-${own + 1}`;
  // Weather stations report through the network server's MQTT, soil probes through its webhook; of the others every third uses HTTP.
  const way: Way = kind === 'weather' ? 'mqtt' : kind === 'soil' ? 'http' : own % 3 === 2 ? 'http' : 'mqtt';
  const angle = (own * 2.4 + kind.length) % (2 * Math.PI);
  const distance = 0.004 + 0.006 * ((own * 0.37 + kind.length * 0.11) % 1);
  const coordinates = [CENTRE[0] + distance * 1.5 * Math.cos(angle), CENTRE[1] + distance * Math.sin(angle)].map((degree) =>
    Number(degree.toFixed(5)),
  );
  return {
    kind,
    id,
    way,
    number: own,
    ...(kind === 'kit' && own % 2 === 1 && { raw: true }),
    provisioning: {
      device_id: id,
      ...(kind === 'kit' ? { protocol: 'SmartCitizen', newToken: true } : { apikey: KEYS[kind] }),
      static_attributes: [
        { name: 'location', type: 'geo:json', value: { type: 'Point', coordinates } },
        { name: 'name', type: 'Text', value: `${NAMES[kind]} ${own + 1}` },
      ],
    },
  };
}

const NAMES: Readonly<Record<DeviceKind, string>> = {
  kit: 'School kit',
  parking: 'Car park',
  spot: 'Spot',
  container: 'Glass container',
  streetlight: 'Lamp',
  weather: 'Weather station',
  soil: 'Park meadow',
};
