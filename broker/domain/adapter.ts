import type { TenantId } from './iri.ts';
import type { JsonObject, JsonValue } from './json.ts';

/** An adapter as an operator wrote it down: what to ask or listen to, and where that happens. */
export interface AdapterRecord {
  readonly tenant: TenantId;
  readonly path: string;
  readonly name: string;
  /** "modbus", "mqtt", "http-poll", "file-drop" … */
  readonly kind: string;
  readonly settings: JsonValue;
  /** Absent: true. */
  readonly enabled?: boolean;
  /** Name of the adapter process that it runs in; absent: in the broker. */
  readonly process?: string;
  /** Keyed hash of the API key of the group that its devices belong to; absent: they are provisioned one by one. */
  readonly keyHash?: string;
  /** @context of the devices that its settings describe. */
  readonly jsonLdContext?: JsonValue;
  /** Grows with every change. */
  readonly version: number;
}

/** Tells an adapter from all others of its tenant. */
export const adapterId = ({ path, name }: Pick<AdapterRecord, 'path' | 'name'>): string =>
  `${path === '/' ? '' : path}/${name}`;

/** How the text is called that stands for a secret where it must not be shown. */
export const MASK = '***';
const SECRET = /^(password|passphrase|token|secret|apikey|api_key|x-api-key|authorization)$/i;

/** Settings as they may be shown: passwords, tokens and the values of headers are masked. */
export function masked(settings: JsonValue, under = ''): JsonValue {
  if (Array.isArray(settings)) return settings.map((item: JsonValue) => masked(item, under));
  if (typeof settings !== 'object' || settings === null) return under === 'headers' ? MASK : settings;
  return Object.fromEntries(
    Object.entries(settings as JsonObject).map(([name, value]) => [
      name,
      SECRET.test(name) && typeof value === 'string' ? MASK : masked(value as JsonValue, under === 'headers' ? under : name),
    ]),
  );
}

/** The reverse: where a client sends a mask back, what was there before is meant. */
export function unmasked(settings: JsonValue, before: JsonValue | undefined): JsonValue {
  if (settings === MASK && typeof before === 'string') return before;
  if (Array.isArray(settings))
    return settings.map((item: JsonValue, at) => unmasked(item, Array.isArray(before) ? (before[at] as JsonValue) : undefined));
  if (typeof settings !== 'object' || settings === null) return settings;
  const old = typeof before === 'object' && before !== null && !Array.isArray(before) ? (before as JsonObject) : {};
  return Object.fromEntries(
    Object.entries(settings as JsonObject).map(([name, value]) => [
      name,
      unmasked(value as JsonValue, old[name] as JsonValue | undefined),
    ]),
  );
}
