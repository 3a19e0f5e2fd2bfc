import {
  type AttributeInstance,
  type Caller,
  type HttpPush,
  type Instant,
  type Iri,
  isObject,
  type JsonValue,
  type KnownDevice,
  type LazyAttribute,
} from '../../broker/ports/ingest.ts';
import { ultraLightValue } from '../formats/ultralight.ts';
import { applyMapping } from '../mapping/apply.ts';
import { checkName, compileMapping } from '../mapping/compile.ts';
import { merged, provisionedMapping } from '../mapping/provisioned.ts';
import { protocolOf } from '../protocol.ts';
import { isValue } from '../reading.ts';
import { endpointOf } from './http-carrier.ts';
import type { SendToDevice } from './mqtt-carrier.ts';
import { ownEntity } from './targets.ts';

/**
 * The entity of a device and the attributes that it tells when it is asked, its `lazy`.
 * @returns undefined if it has none
 * @throws PayloadError if a name cannot be used; whatever the device's @context throws as long as it is not there
 */
export function lazyOf(
  known: KnownDevice,
): { readonly id: Iri; readonly types: readonly Iri[]; readonly commands: readonly LazyAttribute[] } | undefined {
  const entries = lazyEntries(known);
  const own = entries.length === 0 ? undefined : ownEntity(known);
  if (own === undefined) return undefined;
  const commands = entries.map(({ name, object_id }) => ({
    name: object_id ?? name,
    attribute: known.expand(checkName(name)),
  }));
  return { ...own, commands };
}

const lazyEntries = ({ device, group }: Pick<KnownDevice, 'device' | 'group'>) => merged(group?.lazy, device.lazy);

/** Asks devices for attributes, and waits for what they say. */
export interface LazyAsker {
  /**
   * Resolves with what the device has told before the time was over; what it has not told is absent. Several who ask at the same time share one question.
   * Never throws.
   */
  ask(known: KnownDevice, attributes: readonly LazyAttribute[]): Promise<Readonly<Record<Iri, readonly AttributeInstance[]>>>;
  /** A device has said something that may be the answer. @returns false if nobody asked */
  answered(identity: string, name: string, value: JsonValue): boolean;
}

export interface LazyAskerOptions {
  /** Ways to devices that listen for commands, tried in this order. */
  readonly send: readonly SendToDevice[];
  readonly push: HttpPush;
  /** How long a device may take. */
  readonly waitMs: number;
  readonly now: () => Instant;
  readonly onError: (error: unknown) => void;
}

/**
 * FIWARE agents leave open how a device is asked. Over HTTP it is `GET <endpoint>/<object_id>`, answered with the value, or with an object that has it under that name. Over
 * MQTT it is like a command without a value, on the same topic (`{"b":""}`, `lamp1@b|`), and the answer is like the result of one (`{"b":80}`, `lamp1@b|80`).
 */
export function lazyAsker({ send, push, waitMs, now, onError }: LazyAskerOptions): LazyAsker {
  /** By device and name: who waits. */
  const waiting = new Map<
    string,
    { readonly told: Promise<JsonValue | undefined>; tell(value: JsonValue | undefined): void }
  >();
  const keyOf = (identity: string, name: string): string => `${identity}\n${name}`;

  /** @returns what the device says, undefined when the time is over; and whether this is the first who asks */
  function expect(identity: string, name: string): { readonly told: Promise<JsonValue | undefined>; readonly first: boolean } {
    const key = keyOf(identity, name);
    const known = waiting.get(key);
    if (known !== undefined) return { told: known.told, first: false };
    const { promise, resolve } = Promise.withResolvers<JsonValue | undefined>();
    const timer = setTimeout(() => tell(undefined), waitMs);
    const tell = (value: JsonValue | undefined) => {
      clearTimeout(timer);
      waiting.delete(key);
      resolve(value);
    };
    waiting.set(key, { told: promise, tell });
    return { told: promise, first: true };
  }

  async function overHttp(known: KnownDevice, endpoint: string, name: string): Promise<void> {
    const reply = await push({
      method: 'GET',
      uri: `${endpoint.replace(/\/$/, '')}/${encodeURIComponent(name)}`,
      headers: { 'fiware-service': known.tenant, 'fiware-servicepath': known.servicePath },
      body: '',
      timeoutMs: waitMs,
    });
    const value = 'failed' in reply || reply.status !== 200 ? undefined : valueIn(reply.body, name, protocolOf(known));
    waiting.get(keyOf(known.identity, name))?.tell(value);
  }

  async function overMqtt(known: KnownDevice, names: readonly string[]): Promise<void> {
    const { device_id } = known.device;
    const json = protocolOf(known) === 'json';
    const questions = json
      ? [JSON.stringify(Object.fromEntries(names.map((name) => [name, ''])))]
      : names.map((name) => `${device_id}@${name}|`);
    for (const question of questions) {
      let heard = false;
      for (const way of send) heard ||= await way(known.identity, question, { qos: 1, retain: false });
      // Nobody listens, so nobody will answer.
      if (!heard) for (const name of names) waiting.get(keyOf(known.identity, name))?.tell(undefined);
    }
  }

  return {
    async ask(known, attributes) {
      const asked = attributes.map(({ name }) => ({ name, ...expect(known.identity, name) }));
      const fresh = asked.filter(({ first }) => first).map(({ name }) => name);
      const endpoint = endpointOf(known);
      const question =
        endpoint === undefined
          ? fresh.length > 0 && overMqtt(known, fresh)
          : Promise.all(fresh.map((name) => overHttp(known, endpoint, name)));
      Promise.resolve(question).catch(onError);
      const told = await Promise.all(asked.map(async ({ name, told }) => ({ address: name, value: await told })));
      try {
        return instances(known, told, now());
      } catch (error) {
        onError(error);
        return {};
      }
    },
    answered(identity, name, value) {
      const one = waiting.get(keyOf(identity, name));
      one?.tell(value);
      return one !== undefined;
    },
  };
}

/** The value in what a device answers. */
function valueIn(body: string, name: string, format: 'json' | 'ultralight'): JsonValue | undefined {
  const text = body.trim();
  if (text === '') return undefined;
  if (format === 'ultralight') {
    const [first = '', second] = text.split('|');
    return ultraLightValue(second !== undefined && first === name ? second : text);
  }
  try {
    const value = JSON.parse(text) as JsonValue;
    return isObject(value) && value[name] !== undefined ? value[name] : value;
  } catch {
    return text;
  }
}

/** What the device said, as its provisioning wants it. @throws PayloadError if its mapping cannot be used */
function instances(
  known: KnownDevice,
  told: readonly { readonly address: string; readonly value: JsonValue | undefined }[],
  at: Instant,
): Readonly<Record<Iri, readonly AttributeInstance[]>> {
  const readings = told.flatMap(({ address, value }) => (isValue(value) && value !== '' ? [{ address, value }] : []));
  if (readings.length === 0) return {};
  const { device, group } = known;
  const { attributes: _, static_attributes: __, ...rest } = device;
  const { attributes: ___, static_attributes: ____, ...ofGroup } = group ?? {};
  // Its lazy attributes in the place of the others: they are declared in the same words.
  const attributes = lazyEntries(known).map(({ entity_name: _____, entity_type: ______, ...attribute }) => attribute);
  const document = provisionedMapping({
    ...known,
    device: { ...rest, attributes, explicitAttrs: true },
    group: group && { ...ofGroup, resource: group.resource, keyHash: group.keyHash },
  });
  const caller: Caller = { tenant: known.tenant, principal: { kind: 'device', id: known.identity } };
  const mapping = compileMapping(document, (term) => known.expand(term));
  return applyMapping(mapping, { readings }, caller, at).fragments[0]?.attributes ?? {};
}
