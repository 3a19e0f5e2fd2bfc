import { isObject, type JsonValue } from '../broker/ports/ingest.ts';
import { PayloadError, parseJson } from './reading.ts';

/** What a device wants to know about itself. */
export interface ConfigurationRequest {
  /** `subscription`: it wants to be told whenever one of them changes; without fields, no more. */
  readonly type: 'configuration' | 'subscription';
  readonly fields: readonly string[];
}

const MOST_FIELDS = 100;

/**
 * Reads a request for configuration values: JSON `{"type":"configuration","fields":["interval"]}`, UltraLight `configuration|interval|limit`.
 * With the type `subscription` it asks to be told of every change.
 * @throws PayloadError if it is none
 */
export function parseConfigurationRequest(text: string, format: 'json' | 'ultralight'): ConfigurationRequest {
  const [type, fields] = format === 'json' ? fromJson(parseJson(text)) : fromUltraLight(text);
  const subscribes = type === 'subscription';
  if (!(subscribes || type === 'configuration') || (fields.length === 0 && !subscribes) || fields.length > MOST_FIELDS)
    throw new PayloadError(
      'WRONG_SYNTAX',
      'A request for configuration has the type "configuration" or "subscription", and a list of fields',
    );
  return { type: subscribes ? 'subscription' : 'configuration', fields };
}

function fromJson(message: JsonValue): readonly [unknown, readonly string[]] {
  const { type, fields } = isObject(message) ? message : {};
  const names = Array.isArray(fields) ? fields.filter((field: JsonValue) => typeof field === 'string') : [];
  return [type, names as readonly string[]];
}

function fromUltraLight(text: string): readonly [unknown, readonly string[]] {
  const [type, ...fields] = text.trim().split('|');
  return [type, fields.filter((field) => field !== '')];
}

/** The answer: the values that are known, and the time, as IoT agents write it (`20260301T100000Z`). */
export function configurationReply(
  values: Readonly<Record<string, JsonValue>>,
  deviceId: string,
  format: 'json' | 'ultralight',
  now: string,
): string {
  const dt = now.replace(/[-:]|\.\d+/g, '');
  if (format === 'json') return JSON.stringify({ ...values, dt });
  const text = (value: JsonValue) => (typeof value === 'string' ? value : JSON.stringify(value));
  const pairs = Object.entries(values).map(([name, value]) => `${name}=${text(value)}`);
  return `${deviceId}@configuration|${[...pairs, `dt=${dt}`].join('|')}`;
}
