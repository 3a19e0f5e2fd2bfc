import {
  type AdapterMeasure,
  type CommandDesk,
  type DeviceDirectory,
  type DeviceOutcome,
  type DeviceSession,
  type Fragment,
  type Ingest,
  type Instant,
  type JsonValue,
  type KnownDevice,
  type MeasureMessage,
  type MqttMessage,
  toMicros,
} from '../broker/ports/ingest.ts';
import { giveResults, type HeardResults, heardResults } from './commands/heard-results.ts';
import { pollPayload } from './commands/payload.ts';
import { sigfoxDownlinks } from './commands/sigfox.ts';
import { configurationReply, parseConfigurationRequest } from './configuration.ts';
import { chirpStackDevice } from './formats/chirpstack.ts';
import { sigfoxDevice } from './formats/sigfox.ts';
import { uplinkDevice } from './formats/things-stack.ts';
import { heardByAdapter } from './heard-by-adapter.ts';
import { type Heard, interpret, refusalOf } from './interpret.ts';
import { commandTopic, parseFilter, parseTopic, RESOURCES, type TopicAddress } from './mqtt/topics.ts';
import type { MessageProcessing, OnTheirWay } from './processed.ts';
import { protocolOf } from './protocol.ts';

export interface IntakeOptions {
  readonly ingest: Ingest;
  /** What operators want done with what is heard before it is stored. */
  readonly processing?: MessageProcessing;
  readonly directory: DeviceDirectory;
  /** Where commands wait, and their results go. */
  readonly commands: Pick<CommandDesk, 'answered' | 'fetch' | 'open'>;
  /** What the entity of a device says under these names, for devices that ask for their configuration. */
  readonly valuesOf?: (known: KnownDevice, names: readonly string[]) => Promise<Record<string, JsonValue>>;
  /** A device wants to be told whenever one of these changes; without fields, no more. Resolves when that is on disk. */
  readonly onConfiguration?: (
    known: KnownDevice,
    subscription: { readonly fields: readonly string[]; readonly format: 'json' | 'ultralight'; readonly topic: string },
  ) => Promise<void>;
  /** A message, or a value of one (code VALUE), was refused. */
  readonly onRefused?: (identity: string, code: string, reason: string) => void;
  /** A device was heard that nobody has claimed. @param message its description of itself, worth keeping until then */
  readonly onUnclaimed?: (identity: string, message?: MqttMessage) => void;
  readonly now: () => Instant;
}

/** Where a device wants to hear of commands. */
export interface CommandListener {
  readonly identity: string;
  readonly topic: string;
}

/** Where transports hand in what devices say. Every message has an outcome; only a store that is gone is an error. */
export interface Intake {
  /** Publications in the order they came; resolves when all that was accepted is durable. @throws if the store is unavailable */
  mqtt(batch: readonly MqttMessage[]): Promise<readonly DeviceOutcome[]>;
  /** Whether code of an operator has to run before this message can be stored. */
  isSlow(message: MqttMessage): boolean;
  /** One measure over HTTP. @throws if the store is unavailable */
  http(message: MeasureMessage): Promise<DeviceOutcome>;
  /** What adapters heard, in this order. @throws if the store is unavailable */
  adapters(batch: readonly AdapterMeasure[]): Promise<readonly DeviceOutcome[]>;
  /** Whether a session may listen to this topic filter: commands to itself, and errors of its own messages. */
  maySubscribe(session: DeviceSession, filter: string): boolean;
  /** The device that listens for commands with this filter, and the topic that it expects them on; undefined: it listens for something else. */
  listener(session: DeviceSession, filter: string): Promise<CommandListener | undefined>;
}

/** A message on its way: the device and how to read it, or why not. */
type Routed =
  | { readonly heard: Omit<Heard, 'payload'>; readonly errorTopic?: string }
  | { readonly ignored: string }
  | { readonly unclaimed: string; readonly keep: boolean }
  | {
      readonly asks: KnownDevice;
      readonly format: 'json' | 'ultralight';
      readonly replyTopic: string;
      readonly errorTopic: string;
    }
  | { readonly refused: DeviceOutcome & { accepted: false } };

type Asking = Extract<Routed, { readonly asks: KnownDevice }>;

/** Uplinks repeat within seconds; a frame counter that comes again after this time is a device that was reset. */
const DUPLICATE_MICROS = 600_000_000;
const CACHED_TOPICS = 50_000;

export function deviceIntake({
  ingest,
  processing,
  directory,
  commands,
  valuesOf,
  onConfiguration = async () => {},
  onRefused = () => {},
  onUnclaimed = () => {},
  now,
}: IntakeOptions): Intake {
  let version = -1;
  const routes = new Map<string, Routed>();
  const uplinks = new Map<string, number>();
  const sigfox = sigfoxDownlinks(commands);

  function routed(message: MqttMessage): Routed | Promise<Routed> {
    if (directory.version !== version) {
      routes.clear();
      version = directory.version;
    }
    const key = cacheKey(message);
    const known = routes.get(key);
    if (known !== undefined) return known;
    const made = route(message, directory);
    if (made instanceof Promise) return made;
    // Who is unknown is looked up each time, so that the registry hears how often it comes.
    if ('refused' in made) return made;
    if (routes.size >= CACHED_TOPICS) routes.clear();
    routes.set(key, made);
    return made;
  }

  async function store(heard: readonly (Heard | DeviceOutcome)[], errorTopics: readonly (string | undefined)[]) {
    const receivedAt = now();
    const messages = processing?.active ? await processing.transformed(heard) : heard;
    const fragments: Fragment[] = [];
    const owners: number[] = [];
    const keys = new Set<string>();
    const answers = new Map<number, HeardResults>();
    const outcomes = messages.map((message, at): DeviceOutcome => {
      if ('accepted' in message) {
        const errorTopic = errorTopics[at];
        return message.accepted || errorTopic === undefined ? message : { ...message, errorTopic };
      }
      const { identity } = message.known;
      const refuse = (refusal: { code: string; reason: string }): DeviceOutcome => {
        const errorTopic = errorTopics[at];
        return { accepted: false, ...refusal, identity, ...(errorTopic !== undefined && { errorTopic }) };
      };
      try {
        const said = heardResults(message);
        if (said.results.length > 0) answers.set(at, said);
        if (said.measures === undefined) return { accepted: true, identity };
        const { fragments: made, warnings, duplicateKey } = interpret(said.measures, message.receivedAt ?? receivedAt);
        if (duplicateKey !== undefined) {
          const before = uplinks.get(duplicateKey);
          const repeated = before !== undefined && toMicros(receivedAt) - before < DUPLICATE_MICROS;
          if (repeated || keys.has(duplicateKey)) return { accepted: true, identity };
          keys.add(duplicateKey);
        }
        if (made.length === 0 && warnings.length > 0)
          return refuse({ code: 'NO_READINGS', reason: warnings.slice(0, 3).join('; ') });
        for (const fragment of made) {
          fragments.push(fragment);
          owners.push(at);
        }
        return { accepted: true, identity, ...(warnings.length > 0 && { warnings }) };
      } catch (error) {
        return refuse(refusalOf(error));
      }
    });
    let made: OnTheirWay = { fragments, owners };
    if (processing?.active && fragments.length > 0) made = await processing.judged(messages, made, outcomes, receivedAt);
    if (made.fragments.length > 0) {
      const { refused } = await accepted(messages, made);
      for (const { index, reason } of refused) {
        const at = made.owners[index] as number;
        const errorTopic = errorTopics[at];
        const { identity } = (messages[at] as Heard).known;
        outcomes[at] = { accepted: false, code: 'REFUSED', reason, identity, ...(errorTopic !== undefined && { errorTopic }) };
      }
    }
    remember(keys, toMicros(receivedAt));
    for (const [at, said] of answers) {
      const { identity } = (messages[at] as Heard).known;
      const outcome = await giveResults(commands, identity, said, outcomes[at] as DeviceOutcome);
      const errorTopic = errorTopics[at];
      outcomes[at] = outcome.accepted || errorTopic === undefined ? outcome : { ...outcome, errorTopic };
    }
    if (processing?.active) processing.heard(outcomes);
    outcomes.forEach(tell);
    return outcomes;
  }

  /** Stores; what was not stored must not be what later values are compared with. */
  async function accepted(messages: readonly (Heard | DeviceOutcome)[], made: OnTheirWay): ReturnType<Ingest['accept']> {
    try {
      const answer = await ingest.accept(made.fragments);
      if (processing?.active) {
        const indexes = answer.refused.map(({ index }) => index);
        await processing.stored(messages, made, indexes);
      }
      return answer;
    } catch (error) {
      if (processing?.active) processing.forget(messages, made);
      throw error;
    }
  }

  /** What the device wants to know, ready to be published to it. */
  async function configuration({ asks, format, replyTopic, errorTopic }: Asking, payload: Uint8Array): Promise<DeviceOutcome> {
    const { identity } = asks;
    try {
      const { type, fields } = parseConfigurationRequest(Buffer.from(payload).toString('utf8'), format);
      if (type === 'subscription') await onConfiguration(asks, { fields, format, topic: replyTopic });
      if (fields.length === 0) return { accepted: true, identity };
      const values = (await valuesOf?.(asks, fields)) ?? {};
      const reply = { topic: replyTopic, payload: configurationReply(values, asks.device.device_id, format, now()) };
      return { accepted: true, identity, reply };
    } catch (error) {
      return { ...refusalOf(error), identity, errorTopic };
    }
  }

  /** A callback can ask for a downlink, or tell what became of one. */
  async function calledBack(heard: Heard): Promise<DeviceOutcome> {
    const { known, payload } = heard;
    const text = Buffer.from(payload).toString('utf8');
    if (await sigfox.acknowledged(known, text)) return { accepted: true, identity: known.identity };
    const [outcome] = (await store([heard], [undefined])) as [DeviceOutcome];
    const downlink = outcome.accepted ? await sigfox.downlink(known, text) : undefined;
    return outcome.accepted && downlink !== undefined ? { ...outcome, commands: downlink } : outcome;
  }

  /** It shows that the device works, and that is all for now. */
  function unclaimed(identity: string, message?: MqttMessage): DeviceOutcome {
    onUnclaimed(identity, message);
    return { accepted: false, code: 'NOT_CLAIMED', reason: 'Nobody has claimed this device yet', identity };
  }

  /** What was refused can be found. */
  function tell(outcome: DeviceOutcome): void {
    if (outcome.accepted) for (const reason of outcome.warnings ?? []) onRefused(outcome.identity, 'VALUE', reason);
    else if (outcome.identity !== undefined) onRefused(outcome.identity, outcome.code, outcome.reason);
  }

  /** Only now, when the uplinks are durable: a repetition of one that was lost must not count as a duplicate. */
  function remember(keys: ReadonlySet<string>, at: number): void {
    for (const key of keys) {
      uplinks.delete(key);
      uplinks.set(key, at);
    }
    for (const [key, seen] of uplinks) {
      if (uplinks.size <= 10_000 && at - seen < DUPLICATE_MICROS) break;
      uplinks.delete(key);
    }
  }

  return {
    async mqtt(batch) {
      const messages: (Heard | DeviceOutcome)[] = [];
      const errorTopics: (string | undefined)[] = [];
      for (const message of batch) {
        const found = routed(message);
        const one = found instanceof Promise ? await found : found;
        errorTopics.push('heard' in one ? one.errorTopic : undefined);
        if ('heard' in one) messages.push({ ...one.heard, payload: message.payload });
        else if ('asks' in one) messages.push(await configuration(one, message.payload));
        else if ('unclaimed' in one) messages.push(unclaimed(one.unclaimed, one.keep ? message : undefined));
        else if ('ignored' in one) messages.push({ accepted: true, identity: one.ignored });
        else messages.push(one.refused);
      }
      return store(messages, errorTopics);
    },
    isSlow(message) {
      if (!processing?.transforms) return false;
      const known = directory.version === version ? routes.get(cacheKey(message)) : undefined;
      // Of whom nobody has heard since the last change it is not known: others need not wait until it is.
      return known === undefined || ('heard' in known && processing.isSlow(known.heard.known));
    },
    async http(message) {
      const heard = await webhook(message, directory);
      if (!('known' in heard)) return heard;
      if (heard.known.device.onboarding !== undefined) {
        const refused = unclaimed(heard.known.identity);
        tell(refused);
        return refused;
      }
      if (message.format === 'sigfox') return calledBack(heard);
      const asksOnly = message.getCommands === true && message.body.length === 0;
      const stored = asksOnly ? undefined : ((await store([heard], [undefined]))[0] as DeviceOutcome);
      const outcome = stored ?? { accepted: true as const, identity: heard.known.identity };
      if (message.getCommands !== true || !outcome.accepted) return outcome;
      const format = message.format === 'ultralight' ? 'ultralight' : 'json';
      const waiting = await commands.fetch(heard.known.identity, format === 'json');
      if (waiting.length === 0) return outcome;
      return { ...outcome, commands: pollPayload(waiting, heard.known, format) };
    },
    async adapters(batch) {
      const heard: (Heard | DeviceOutcome)[] = [];
      for (const measure of batch) heard.push(await heardByAdapter(measure, directory, now()));
      return store(
        heard,
        heard.map(() => undefined),
      );
    },
    maySubscribe(session, filter) {
      const address = parseFilter(filter);
      if (address === undefined) return false;
      const found = find(address, session, directory);
      if (!(found instanceof Promise)) return typeof found === 'object';
      // A device may listen for commands before it has sent anything; it is being provisioned by this.
      found.catch(() => {});
      return true;
    },
    async listener(session, filter) {
      const address = parseFilter(filter);
      const topic = commandTopic(filter);
      if (address?.form !== 'fiware' || topic === undefined) return undefined;
      const found = await find(address, session, directory);
      return typeof found === 'object' ? { identity: found.identity, topic } : undefined;
    },
  };
}

function cacheKey({ topic, session }: MqttMessage): string {
  if (session.kind === 'anonymous') return topic;
  return session.kind === 'device' ? `${topic}\n${session.identity}` : `${topic}\n${session.keyHash}`;
}

type Found = ReturnType<DeviceDirectory['byKey']> | undefined;

/** The device that an address names, as far as the session may speak for it. */
function find(address: TopicAddress, session: DeviceSession, directory: DeviceDirectory): Found {
  switch (address.form) {
    case 'kit':
      return directory.byToken(address.token) ?? 'unknown-key';
    case 'inventory':
      return undefined;
    case 'things-stack':
    case 'chirpstack':
      return directory.bySession(session, address.deviceId, RESOURCES[address.form]);
    case 'fiware': {
      const resource = RESOURCES[address.format];
      if (session.kind === 'device') {
        // Who showed its token may speak for itself, whatever key the topic has, and for nobody else.
        return directory.bySession(session, address.deviceId, resource);
      }
      return directory.byKey(address.key, address.deviceId, resource);
    }
  }
}

function route(message: MqttMessage, directory: DeviceDirectory): Routed | Promise<Routed> {
  const address = parseTopic(message.topic);
  if (address === undefined) return refusedAs('UNKNOWN_TOPIC', 'The topic is not one that devices publish to');
  if (address.form === 'inventory') return { ignored: '' };
  const found = find(address, message.session, directory);
  if (found instanceof Promise) return found.then((known) => routeTo(known, address));
  return routeTo(found, address);
}

function routeTo(found: Awaited<Found>, address: TopicAddress): Routed {
  if (found === undefined || found === 'unknown-key') {
    return refusedAs('UNKNOWN_KEY', 'The key or token in the topic, or of the session, holds for no device');
  }
  if (found === 'unknown-device') return refusedAs('DEVICE_NOT_FOUND', 'The device is not provisioned');
  if (found.device.onboarding !== undefined) {
    return { unclaimed: found.identity, keep: address.form === 'kit' && address.part === 'info' };
  }
  const errorTopic = address.form === 'inventory' ? undefined : address.errorTopic;
  const make = (format: Heard['format'], attribute?: string): Routed => ({
    heard: { known: found, format, badTime: 'ignore', ...(attribute !== undefined && { attribute }) },
    ...(errorTopic !== undefined && { errorTopic }),
  });
  switch (address.form) {
    case 'kit':
      if (address.part === 'hello') return { ignored: found.identity };
      return make(`kit-${address.part}`);
    case 'things-stack':
      return address.event === 'up' ? make('things-stack') : { ignored: found.identity };
    case 'chirpstack':
      return ['up', 'status', 'location'].includes(address.event) ? make('chirpstack') : { ignored: found.identity };
    case 'fiware':
      if (address.kind === 'cmdexe') {
        const format = address.format === 'any' ? protocolOf(found) : address.format;
        const heard = { known: found, format, badTime: 'ignore', results: true } as const;
        return { heard, ...(errorTopic !== undefined && { errorTopic }) };
      }
      if (address.kind === 'configuration/commands') {
        const format = address.format === 'any' ? protocolOf(found) : address.format;
        const own = address.errorTopic.slice(0, -'/errors'.length);
        return { asks: found, format, replyTopic: `${own}/configuration/values`, errorTopic: address.errorTopic };
      }
      if (address.kind !== 'attrs') return refusedAs('UNSUPPORTED_TOPIC', `Messages to ${address.kind} are not supported`);
      return make(address.format === 'any' ? protocolOf(found) : address.format, address.attribute);
    case 'inventory':
      return { ignored: '' };
  }
}

const refusedAs = (code: string, reason: string): { refused: DeviceOutcome & { accepted: false } } => ({
  refused: { accepted: false, code, reason },
});

/** Whose message it is, by what a network server writes into it. @throws PayloadError if it names no device */
function deviceNamed(format: MeasureMessage['format'], text: string): string {
  if (format === 'chirpstack') return chirpStackDevice(text);
  return format === 'sigfox' ? sigfoxDevice(text) : uplinkDevice(text);
}

async function webhook(message: MeasureMessage, directory: DeviceDirectory): Promise<Heard | DeviceOutcome> {
  const { format, body: payload } = message;
  let known: Awaited<Found>;
  if (format === 'smart-citizen') {
    known = directory.byToken(message.key);
    if (known !== undefined && known.device.device_id !== message.deviceId) known = 'unknown-device';
  } else {
    let deviceId = message.deviceId;
    try {
      deviceId ??= deviceNamed(format, Buffer.from(payload).toString('utf8'));
    } catch (error) {
      return refusalOf(error);
    }
    known = await directory.byKey(message.key, deviceId, RESOURCES[format]);
    // A device may show its own token in place of the key of its group.
    if (known === 'unknown-key' && directory.byToken(message.key)?.device.device_id === deviceId)
      known = directory.byToken(message.key);
  }
  if (known === undefined || known === 'unknown-key') {
    return { accepted: false, code: 'DEVICE_GROUP_NOT_FOUND', reason: 'The key holds for no group of devices here' };
  }
  if (known === 'unknown-device') return { accepted: false, code: 'DEVICE_NOT_FOUND', reason: 'The device is not provisioned' };
  return {
    known,
    payload,
    format: format === 'smart-citizen' ? 'kit-readings' : format,
    badTime: 'refuse',
    ...(message.time !== undefined && { time: message.time }),
    ...(message.attribute !== undefined && { attribute: message.attribute }),
    ...(message.single === true && { single: true }),
    ...(message.results === true && { results: true }),
  };
}
