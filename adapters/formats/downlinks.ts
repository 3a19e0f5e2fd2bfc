import { isObject, type JsonValue } from '../../broker/ports/ingest.ts';

/** How a command becomes the bytes of a LoRaWAN downlink: fixed bytes, and behind them the value if `type` says how it is written. */
export interface DownlinkSpec {
  /** 1 to 233. */
  readonly port: number;
  /** Hexadecimal digits that come first. */
  readonly hex?: string;
  readonly type?: 'int' | 'uint' | 'float' | 'bool';
  /** In bytes: 1 to 6, for `float` 4 or 8. */
  readonly length?: number;
  /** Absent: big. */
  readonly endian?: 'big' | 'little';
  /** The value is divided by it. */
  readonly factor?: number;
  readonly confirmed?: boolean;
  /** Of The Things Stack: LOWEST to HIGHEST. */
  readonly priority?: string;
}

/** A downlink that is ready to be written in the words of a network server. */
interface Downlink {
  readonly port: number;
  readonly bytes: Buffer;
  readonly confirmed: boolean;
  readonly priority: string;
}

const PRIORITIES = ['LOWEST', 'LOW', 'BELOW_NORMAL', 'NORMAL', 'ABOVE_NORMAL', 'HIGH', 'HIGHEST'];

/** Checks the `downlinks` of settings: command → how it is written. @throws Error that begins with the path */
export function readDownlinks(given: JsonValue | undefined): Readonly<Record<string, DownlinkSpec>> {
  if (given === undefined) return {};
  if (!isObject(given)) throw new Error('downlinks: must be an object of commands');
  for (const [name, spec] of Object.entries(given)) {
    const wrong = (what: string) => new Error(`downlinks.${name}${what}`);
    if (!isObject(spec)) throw wrong(': must be an object');
    const { port, hex, type, length, endian, factor, priority } = spec as Readonly<Record<string, JsonValue>>;
    if (!Number.isInteger(port) || (port as number) < 1 || (port as number) > 233) throw wrong('.port: must be 1 to 233');
    if (hex !== undefined && (typeof hex !== 'string' || !HEX.test(hex)))
      throw wrong('.hex: must be hexadecimal digits, two for a byte');
    if (type !== undefined && !['int', 'uint', 'float', 'bool'].includes(type as string))
      throw wrong('.type: must be int, uint, float or bool');
    if (type === undefined && hex === undefined) throw wrong(': needs hex, or a type for the value');
    const most = type === 'float' ? [4, 8] : [1, 2, 3, 4, 5, 6];
    if (type !== undefined && type !== 'bool' && !most.includes(length as number))
      throw wrong('.length: does not suit the type');
    if (endian !== undefined && endian !== 'big' && endian !== 'little') throw wrong('.endian: must be big or little');
    if (factor !== undefined && (typeof factor !== 'number' || factor === 0))
      throw wrong('.factor: must be a number, and not 0');
    if (priority !== undefined && !PRIORITIES.includes(priority as string))
      throw wrong(`.priority: must be one of ${PRIORITIES.join(', ')}`);
  }
  return given as unknown as Readonly<Record<string, DownlinkSpec>>;
}

const HEX = /^([0-9a-f]{2})*$/i;

/** The message for `…/down/push` of The Things Stack v3. @throws Error if the value cannot be written so */
export function thingsStackDownlink(name: string, value: JsonValue, specs: Readonly<Record<string, DownlinkSpec>>): string {
  const { port, bytes, confirmed, priority } = downlinkOf(name, value, specs);
  const downlink = { f_port: port, frm_payload: bytes.toString('base64'), priority, ...(confirmed && { confirmed }) };
  return JSON.stringify({ downlinks: [downlink] });
}

/** The message for `…/command/down` of ChirpStack v4. @throws Error if the value cannot be written so */
export function chirpStackDownlink(
  devEui: string,
  name: string,
  value: JsonValue,
  specs: Readonly<Record<string, DownlinkSpec>>,
): string {
  const { port, bytes, confirmed } = downlinkOf(name, value, specs);
  return JSON.stringify({ devEui, confirmed, fPort: port, data: bytes.toString('base64') });
}

function downlinkOf(name: string, value: JsonValue, specs: Readonly<Record<string, DownlinkSpec>>): Downlink {
  const spec = Object.hasOwn(specs, name) ? specs[name] : undefined;
  if (spec !== undefined) {
    return {
      port: spec.port,
      bytes: bytesOf(name, spec, value),
      confirmed: spec.confirmed ?? false,
      priority: spec.priority ?? 'NORMAL',
    };
  }
  // Without a word in the settings the command itself says it all.
  if (isObject(value) && Number.isInteger(value['port']) && typeof value['hex'] === 'string' && HEX.test(value['hex'])) {
    const port = value['port'] as number;
    if (port >= 1 && port <= 233)
      return { port, bytes: Buffer.from(value['hex'], 'hex'), confirmed: value['confirmed'] === true, priority: 'NORMAL' };
  }
  throw new Error(
    `how "${name}" is written as bytes is not said: neither by downlinks in the settings, nor by a value {"port": 1-233, "hex": "…"}`,
  );
}

function bytesOf(name: string, { hex = '', type, length = 1, endian, factor = 1 }: DownlinkSpec, value: JsonValue): Buffer {
  const first = Buffer.from(hex, 'hex');
  if (type === undefined) return first;
  if (type === 'bool') {
    if (value !== true && value !== false && value !== 0 && value !== 1) throw new Error(`${name} takes true or false`);
    return Buffer.concat([first, Buffer.of(Number(value))]);
  }
  if (typeof value !== 'number') throw new Error(`${name} takes a number`);
  const bytes = Buffer.alloc(length);
  const raw = Number((value / factor).toPrecision(15));
  const little = endian === 'little';
  try {
    if (type === 'float') {
      if (length === 4) little ? bytes.writeFloatLE(raw) : bytes.writeFloatBE(raw);
      else little ? bytes.writeDoubleLE(raw) : bytes.writeDoubleBE(raw);
    } else if (type === 'int')
      little ? bytes.writeIntLE(Math.round(raw), 0, length) : bytes.writeIntBE(Math.round(raw), 0, length);
    else little ? bytes.writeUIntLE(Math.round(raw), 0, length) : bytes.writeUIntBE(Math.round(raw), 0, length);
  } catch {
    throw new Error(`${name} cannot be ${value}: that does not fit into ${length} bytes`);
  }
  return Buffer.concat([first, bytes]);
}
