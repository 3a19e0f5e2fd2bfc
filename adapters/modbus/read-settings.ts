import { isIri, isObject, type JsonValue } from '../../broker/ports/ingest.ts';
import { MOST } from './plan.ts';
import { isFloat, sizeOf, widthOf } from './registers.ts';
import {
  DATATYPES,
  type Line,
  type ModbusSettings,
  type Publication,
  SettingsError,
  type Slave,
  type Variable,
} from './settings.ts';
import { checkTemplate } from './template.ts';

type Members = Readonly<Record<string, JsonValue>>;

/**
 * Reads the settings document of the X-FLEX Modbus plug-in, unchanged, with the additions that docs/devices.md lists. Both spellings of the seed are taken:
 * `messageExtra` and `messageExtras`, `mqttSubscription` and `mqttSubscriptions`.
 * @throws SettingsError that begins with the path of what cannot be used
 */
export function readSettings(document: JsonValue): ModbusSettings {
  const root = object(document, 'settings');
  const maps = new Map(
    Object.entries(object(root['modbusMaps'], 'modbusMaps')).map(([name, map]) => [name, readMap(map, `modbusMaps.${name}`)]),
  );
  const messages = root['mqttMessages'] === undefined ? {} : object(root['mqttMessages'], 'mqttMessages');
  const defaults = {
    period: optionalNumber(root['period'], 'period', 0.1, 86_400) ?? 60,
    byteOrder: order(root['byteOrder'], 'byteOrder'),
    wordOrder: order(root['wordOrder'], 'wordOrder'),
  };
  const slaves = list(root['modbusSlaves'], 'modbusSlaves').map((slave, at) =>
    readSlave(slave, `modbusSlaves[${at}]`, maps, messages, defaults),
  );
  const mqtt = root['mqtt'] === undefined ? undefined : readMqtt(object(root['mqtt'], 'mqtt'));
  const speaks = slaves.findIndex(({ publications, subscriptions }) => publications.length + subscriptions.length > 0);
  if (mqtt === undefined && speaks >= 0)
    throw new SettingsError(`mqtt: is missing, but modbusSlaves[${speaks}] publishes or subscribes`);
  const devices = slaves.flatMap(({ device }) => device ?? []);
  const twice = devices.find((device, at) => devices.indexOf(device) !== at);
  if (twice !== undefined)
    throw new SettingsError(`modbusSlaves: two slaves are the device "${twice}"; give each its own "device"`);
  const logLevel = root['logLevel'] ?? 'Error';
  if (logLevel !== 'Info' && logLevel !== 'Error') throw new SettingsError('logLevel: must be Info or Error');
  return { slaves, ...(mqtt !== undefined && { mqtt }), logLevel };
}

function readMap(map: JsonValue | undefined, path: string): readonly Variable[] {
  const variables = list(map, path).map((variable, at) => readVariable(variable, `${path}[${at}]`));
  const named = variables.filter(({ datatype }) => datatype !== 'ignore').map(({ name }) => name);
  const twice = named.find((name, at) => named.indexOf(name) !== at);
  if (twice !== undefined) throw new SettingsError(`${path}: two variables are called "${twice}"`);
  return variables;
}

function readVariable(given: JsonValue, path: string): Variable {
  const members = object(given, path);
  const datatype = members['datatype'];
  if (!(DATATYPES as readonly JsonValue[]).includes(datatype as JsonValue))
    throw new SettingsError(`${path}.datatype: must be one of ${DATATYPES.join(', ')}`);
  const type = members['type'];
  if (type !== 'holding' && type !== 'input' && type !== 'coil' && type !== 'discrete')
    throw new SettingsError(`${path}.type: must be holding, input, coil or discrete`);
  if ((type === 'coil' || type === 'discrete') && datatype !== 'bits' && datatype !== 'ignore')
    throw new SettingsError(`${path}.datatype: a ${type} has bits, not ${datatype}`);
  if ((datatype === 'string' || datatype === 'ignore') && members['datasize'] === undefined)
    throw new SettingsError(`${path}.datasize: is missing; ${datatype} needs it`);
  const variable = {
    name: datatype === 'ignore' ? String(members['name'] ?? '') : text(members['name'], `${path}.name`),
    type,
    address: whole(members['address'], `${path}.address`, 0, 65_535),
    ...copied(members, ['half', 'byteOrder', 'wordOrder', 'encoding', 'unitCode', 'writable']),
    ...numbers(members, path),
    datatype,
  } as Variable;
  oneOf(members['half'], `${path}.half`, ['high', 'low']);
  order(members['byteOrder'], `${path}.byteOrder`);
  order(members['wordOrder'], `${path}.wordOrder`);
  oneOf(members['encoding'], `${path}.encoding`, ['latin1', 'utf8', 'ascii']);
  if (members['unitCode'] !== undefined) text(members['unitCode'], `${path}.unitCode`);
  if (members['writable'] !== undefined && typeof members['writable'] !== 'boolean')
    throw new SettingsError(`${path}.writable: must be true or false`);
  const cuts = (variable.shift ?? 0) > 0 || variable.mask !== undefined;
  if (cuts && (widthOf(variable.datatype) === undefined || isFloat(variable.datatype)))
    throw new SettingsError(`${path}: shift and mask work on whole numbers, not on ${datatype}`);
  if (variable.factor !== undefined && variable.factor !== 1 && widthOf(variable.datatype) === undefined)
    throw new SettingsError(`${path}.factor: is for numbers, not for ${datatype}`);
  if (sizeOf(variable) > MOST[type])
    throw new SettingsError(
      `${path}.datasize: one request reads at most ${MOST[type]} ${type === 'holding' || type === 'input' ? 'registers' : 'bits'}`,
    );
  if (variable.address + sizeOf(variable) > 65_536)
    throw new SettingsError(`${path}.address: the variable ends beyond address 65535`);
  const invalid = members['invalid'];
  if (invalid !== undefined && !list(invalid, `${path}.invalid`).every((code) => typeof code === 'number'))
    throw new SettingsError(`${path}.invalid: must be a list of numbers`);
  return {
    ...variable,
    ...(invalid !== undefined && { invalid: invalid as readonly number[] }),
    ...(members['translation'] !== undefined && { translation: translation(members['translation'], `${path}.translation`) }),
  };
}

function numbers(members: Members, path: string): Pick<Variable, 'datasize' | 'shift' | 'mask' | 'factor'> {
  const datasize = members['datasize'] === undefined ? undefined : whole(members['datasize'], `${path}.datasize`, 1, 4000);
  const shift = members['shift'] === undefined ? undefined : whole(members['shift'], `${path}.shift`, 0, 63);
  const mask = members['mask'] === undefined ? undefined : whole(members['mask'], `${path}.mask`, 1, Number.MAX_SAFE_INTEGER);
  const factor = optionalNumber(members['factor'], `${path}.factor`);
  if (factor === 0) throw new SettingsError(`${path}.factor: must not be 0`);
  return {
    ...(datasize !== undefined && { datasize }),
    ...(shift !== undefined && { shift }),
    ...(mask !== undefined && { mask }),
    ...(factor !== undefined && { factor }),
  };
}

/** A list of pairs, or an object whose names are the codes. */
function translation(given: JsonValue | undefined, path: string): NonNullable<Variable['translation']> {
  const pairs = isObject(given) ? Object.entries(given) : list(given, path);
  return pairs.map((pair, at) => {
    const [code, label] = Array.isArray(pair) ? pair : [];
    if (
      (typeof code !== 'number' && typeof code !== 'string') ||
      label === undefined ||
      (pair as readonly JsonValue[]).length !== 2
    )
      throw new SettingsError(`${path}[${at}]: must be a pair of code and label`);
    return [code, label as JsonValue] as const;
  });
}

function readSlave(
  given: JsonValue,
  path: string,
  maps: ReadonlyMap<string, readonly Variable[]>,
  messages: Members,
  defaults: {
    readonly period: number;
    readonly byteOrder?: Variable['byteOrder'] | undefined;
    readonly wordOrder?: Variable['wordOrder'] | undefined;
  },
): Slave {
  const slave = object(given, path);
  const map = maps.get(text(slave['map'], `${path}.map`));
  if (map === undefined) throw new SettingsError(`${path}.map: modbusMaps has no "${String(slave['map'])}"`);
  const byteOrder = order(slave['byteOrder'], `${path}.byteOrder`) ?? defaults.byteOrder;
  const wordOrder = order(slave['wordOrder'], `${path}.wordOrder`) ?? defaults.wordOrder;
  const variables = map.map((variable) => ({ ...(byteOrder && { byteOrder }), ...(wordOrder && { wordOrder }), ...variable }));
  const names = variables.filter(({ datatype }) => datatype !== 'ignore').map(({ name }) => name);
  const entity =
    slave['entity'] === undefined ? undefined : readEntity(object(slave['entity'], `${path}.entity`), `${path}.entity`);
  const device = slave['device'] === undefined ? entity?.id.split(':').at(-1) : text(slave['device'], `${path}.device`);
  const subscriptions = slave['mqttSubscriptions'] ?? slave['mqttSubscription'] ?? [];
  const topics = (typeof subscriptions === 'string' ? [subscriptions] : list(subscriptions, `${path}.mqttSubscriptions`)).map(
    (topic, at) => plainTopic(topic, `${path}.mqttSubscriptions[${at}]`),
  );
  return {
    line: readLine(slave, path),
    unit: slave['slaveId'] === undefined ? 1 : whole(slave['slaveId'], `${path}.slaveId`, 1, 255),
    variables,
    ...(device !== undefined && { device }),
    ...(entity !== undefined && { entity }),
    publications: list(slave['mqttPublications'] ?? [], `${path}.mqttPublications`).map((one, at) =>
      readPublication(one, `${path}.mqttPublications[${at}]`, messages, names),
    ),
    subscriptions: topics,
    periodMs: Math.round((optionalNumber(slave['period'], `${path}.period`, 0.1, 86_400) ?? defaults.period) * 1000),
    timeoutMs: slave['timeoutMs'] === undefined ? 1000 : whole(slave['timeoutMs'], `${path}.timeoutMs`, 10, 120_000),
    retries: slave['retries'] === undefined ? 1 : whole(slave['retries'], `${path}.retries`, 0, 10),
    maxGap: slave['maxGap'] === undefined ? 8 : whole(slave['maxGap'], `${path}.maxGap`, 0, 125),
    writeRetained: slave['writeRetained'] === true,
  };
}

function readLine(slave: Members, path: string): Line {
  if (slave['ip'] === undefined && slave['serialPort'] === undefined)
    throw new SettingsError(`${path}: needs ip (for TCP) or serialPort (for a serial line)`);
  if (slave['ip'] !== undefined) {
    const framing = slave['framing'] ?? 'tcp';
    if (framing !== 'tcp' && framing !== 'rtu') throw new SettingsError(`${path}.framing: must be tcp or rtu`);
    const port = slave['port'] === undefined ? 502 : whole(slave['port'], `${path}.port`, 1, 65_535);
    return { kind: 'tcp', host: text(slave['ip'], `${path}.ip`), port, framing };
  }
  const dataBits = whole(slave['byteSize'], `${path}.byteSize`, 7, 8) as 7 | 8;
  const stopBits = whole(slave['stopBits'], `${path}.stopBits`, 1, 2) as 1 | 2;
  const parity = PARITY[String(slave['parity']).toLowerCase()];
  if (parity === undefined) throw new SettingsError(`${path}.parity: must be none, even or odd (or N, E, O)`);
  return {
    kind: 'serial',
    path: text(slave['serialPort'], `${path}.serialPort`),
    baudRate: whole(slave['baudRate'], `${path}.baudRate`, 50, 4_000_000),
    dataBits,
    parity,
    stopBits,
  };
}

const PARITY: Readonly<Record<string, 'none' | 'even' | 'odd'>> = {
  none: 'none',
  n: 'none',
  even: 'even',
  e: 'even',
  odd: 'odd',
  o: 'odd',
};

function readPublication(given: JsonValue, path: string, messages: Members, names: readonly string[]): Publication {
  const publication = object(given, path);
  const base = text(publication['messageBase'], `${path}.messageBase`);
  const template = Object.hasOwn(messages, base) ? messages[base] : undefined;
  if (template === undefined) throw new SettingsError(`${path}.messageBase: mqttMessages has no "${base}"`);
  checkTemplate(template, names, `mqttMessages.${base}`);
  oneOf(publication['missing'], `${path}.missing`, ['drop', 'null']);
  const extras = publication['messageExtras'] ?? publication['messageExtra'] ?? {};
  return {
    topic: plainTopic(publication['topic'], `${path}.topic`),
    template,
    extras: object(extras, `${path}.messageExtras`),
    missing: publication['missing'] === 'null' ? 'null' : 'drop',
  };
}

function readEntity(entity: Members, path: string): { readonly type: string; readonly id: string } {
  const id = text(entity['id'], `${path}.id`);
  if (!isIri(id)) throw new SettingsError(`${path}.id: must be an IRI, such as urn:ngsi-ld:Device:hp7`);
  return { id, type: text(entity['type'], `${path}.type`) };
}

function readMqtt(mqtt: Members): NonNullable<ModbusSettings['mqtt']> {
  const host = text(mqtt['host'], 'mqtt.host');
  const credentials = mqtt['credentials'] === undefined ? {} : object(mqtt['credentials'], 'mqtt.credentials');
  const port = mqtt['port'] === undefined ? 1883 : whole(mqtt['port'], 'mqtt.port', 1, 65_535);
  const url = /^(mqtts?|wss?):\/\//.test(host) ? host : `mqtt://${host.includes(':') ? `[${host}]` : host}:${port}`;
  return {
    url,
    ...(credentials['username'] !== undefined && { username: text(credentials['username'], 'mqtt.credentials.username') }),
    ...(credentials['password'] !== undefined && { password: text(credentials['password'], 'mqtt.credentials.password') }),
  };
}

function copied(members: Members, names: readonly string[]): Members {
  return Object.fromEntries(names.flatMap((name) => (members[name] === undefined ? [] : [[name, members[name] as JsonValue]])));
}

function plainTopic(given: JsonValue | undefined, path: string): string {
  const topic = text(given, path);
  if (/[+#\0]/.test(topic)) throw new SettingsError(`${path}: must be a topic without + and #`);
  return topic;
}

function object(given: JsonValue | undefined, path: string): Members {
  if (!isObject(given)) throw new SettingsError(`${path}: must be an object`);
  return given as Members;
}

function list(given: JsonValue | undefined, path: string): readonly JsonValue[] {
  if (!Array.isArray(given)) throw new SettingsError(`${path}: must be a list`);
  return given;
}

function text(given: JsonValue | undefined, path: string): string {
  if (typeof given !== 'string' || given === '') throw new SettingsError(`${path}: must be a text`);
  return given;
}

function whole(given: JsonValue | undefined, path: string, least: number, most: number): number {
  if (!Number.isInteger(given) || (given as number) < least || (given as number) > most)
    throw new SettingsError(`${path}: must be a whole number from ${least} to ${most}`);
  return given as number;
}

function optionalNumber(
  given: JsonValue | undefined,
  path: string,
  least = Number.NEGATIVE_INFINITY,
  most = Number.POSITIVE_INFINITY,
): number | undefined {
  if (given === undefined) return undefined;
  if (typeof given !== 'number' || !Number.isFinite(given) || given < least || given > most)
    throw new SettingsError(`${path}: must be a number${least > Number.NEGATIVE_INFINITY ? ` from ${least} to ${most}` : ''}`);
  return given;
}

function oneOf(given: JsonValue | undefined, path: string, values: readonly string[]): void {
  if (given !== undefined && !values.includes(given as string))
    throw new SettingsError(`${path}: must be one of ${values.join(', ')}`);
}

function order(given: JsonValue | undefined, path: string): 'big' | 'little' | undefined {
  oneOf(given, path, ['big', 'little']);
  return given as 'big' | 'little' | undefined;
}
