import { isIri, isObject, type JsonObject, type JsonValue } from '../../broker/ports/ingest.ts';
import { UNIT_CODES } from '../mapping/units.ts';

/** What becomes of one affordance of a Thing Description. */
export interface Affordance {
  /** "properties/temperature". */
  readonly affordance: string;
  readonly attribute?: string;
  readonly command?: string;
  readonly type?: string;
  readonly unitCode?: string;
  /** What of it is not taken over, and why. */
  readonly note?: string;
}

/** Names of units in ontologies that Thing Descriptions use (OM, QUDT, UCUM), in lower case, beside the symbols of {@link UNIT_CODES}. */
const UNIT_NAMES: Readonly<Record<string, string>> = {
  celsius: 'CEL',
  cel: 'CEL',
  degree_celsius: 'CEL',
  degreecelsius: 'CEL',
  deg_c: 'CEL',
  fahrenheit: 'FAH',
  kelvin: 'KEL',
  percent: 'P1',
  lux: 'LUX',
  volt: 'VLT',
  ampere: 'AMP',
  watt: 'WTT',
  kilowatt: 'KWT',
  kilowatthour: 'KWH',
  'kilow-hr': 'KWH',
  hertz: 'HTZ',
  hectopascal: 'A97',
  pascal: 'PAL',
  decibel: '2N',
  metre: 'MTR',
  meter: 'MTR',
  second: 'SEC',
  degree: 'DD',
};
/** JSON Schema types of a data schema, as types of provisioned attributes. */
const TYPES: Readonly<Record<string, string>> = {
  number: 'Number',
  integer: 'Integer',
  boolean: 'Boolean',
  string: 'Text',
  array: 'ListProperty',
  object: 'JsonProperty',
};
const CONTEXTS = /^https:\/\/www\.w3\.org\/(2019\/wot\/td\/v1|2022\/wot\/td\/v1\.1)$/;
const NAME = /^[A-Za-z_][A-Za-z0-9_.-]{0,127}$/;

/**
 * Reads a W3C Thing Description (1.0 or 1.1) as a device: readable properties and events become attributes, properties that can be written and actions become commands.
 * The device then speaks the formats of the broker (JSON over MQTT or HTTP); of the description's forms only an HTTP endpoint for commands is used.
 * @throws Error whose message says why it is no Thing Description
 */
export function readThingDescription(description: JsonValue | undefined): {
  readonly device: JsonObject;
  readonly mapping: readonly Affordance[];
} {
  if (!isObject(description)) throw new Error('A Thing Description is a JSON object');
  const contexts = [description['@context']].flat();
  if (!contexts.some((context) => typeof context === 'string' && CONTEXTS.test(context)))
    throw new Error(
      'The @context of a Thing Description names https://www.w3.org/2022/wot/td/v1.1 or https://www.w3.org/2019/wot/td/v1',
    );
  const { title, id } = description;
  if (typeof title !== 'string' || title === '') throw new Error('A Thing Description has a title');
  const attributes: JsonObject[] = [];
  const commands: JsonObject[] = [];
  const mapping: Affordance[] = [];

  for (const [name, schema] of membersOf(description, 'properties')) {
    const affordance = `properties/${name}`;
    if (!NAME.test(name)) {
      mapping.push({ affordance, note: 'The name cannot be that of an attribute' });
      continue;
    }
    const unitCode = unitOf(schema);
    const type = TYPES[String(schema['type'])];
    const readable = schema['writeOnly'] !== true;
    const writable = schema['readOnly'] !== true && isWritable(schema);
    if (readable) attributes.push(attribute(name, type, unitCode));
    if (writable) commands.push({ name, type: 'command' });
    const note =
      typeof schema['unit'] === 'string' && unitCode === undefined ? `The unit ${schema['unit']} is not known` : undefined;
    mapping.push({
      affordance,
      ...(readable && { attribute: name, type: type ?? 'as it is' }),
      ...(unitCode !== undefined && { unitCode }),
      ...(writable && { command: name }),
      ...(note !== undefined && { note }),
    });
  }
  for (const [name] of membersOf(description, 'actions')) {
    const affordance = `actions/${name}`;
    const taken = commands.some((command) => command['name'] === name) || attributes.some((one) => one['name'] === name);
    if (!NAME.test(name) || taken)
      mapping.push({ affordance, note: taken ? 'A property has this name' : 'The name cannot be that of a command' });
    else {
      commands.push({ name, type: 'command' });
      mapping.push({ affordance, command: name });
    }
  }
  for (const [name, event] of membersOf(description, 'events')) {
    const affordance = `events/${name}`;
    const data = isObject(event['data']) ? event['data'] : {};
    if (!NAME.test(name) || attributes.some((one) => one['name'] === name)) {
      mapping.push({ affordance, note: 'The name cannot be that of an attribute, or a property has it' });
      continue;
    }
    const type = TYPES[String(data['type'])];
    const unitCode = unitOf(data);
    attributes.push(attribute(name, type, unitCode));
    mapping.push({ affordance, attribute: name, type: type ?? 'as it is', ...(unitCode !== undefined && { unitCode }) });
  }
  const endpoint = commands.length > 0 ? endpointOf(description) : undefined;
  const deviceId = deviceIdOf(typeof id === 'string' ? id : title);
  const statics: JsonObject[] = [{ name: 'name', type: 'Text', value: title }];
  if (typeof description['description'] === 'string')
    statics.push({ name: 'description', type: 'Text', value: description['description'] });
  if (typeof id === 'string') statics.push({ name: 'thingDescription', type: 'Text', value: id });
  return {
    device: {
      device_id: deviceId,
      entity_type: typeOf(description['@type'] as JsonValue | undefined),
      protocol: 'IoTA-JSON',
      ...(attributes.length > 0 && { attributes }),
      ...(commands.length > 0 && { commands }),
      static_attributes: statics,
      ...(endpoint !== undefined && { endpoint }),
    },
    mapping,
  };
}

function attribute(name: string, type: string | undefined, unitCode: string | undefined): JsonObject {
  return {
    name,
    ...(type !== undefined && { type }),
    ...(unitCode !== undefined && { metadata: { unitCode: { type: 'Text', value: unitCode } } }),
  };
}

function membersOf(description: Record<string, JsonValue>, member: string): readonly [string, Record<string, JsonValue>][] {
  const members = description[member];
  if (members === undefined) return [];
  if (!isObject(members)) throw new Error(`${member} of a Thing Description is an object`);
  return Object.entries(members).flatMap(([name, value]) =>
    isObject(value) ? [[name, value] as [string, Record<string, JsonValue>]] : [],
  );
}

/** A property whose forms say nothing about operations can be read and written (8.3.1 of the Thing Description: the default of `op`). */
function isWritable(schema: Record<string, JsonValue>): boolean {
  const operations = formsOf(schema).flatMap((form) => [form['op']].flat());
  return operations.every((operation) => operation === undefined) || operations.includes('writeproperty');
}

function formsOf(schema: Record<string, JsonValue>): readonly Record<string, JsonValue>[] {
  return Array.isArray(schema['forms']) ? schema['forms'].filter(isObject) : [];
}

function unitOf(schema: Record<string, JsonValue>): string | undefined {
  const { unit } = schema;
  if (typeof unit !== 'string') return undefined;
  if (Object.hasOwn(UNIT_CODES, unit)) return UNIT_CODES[unit];
  const term = /[^/#:]+$/.exec(unit)?.[0]?.toLowerCase() ?? '';
  if (Object.hasOwn(UNIT_NAMES, term)) return UNIT_NAMES[term];
  return /^[A-Z0-9]{2,3}$/.test(unit) ? unit : undefined;
}

/** The first HTTP address at which an action or a property can be asked for something. */
function endpointOf(description: Record<string, JsonValue>): string | undefined {
  const base = typeof description['base'] === 'string' ? description['base'] : undefined;
  const sources = [...membersOf(description, 'actions'), ...membersOf(description, 'properties')];
  for (const [, schema] of sources) {
    for (const { href } of formsOf(schema)) {
      if (typeof href !== 'string' || !URL.canParse(href, base)) continue;
      const url = new URL(href, base);
      if (url.protocol === 'http:' || url.protocol === 'https:') return url.href;
    }
  }
  return undefined;
}

function typeOf(types: JsonValue | undefined): string {
  const own = [types].flat().find((type) => typeof type === 'string' && !/(^|[:#/])Thing$/.test(type));
  if (typeof own !== 'string') return 'Device';
  return isIri(own) ? (/[^/#:]+$/.exec(own)?.[0] ?? 'Device') : own;
}

/** The last part of an id, or a title, with what a device id cannot have replaced. */
function deviceIdOf(text: string): string {
  const last = /[^:/#]+$/.exec(text)?.[0] ?? text;
  return last.replace(/[^A-Za-z0-9._~-]+/g, '-').slice(0, 128) || 'thing';
}
