import type { KnownDevice } from '../../broker/ports/ingest.ts';
import type { MappedAttribute, MappingDocument, StaticValue, Target } from './mapping.ts';

const SDM = 'https://smartdatamodels.org/';
const AIR = `${SDM}dataModel.Environment/`;
const WEATHER = `${SDM}dataModel.Weather/`;
const DEVICE = `${SDM}dataModel.Device/`;
const LOCATION = 'https://uri.etsi.org/ngsi-ld/location';
/** Where the number of a sensor in the public catalogue is kept: a sub-property of what it measured. */
export const CATALOGUE_ID = 'https://smartcitizen.me/sensorId';

/** The entities that a kit becomes, by index. */
const AS_DEVICE = 0;
const AS_AIR = 1;
const AS_WEATHER = 2;
const AS_NOISE = 3;

/** A row: sensor number, target, attribute, UN/CEFACT unit, and what brings the number to the unit of the model. */
type Row = readonly [sensor: number, target: number, name: string, unit: string, factor?: number];

/**
 * The public sensor catalogue, as far as Smart Data Models have an attribute for it. Other sensors are skipped, the rest of the message kept.
 * Humidity is 0 to 1 in the models and percent on the kit, pressure hPa and kPa.
 */
const CATALOGUE: readonly Row[] = [
  [10, AS_DEVICE, `${DEVICE}batteryLevel`, 'C62', 0.01],
  [12, AS_WEATHER, `${WEATHER}temperature`, 'CEL'],
  [13, AS_WEATHER, `${WEATHER}relativeHumidity`, 'C62', 0.01],
  [14, AS_WEATHER, `${WEATHER}illuminance`, 'LUX'],
  [53, AS_NOISE, `${AIR}LAeq`, '2N'],
  [55, AS_WEATHER, `${WEATHER}temperature`, 'CEL'],
  [56, AS_WEATHER, `${WEATHER}relativeHumidity`, 'C62', 0.01],
  [58, AS_WEATHER, `${WEATHER}atmosphericPressure`, 'A97', 10],
  [87, AS_AIR, `${AIR}pm25`, 'GQ'],
  [88, AS_AIR, `${AIR}pm10`, 'GQ'],
  [89, AS_AIR, `${AIR}pm1`, 'GQ'],
  [112, AS_AIR, `${AIR}tvoc`, '61'],
  [113, AS_AIR, `${AIR}co2`, '59'],
];

/** What a kit says of itself in `info`, and the attribute of Device that it becomes. */
const INFO: Readonly<Record<string, string>> = {
  hw_ver: 'hardwareVersion',
  sam_ver: 'firmwareVersion',
  esp_ver: 'softwareVersion',
  id: 'serialNumber',
  mac: 'macAddress',
};

/**
 * The mapping of a Smart Citizen kit: one Device, and one entity for each kind of observation. The position is what the provisioned device has as
 * static attribute `location`; it goes to every entity, as the models require.
 */
export function smartCitizenMapping({ device, group }: Pick<KnownDevice, 'device' | 'group'>): MappingDocument {
  const own = [...(group?.static_attributes ?? []), ...(device.static_attributes ?? [])];
  const location = own.filter(({ name }) => name === 'location').map((found): StaticValue => ({ ...found, name: LOCATION }));
  const ownId = `urn:ngsi-ld:Device:${encodeURIComponent(device.device_id)}`;
  const refDevice = (name: string): StaticValue => ({ name, type: 'Relationship', value: ownId });
  const observed = (type: string, ...times: readonly string[]): Target => ({
    id: device.device_id,
    type: type,
    statics: [...location, refDevice(type.replace(/[^/]+$/, 'refDevice'))],
    timeAttributes: times,
  });
  return {
    targets: [
      {
        id: ownId,
        type: `${DEVICE}Device`,
        statics: [
          ...own
            .filter(({ name }) => name !== 'location')
            .map((attribute) => ({ ...attribute, name: deviceTerm(attribute.name) })),
          ...location,
          {
            name: `${DEVICE}controlledProperty`,
            value: ['airPollution', 'temperature', 'humidity', 'atmosphericPressure', 'noiseLevel', 'light'],
          },
        ],
        timeAttributes: [`${DEVICE}dateLastValueReported`],
      },
      observed(`${AIR}AirQualityObserved`, `${SDM}dateObserved`),
      observed(`${WEATHER}WeatherObserved`, `${SDM}dateObserved`),
      observed(`${AIR}NoiseLevelObserved`, `${AIR}dateObservedFrom`, `${AIR}dateObservedTo`),
    ],
    attributes: [
      ...CATALOGUE.map(fromRow),
      ...Object.entries(INFO).map(([address, name]) => ({ address, name: DEVICE + name })),
    ],
    unmapped: false,
    constants: {},
  };
}

function fromRow([sensor, target, name, unit, factor]: Row): MappedAttribute {
  return {
    address: String(sensor),
    name,
    type: 'Number',
    unitCode: unit,
    target,
    metadata: { [CATALOGUE_ID]: sensor },
    ...(factor !== undefined && { factor }),
    // The kit's way to say that there is no battery.
    ...(sensor === 10 && { invalid: [-1] }),
  };
}

const deviceTerm = (name: string): string => (name === 'name' ? `${SDM}name` : name);
