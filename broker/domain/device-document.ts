import type { Device, DeviceAttribute, ServiceGroup, StaticAttribute } from './device.ts';
import { isObject, type JsonObject, type JsonValue } from './json.ts';

/** A provisioning request that cannot be carried out, in the words of the IoT Agent API: name and sentence. */
export class ProvisioningError extends Error {
  readonly code: ProvisioningCode;
  constructor(code: ProvisioningCode, message: string) {
    super(message);
    this.name = 'ProvisioningError';
    this.code = code;
  }
}
export type ProvisioningCode =
  | 'MISSING_HEADERS'
  | 'WRONG_SYNTAX'
  | 'DUPLICATE_GROUP'
  | 'DUPLICATE_DEVICE_ID'
  | 'DEVICE_NOT_FOUND'
  | 'DEVICE_GROUP_NOT_FOUND'
  | 'ADAPTER_NOT_FOUND'
  | 'PROCESS_NOT_FOUND'
  | 'IMPORT_NOT_FOUND'
  | 'COMMAND_NOT_FOUND'
  | 'TRANSFORMATION_NOT_FOUND'
  | 'RULE_NOT_FOUND'
  | 'VALIDATION_NOT_FOUND'
  | 'VIRTUAL_SENSOR_NOT_FOUND'
  | 'HEALTH_RULE_NOT_FOUND'
  | 'IN_USE';

/** Characters that the IoT agents forbid in names. */
const FORBIDDEN = /[<>();'="]/;
const LISTS = ['attributes', 'lazy', 'commands', 'static_attributes', 'internal_attributes'] as const;
const TEXTS = [
  'entity_type',
  'entityNameExp',
  'payloadType',
  'transport',
  'endpoint',
  'timezone',
  'transformation',
  'cbHost',
  'protocol',
] as const;
/** Ways to a device. */
const TRANSPORTS = ['HTTP', 'MQTT', 'AMQP', 'ADAPTER'];
const FLAGS = ['timestamp', 'autoprovision'] as const;

/** Members that only the registry writes. */
const OWN = [
  'keyHash',
  'onboarding',
  'sealedKey',
  'tokenHash',
  'tokenExpiresAt',
  'hasToken',
  'service_path',
  'service',
  'subservice',
];

/**
 * Checks a group as a client sends it.
 * @param partial an update: what is absent stays
 * @returns the group without its API key, and the key
 * @throws ProvisioningError WRONG_SYNTAX naming the member
 */
export function readGroup(body: JsonValue | undefined, partial = false): { group: Partial<ServiceGroup>; apikey?: string } {
  const { apikey, rest } = common(body, 'group');
  const { resource } = rest;
  if (resource !== undefined && typeof resource !== 'string') throw syntax('resource of the group must be a text');
  if (!partial && apikey === undefined) throw syntax('The group has no apikey');
  const group = { ...rest, ...(!partial && { resource: resource ?? '' }) } as unknown as Partial<ServiceGroup>;
  return { group, ...(apikey !== undefined && { apikey }) };
}

/** Checks a device as a client sends it. @throws ProvisioningError WRONG_SYNTAX naming the member */
export function readDevice(
  body: JsonValue | undefined,
  partial = false,
): { device: Partial<Device>; apikey?: string; newToken: boolean } {
  const { apikey, rest } = common(body, 'device');
  const { newToken, ...members } = rest;
  const id = members['device_id'];
  if (partial && id !== undefined) throw syntax('device_id cannot be changed');
  if (!partial && (typeof id !== 'string' || id === '' || id.length > 128 || /[+#/\0]/.test(id) || FORBIDDEN.test(id))) {
    throw syntax('device_id must be a text of 1 to 128 characters without + # / < > ( ) ; \' = "');
  }
  const name = members['entity_name'];
  if (name !== undefined && (typeof name !== 'string' || name === '' || FORBIDDEN.test(name))) {
    throw syntax('entity_name of the device cannot be used');
  }
  return {
    device: members as unknown as Partial<Device>,
    ...(apikey !== undefined && { apikey }),
    newToken: newToken === true,
  };
}

function common(body: JsonValue | undefined, what: string): { apikey?: string; rest: JsonObject } {
  if (!isObject(body)) throw syntax(`The ${what} must be a JSON object`);
  const { apikey, token: _, ...given } = body;
  if (body['token'] !== undefined) throw syntax('token cannot be chosen: ask for one with newToken');
  if (apikey !== undefined && (typeof apikey !== 'string' || apikey === '' || apikey.length > 256 || /[+#/\0]/.test(apikey))) {
    throw syntax(`apikey of the ${what} must be a text of 1 to 256 characters without + # /`);
  }
  const rest: Record<string, JsonValue> = {};
  for (const [name, value] of Object.entries(given)) if (!OWN.includes(name)) rest[name] = value as JsonValue;
  for (const name of TEXTS) {
    if (rest[name] !== undefined && typeof rest[name] !== 'string') throw syntax(`${name} of the ${what} must be a text`);
  }
  for (const name of FLAGS) {
    if (rest[name] !== undefined && typeof rest[name] !== 'boolean')
      throw syntax(`${name} of the ${what} must be true or false`);
  }
  const { endpoint, transport } = rest;
  const scheme = typeof endpoint === 'string' ? URL.parse(endpoint)?.protocol : undefined;
  // An adapter's device says the name of the adapter here.
  const overHttp = typeof transport === 'string' && transport.toUpperCase() === 'HTTP';
  const wrong = scheme === undefined || scheme === null ? overHttp : !/^https?:$/.test(scheme);
  if (endpoint !== undefined && wrong) throw syntax(`endpoint of the ${what} must be an http or https URL`);
  if (typeof transport === 'string' && !TRANSPORTS.includes(transport.toUpperCase()))
    throw syntax(`transport of the ${what} must be one of ${TRANSPORTS.join(', ')}`);
  for (const list of LISTS) if (rest[list] !== undefined) checkList(rest[list] as JsonValue, list, what);
  return { ...(typeof apikey === 'string' && { apikey }), rest };
}

function checkList(value: JsonValue, list: (typeof LISTS)[number], what: string): void {
  if (!Array.isArray(value) || value.length > 1000) throw syntax(`${list} of the ${what} must be an array`);
  value.forEach((entry: JsonValue, index) => {
    const at = `${list}[${index}] of the ${what}`;
    if (list === 'internal_attributes') return;
    if (!isObject(entry)) throw syntax(`${at} must be an object`);
    const { name } = entry as unknown as DeviceAttribute;
    if (typeof name !== 'string' || name === '' || FORBIDDEN.test(name)) {
      throw syntax(`The name of ${at} must be a text without < > ( ) ; ' = "`);
    }
    if ((name === 'id' || name === 'type') && list !== 'commands')
      throw syntax(`${at} is called ${name}, which every entity has already`);
    for (const member of ['object_id', 'type', 'expression', 'entity_name', 'entity_type']) {
      if (entry[member] !== undefined && typeof entry[member] !== 'string') throw syntax(`${member} of ${at} must be a text`);
    }
    if (entry['metadata'] !== undefined && !isObject(entry['metadata'])) throw syntax(`metadata of ${at} must be an object`);
    if (entry['link'] !== undefined && !isLink(entry['link'] as JsonValue))
      throw syntax(`link of ${at} must have attributes, a list of names, and may have a name and a type`);
    if (list === 'static_attributes' && (entry as unknown as StaticAttribute).value === undefined)
      throw syntax(`${at} has no value`);
  });
}

const isLink = (link: JsonValue): boolean =>
  isObject(link) &&
  Array.isArray(link['attributes']) &&
  link['attributes'].every((name: JsonValue) => typeof name === 'string' && name !== '') &&
  ['name', 'type'].every((member) => link[member] === undefined || typeof link[member] === 'string');

export const syntax = (message: string): ProvisioningError => new ProvisioningError('WRONG_SYNTAX', message);
