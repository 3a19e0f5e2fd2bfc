import { isObject, type JsonValue } from '../../broker/ports/ingest.ts';
import { chirpStackDownlink, type DownlinkSpec, readDownlinks, thingsStackDownlink } from '../formats/downlinks.ts';
import { tasmotaCommand, tasmotaFilter, tasmotaTopic } from '../formats/tasmota.ts';
import { type ZigbeeDevice, zigbeeDevices } from '../formats/zigbee2mqtt.ts';
import type { Format } from '../interpret.ts';

/** What a publication is: whose, and how to read it. */
export interface Recognized {
  readonly device: string;
  readonly format: Format;
  readonly attribute?: string;
}

/** A kind of MQTT server: which topics say what, and how its devices are told something. */
export interface Profile {
  readonly filters: readonly string[];
  /** The Things Stack knows QoS 0 only. */
  readonly qos: 0 | 1;
  /** @returns undefined for a publication that is not about measures */
  recognize(topic: string, payload: Buffer, retained: boolean): Recognized | undefined;
  /** @throws Error if the command cannot be written down */
  command?(device: string, name: string, value: JsonValue): { readonly topic: string; readonly payload: string };
}

type Settings = Readonly<Record<string, JsonValue>>;

/** @throws Error that begins with the path of what cannot be used */
export function profileOf(settings: Settings): Profile {
  switch (settings['profile']) {
    case 'things-stack':
      return thingsStack(text(settings, 'application'), readDownlinks(settings['downlinks']));
    case 'chirpstack':
      return chirpStack(text(settings, 'application', '+'), readDownlinks(settings['downlinks']));
    case 'zigbee2mqtt':
      return zigbee(text(settings, 'base', 'zigbee2mqtt'));
    case 'tasmota':
      return tasmota(text(settings, 'fullTopic', '%prefix%/%topic%/'));
    case 'topics':
      return topics(settings['topics']);
    default:
      throw new Error('profile: must be things-stack, chirpstack, zigbee2mqtt, tasmota or topics');
  }
}

function thingsStack(application: string, downlinks: Downlinks): Profile {
  const below = `v3/${application}/devices/`;
  return {
    filters: [`${below}+/up`],
    qos: 0,
    recognize(topic) {
      const [device, event, ...rest] = topic.startsWith(below) ? topic.slice(below.length).split('/') : [];
      return device !== undefined && event === 'up' && rest.length === 0 ? { device, format: 'things-stack' } : undefined;
    },
    command: (device, name, value) => ({
      topic: `${below}${device}/down/push`,
      payload: thingsStackDownlink(name, value, downlinks),
    }),
  };
}

function chirpStack(application: string, downlinks: Downlinks): Profile {
  /** Of each device, for commands when the settings name no application. */
  const applications = new Map<string, string>();
  return {
    filters: [`application/${application}/device/+/event/+`],
    qos: 1,
    recognize(topic) {
      const [, id, , device, , event] = topic.split('/');
      if (id === undefined || device === undefined) return undefined;
      const eui = device.toLowerCase();
      applications.set(eui, id);
      return event === 'up' || event === 'status' || event === 'location' ? { device: eui, format: 'chirpstack' } : undefined;
    },
    command(device, name, value) {
      const id = application === '+' ? applications.get(device) : application;
      if (id === undefined)
        throw new Error(
          'the device has not been heard yet, so its application is not known; settings.application would say it',
        );
      return {
        topic: `application/${id}/device/${device}/command/down`,
        payload: chirpStackDownlink(device, name, value, downlinks),
      };
    },
  };
}

function zigbee(base: string): Profile {
  let devices: readonly ZigbeeDevice[] = [];
  return {
    filters: [`${base}/#`],
    qos: 1,
    recognize(topic, payload, retained) {
      if (!topic.startsWith(`${base}/`)) return undefined;
      const name = topic.slice(base.length + 1);
      if (name === 'bridge/devices') {
        devices = zigbeeDevices(payload.toString('utf8'));
        return undefined;
      }
      // Friendly names may contain "/", so only the bridge knows where a name ends.
      const own = devices.find(({ friendlyName }) => name === friendlyName || name === `${friendlyName}/availability`);
      if (own === undefined) return undefined;
      const device = deviceId(own.friendlyName);
      if (name === own.friendlyName) return { device, format: 'zigbee2mqtt', ...(retained && { attribute: 'retained' }) };
      return { device, format: 'zigbee2mqtt', attribute: 'availability' };
    },
    command(device, name, value) {
      const own = devices.find(({ friendlyName }) => deviceId(friendlyName) === device);
      if (own === undefined) throw new Error('the bridge knows no such device');
      if (!own.settable.includes(name))
        throw new Error(
          `the device has nothing called "${name}" that can be set; it has ${own.settable.join(', ') || 'nothing'}`,
        );
      return { topic: `${base}/${own.friendlyName}/set`, payload: JSON.stringify({ [name]: value }) };
    },
  };
}

/** A friendly name as a `device_id`, which must not contain "/". */
const deviceId = (friendlyName: string): string => friendlyName.replaceAll('/', '_');

function tasmota(fullTopic: string): Profile {
  return {
    filters: [tasmotaFilter(fullTopic, 'tele'), tasmotaFilter(fullTopic, 'stat')],
    qos: 1,
    recognize(topic) {
      const found = tasmotaTopic(fullTopic, topic);
      if (found === undefined) return undefined;
      const { prefix, device, kind } = found;
      const said = prefix === 'tele' ? ['SENSOR', 'STATE', 'LWT'].includes(kind) : kind === 'RESULT' || /^POWER\d*$/.test(kind);
      return said ? { device, format: 'tasmota', attribute: kind } : undefined;
    },
    command(device, name, value) {
      if (!/^[A-Za-z0-9]{1,40}$/.test(name)) throw new Error(`"${name}" is no command of Tasmota`);
      const payload =
        typeof value === 'boolean' ? (value ? 'ON' : 'OFF') : typeof value === 'string' ? value : JSON.stringify(value);
      return { topic: tasmotaCommand(fullTopic, device, name), payload };
    },
  };
}

/** Topics as an operator writes them down: `plant/{device}/data`, with the format of what is published there. */
function topics(given: JsonValue | undefined): Profile {
  if (!Array.isArray(given) || given.length === 0) throw new Error('topics: must be a list of topic and format');
  const rows = given.map((row: JsonValue, at) => {
    const { topic, format, attribute, device } = isObject(row) ? (row as Settings) : {};
    if (typeof topic !== 'string' || /[#+\0]/.test(topic))
      throw new Error(`topics[${at}].topic: must be a topic, with {device} for the level that names the device`);
    if (!topic.split('/').includes('{device}') && typeof device !== 'string')
      throw new Error(`topics[${at}].topic: must contain the level {device}, or topics[${at}].device must name it`);
    if (format !== 'json' && format !== 'ultralight') throw new Error(`topics[${at}].format: must be json or ultralight`);
    return {
      levels: topic.split('/'),
      format: format as Format,
      ...(typeof attribute === 'string' && { attribute }),
      ...(typeof device === 'string' && { device }),
    };
  });
  return {
    filters: rows.map(({ levels }) => levels.map((level) => (level === '{device}' ? '+' : level)).join('/')),
    qos: 1,
    recognize(topic) {
      const levels = topic.split('/');
      for (const row of rows) {
        if (row.levels.length !== levels.length) continue;
        if (!row.levels.every((level, at) => level === '{device}' || level === levels[at])) continue;
        const device = row.device ?? levels[row.levels.indexOf('{device}')];
        if (device) return { device, format: row.format, ...(row.attribute !== undefined && { attribute: row.attribute }) };
      }
      return undefined;
    },
  };
}

type Downlinks = Readonly<Record<string, DownlinkSpec>>;

function text(settings: Settings, name: string, fallback?: string): string {
  const value = settings[name] ?? fallback;
  if (typeof value !== 'string' || value === '') throw new Error(`${name}: must be a text`);
  if (/[#\0]/.test(value)) throw new Error(`${name}: must not contain #`);
  return value;
}
