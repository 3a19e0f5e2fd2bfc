import type { DescribedDevice, JsonValue } from '../broker/ports/ingest.ts';
import type { Adapter, Surroundings } from './adapter.ts';
import { fileDropAdapter, readDropSettings } from './files/drop.ts';
import { readCsvMapping } from './formats/csv.ts';
import { httpPollAdapter, readPollSettings } from './http/poll.ts';
import { readSettings } from './modbus/read-settings.ts';
import { whyReadOnly } from './modbus/value-chain.ts';
import { mqttAdapter, readMqttSettings } from './mqtt/adapter.ts';
import { weatherAdapter, weatherDevices } from './weather/adapter.ts';
import { readWeatherSettings } from './weather/settings.ts';

/** One kind of adapter. What runs it is loaded when the first one starts. */
interface Kind {
  /** @throws Error that begins with the path of what cannot be used */
  check(settings: JsonValue): readonly DescribedDevice[];
  start(settings: JsonValue, surroundings: Surroundings): Promise<Adapter>;
}

const KINDS: Readonly<Record<string, Kind>> = {
  'http-poll': {
    check: (settings) => {
      readPollSettings(settings);
      return [];
    },
    start: async (settings, surroundings) => httpPollAdapter(readPollSettings(settings), surroundings),
  },
  'file-drop': {
    check: (settings) => {
      readDropSettings(settings);
      return [];
    },
    start: async (settings, surroundings) => fileDropAdapter(readDropSettings(settings), surroundings),
  },
  // Does nothing by itself: imports name it for how their file is read.
  csv: {
    check: (settings) => {
      readCsvMapping(settings, 'settings');
      return [];
    },
    start: async () => ({ state: () => ({}), stop: async () => {} }),
  },
  weather: {
    check: (settings) => weatherDevices(readWeatherSettings(settings)),
    start: async (settings, surroundings) => weatherAdapter(readWeatherSettings(settings), surroundings),
  },
  mqtt: {
    check: (settings) => {
      readMqttSettings(settings);
      return [];
    },
    start: async (settings, surroundings) => mqttAdapter(readMqttSettings(settings), surroundings),
  },
  modbus: {
    check: (settings) => modbusDevices(settings),
    start: async (settings, surroundings) =>
      (await import('./modbus/adapter.ts')).modbusAdapter(readSettings(settings), surroundings),
  },
};

export const ADAPTER_KINDS = Object.keys(KINDS);

/**
 * Looks at settings before they are stored.
 * @returns the devices that they describe
 * @throws Error that says what cannot be used
 */
export function checkAdapter(kind: string, settings: JsonValue): readonly DescribedDevice[] {
  return kindOf(kind).check(settings);
}

/** @throws Error if there is no such kind, or the settings cannot be used */
export const startAdapter = (kind: string, settings: JsonValue, surroundings: Surroundings): Promise<Adapter> =>
  kindOf(kind).start(settings, surroundings);

function kindOf(kind: string): Kind {
  const known = Object.hasOwn(KINDS, kind) ? KINDS[kind] : undefined;
  if (known === undefined) throw new Error(`kind: must be one of ${ADAPTER_KINDS.join(', ')}`);
  return known;
}

/** Slaves with an entity: their variables are attributes, and those that can be written are commands. */
function modbusDevices(settings: JsonValue): readonly DescribedDevice[] {
  return readSettings(settings).slaves.flatMap(({ device, entity, variables }): readonly DescribedDevice[] => {
    if (device === undefined || entity === undefined) return [];
    const named = variables.filter(({ datatype }) => datatype !== 'ignore');
    const commands = named
      .filter((variable) => whyReadOnly(variable) === undefined)
      .map(({ name }) => ({ name, type: 'command' }));
    return [
      {
        device_id: device,
        entity_name: entity.id,
        entity_type: entity.type,
        attributes: named.flatMap(({ name, unitCode }) =>
          unitCode === undefined ? [] : [{ name, metadata: { unitCode: { type: 'Text', value: unitCode } } }],
        ),
        ...(commands.length > 0 && { commands }),
      },
    ];
  });
}
