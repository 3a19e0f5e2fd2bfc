import type { Caller, DeviceOutcome, Fragment, Instant, JsonValue, KnownDevice } from '../broker/ports/ingest.ts';
import { commandEntries, commandsOf } from './commands/targets.ts';
import { deviceTime } from './device-time.ts';
import { parseChirpStack } from './formats/chirpstack.ts';
import { type CodecField, checkCodec } from './formats/codec.ts';
import { type JsonOptions, measureName, parseFiwareJson, parseSingleValue } from './formats/fiware-json.ts';
import { parseReadings } from './formats/readings.ts';
import { parseSigfox } from './formats/sigfox.ts';
import { parseKitInfo, parseKitReadings } from './formats/smart-citizen.ts';
import { parseKitRaw } from './formats/smart-citizen-raw.ts';
import { parseTasmota } from './formats/tasmota.ts';
import { parseUplink } from './formats/things-stack.ts';
import { parseUltraLight, ultraLightValue } from './formats/ultralight.ts';
import { parseZigbee } from './formats/zigbee2mqtt.ts';
import { applyMapping } from './mapping/apply.ts';
import { compileMapping, type Mapping } from './mapping/compile.ts';
import { compileExpression } from './mapping/expressions.ts';
import { provisionedMapping } from './mapping/provisioned.ts';
import { smartCitizenMapping } from './mapping/smart-citizen.ts';
import { isValue, type Measure, type Parsed, PayloadError, parseJson } from './reading.ts';

/** How a payload is written; decides the parser and the mapping. */
export const FORMATS = [
  'json',
  'ultralight',
  'kit-readings',
  'kit-raw',
  'kit-info',
  'things-stack',
  'chirpstack',
  'sigfox',
  'tasmota',
  'zigbee2mqtt',
  'readings',
] as const;
export type Format = (typeof FORMATS)[number];
const UPLINKS = { 'things-stack': parseUplink, chirpstack: parseChirpStack, sigfox: parseSigfox } as const;
const isUplink = (format: Format): format is keyof typeof UPLINKS => Object.hasOwn(UPLINKS, format);

/** A payload of a known device. */
export interface Heard {
  readonly known: KnownDevice;
  readonly format: Format;
  readonly payload: Uint8Array;
  /** The topic or URL names one attribute, and the payload is its value. */
  readonly attribute?: string;
  /** Time that came beside the message. */
  readonly time?: string;
  /** What to do with times that cannot be read: who sends over HTTP hears of it. */
  readonly badTime: 'refuse' | 'ignore';
  /** When it was heard; absent: now. */
  readonly receivedAt?: Instant;
  /** Only one group of UltraLight measures (HTTP GET). */
  readonly single?: boolean;
  /** The payload holds results of commands, no measures. */
  readonly results?: boolean;
  /** A transformation has made this of the payload: a JSON message, and what it had to leave out. */
  readonly transformed?: {
    readonly text: string;
    readonly warnings: readonly string[];
    readonly uplink?: Pick<Interpreted, 'duplicateKey'>;
  };
}

export interface Interpreted {
  readonly fragments: readonly Fragment[];
  readonly warnings: readonly string[];
  /** Identifies an uplink that may come several times, and when it was heard first. */
  readonly duplicateKey?: string;
}

/** Payload to readings to fragments. @throws PayloadError if nothing of it can be understood */
export function interpret(heard: Heard, receivedAt: Instant): Interpreted {
  const { known } = heard;
  const caller: Caller = { tenant: known.tenant, principal: { kind: 'device', id: known.identity } };
  if (isUplink(heard.format) && heard.transformed === undefined) {
    const { parsed: read, ...uplink } = readUplink(heard, heard.format);
    return { ...fragmentsOf(mappingOf(known, 'provisioned'), read, caller, receivedAt), ...uplink };
  }
  // A kit's SD card comes as a file, its values under the numbers of the catalogue.
  const kit = heard.format.startsWith('kit') || (heard.format === 'readings' && known.device.protocol === 'SmartCitizen');
  const read = withTime(parsed(heard), heard);
  const applied = fragmentsOf(mappingOf(known, kit ? 'kit' : 'provisioned'), read, caller, receivedAt);
  const uplink = heard.transformed?.uplink;
  return uplink === undefined ? applied : { ...applied, ...uplink };
}

const textOf = ({ payload }: Heard): string =>
  Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength).toString('utf8');

function readUplink(
  heard: Heard,
  format: keyof typeof UPLINKS,
): { readonly parsed: Parsed } & Pick<Interpreted, 'duplicateKey'> {
  const { known } = heard;
  const uplink = UPLINKS[format](textOf(heard), () => codecOf(known));
  if (uplink === undefined) return { parsed: { measures: [], warnings: [] } };
  const simulated = uplink.parsed.measures[0]?.readings.some(({ quality }) => quality === 'simulated') ?? false;
  const key = simulated ? undefined : uplink.duplicateKey;
  return { parsed: uplink.parsed, ...(key !== undefined && { duplicateKey: `${known.identity}/${key}` }) };
}

/** What a transformation is given: a JSON message as it came, any other as an object of its readings. @throws PayloadError */
export function messageOf(heard: Heard): { readonly message: JsonValue; readonly uplink?: Pick<Interpreted, 'duplicateKey'> } {
  if (heard.format === 'json' && heard.attribute === undefined) return { message: parseJson(textOf(heard)) };
  const { parsed: read, ...uplink } = isUplink(heard.format) ? readUplink(heard, heard.format) : { parsed: parsed(heard) };
  const objects = read.measures.map(({ observedAt, readings }) => ({
    ...(observedAt !== undefined && { TimeInstant: observedAt }),
    ...Object.fromEntries(readings.map(({ address, value }) => [address, value])),
  })) as JsonValue[];
  return { message: objects.length === 1 ? (objects[0] as JsonValue) : objects, uplink };
}

function parsed(heard: Heard): Parsed {
  const { known, attribute, transformed } = heard;
  const zone = known.device.timezone ?? known.group?.timezone;
  const text = () => textOf(heard);
  if (transformed !== undefined) {
    const read = parseFiwareJson(transformed.text, jsonOptions(heard, zone));
    return { measures: read.measures, warnings: [...transformed.warnings, ...read.warnings] };
  }
  switch (heard.format) {
    case 'kit-readings':
      return parseKitReadings(text());
    case 'kit-raw':
      return parseKitRaw(heard.payload);
    case 'kit-info':
      return parseKitInfo(text());
    case 'readings':
      return parseReadings(text());
    case 'tasmota':
      return parseTasmota(text(), attribute, zone);
    case 'zigbee2mqtt':
      return parseZigbee(text(), attribute);
    case 'ultralight': {
      if (attribute === undefined) return parseUltraLight(text(), zone, heard.single !== true);
      const value = ultraLightValue(text());
      const readings = isValue(value) && value !== '' ? [{ address: measureName(attribute), value }] : [];
      return { measures: [{ readings }], warnings: readings.length === 0 ? [`"${attribute.slice(0, 64)}" has no value`] : [] };
    }
    default: {
      if (attribute !== undefined) return parseSingleValue(attribute, heard.payload);
      return parseFiwareJson(text(), jsonOptions(heard, zone));
    }
  }
}

function jsonOptions({ known, badTime }: Heard, zone: string | undefined): JsonOptions {
  const payloadType = known.device.payloadType ?? known.group?.payloadType;
  return { badTime, ...(zone !== undefined && { zone }), ...(payloadType !== undefined && { payloadType }) };
}

/** The time that came beside the message is that of all measures without one. */
function withTime(read: Parsed, { time, badTime, known }: Heard): Parsed {
  if (time === undefined) return read;
  const observedAt = deviceTime(time, known.device.timezone ?? known.group?.timezone);
  if (observedAt === undefined) {
    if (badTime === 'refuse') throw new PayloadError('BAD_TIMESTAMP', 't is not an ISO 8601 time with a zone');
    return { ...read, warnings: [...read.warnings, 'The time is not ISO 8601; the time of reception is used'] };
  }
  return { ...read, measures: read.measures.map((measure) => ({ observedAt, ...measure })) };
}

function fragmentsOf(mapping: Mapping, read: Parsed, caller: Caller, receivedAt: Instant): Interpreted {
  if (read.measures.length === 1) {
    const applied = applyMapping(mapping, read.measures[0] as Measure, caller, receivedAt);
    if (read.warnings.length === 0) return applied;
    return { fragments: applied.fragments, warnings: [...read.warnings, ...applied.warnings] };
  }
  const applied = read.measures.map((measure) => applyMapping(mapping, measure, caller, receivedAt));
  return {
    fragments: applied.flatMap(({ fragments }) => fragments),
    warnings: [...read.warnings, ...applied.flatMap(({ warnings }) => warnings)],
  };
}

type MappingKind = 'provisioned' | 'kit';
const MAPPINGS = new WeakMap<KnownDevice, Partial<Record<MappingKind, Mapping>>>();

/** The device's mapping, compiled once for each state of its provisioning. @throws PayloadError */
function mappingOf(known: KnownDevice, kind: MappingKind): Mapping {
  let mappings = MAPPINGS.get(known);
  if (mappings === undefined) {
    mappings = {};
    MAPPINGS.set(known, mappings);
  }
  let mapping = mappings[kind];
  if (mapping === undefined) {
    const document = kind === 'kit' ? smartCitizenMapping(known) : provisionedMapping(known);
    mapping = compileMapping(document, (term) => known.expand(term));
    mappings[kind] = mapping;
  }
  return mapping;
}

const CODECS = new WeakMap<KnownDevice, readonly CodecField[]>();

function codecOf(known: KnownDevice): readonly CodecField[] {
  let codec = CODECS.get(known);
  if (codec === undefined) {
    codec = checkCodec(known.device.codec ?? known.group?.codec ?? []);
    CODECS.set(known, codec);
  }
  return codec;
}

/** What provisioning asks before it stores: can this mapping be used? @throws PayloadError saying what cannot */
export function checkMapping(known: KnownDevice): void {
  compileMapping(provisionedMapping(known), (term) => known.expand(term));
  compileMapping(smartCitizenMapping(known), (term) => known.expand(term));
  commandsOf(known);
  for (const { expression } of commandEntries(known)) if (expression !== undefined) compileExpression(expression);
  checkCodec(known.device.codec ?? known.group?.codec ?? []);
}

/** The outcome of a message that could not be interpreted. Unknown errors are bugs: their text stays inside. */
export function refusalOf(error: unknown): DeviceOutcome & { accepted: false } {
  if (error instanceof PayloadError) return { accepted: false, code: error.code, reason: error.message };
  // The device's @context could not be loaded, so nobody knows what its names mean.
  if ((error as { type?: unknown }).type === 'LdContextNotAvailable') {
    return { accepted: false, code: 'CONTEXT_NOT_AVAILABLE', reason: (error as Error).message };
  }
  return { accepted: false, code: 'INTERNAL_ERROR', reason: 'The message could not be processed' };
}
