import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { FastifyPluginAsync } from 'fastify';
import type { Logger } from 'pino';
import type { CoapServer } from '../adapters/coap/server.ts';
import { httpCarrier } from '../adapters/commands/http-carrier.ts';
import { lazyAsker, lazyOf } from '../adapters/commands/lazy.ts';
import { mqttCarrier, type SendToDevice } from '../adapters/commands/mqtt-carrier.ts';
import { commandsOf } from '../adapters/commands/targets.ts';
import { configurationReply } from '../adapters/configuration.ts';
import { deviceIntake, type Intake } from '../adapters/intake.ts';
import { checkMapping } from '../adapters/interpret.ts';
import { entityId } from '../adapters/mapping/compile.ts';
import { staticEntity } from '../adapters/things/entity.ts';
import { readThingDescription } from '../adapters/things/thing-description.ts';
import { adapterSide } from './adapter-side.ts';
import type { Metrics } from './api/admin/metrics.ts';
import { commandRoutes } from './api/iot/commands.ts';
import { measureRoutes } from './api/iot/measures.ts';
import { onboardingRoutes } from './api/iot/onboarding.ts';
import { provisioningRoutes } from './api/iot/provisioning.ts';
import type { Config } from './config.ts';
import type { AccessFunction } from './domain/access.ts';
import { commandValue } from './domain/command.ts';
import type { KnownDevice, LazyAttribute } from './domain/device.ts';
import type { JsonValue } from './domain/json.ts';
import type { EgressGuard } from './egress/guard.ts';
import { httpPush } from './egress/http-push.ts';
import { type CommandOperations, commandOperations } from './operations/commands/operations.ts';
import { announce } from './operations/commands/show.ts';
import { configurationSubscriptions } from './operations/devices/configuration.ts';
import type { AskDevice } from './operations/devices/lazy-reads.ts';
import { lazyTenants } from './operations/devices/lazy-tenants.ts';
import { type OnboardingOperations, onboardingOperations } from './operations/devices/onboarding.ts';
import { type TargetIndex, targetIndex } from './operations/devices/targets.ts';
import { thingOperations } from './operations/devices/things.ts';
import { type DeviceOperations, type DeviceOperationsOptions, deviceOperations } from './operations/devices.ts';
import { ingest } from './operations/ingest.ts';
import { type OutsideDevices, outsideDevices } from './outside-devices.ts';
import type { ChangeFeed } from './ports/change-feed.ts';
import type { Clock } from './ports/clock.ts';
import type { DocumentStore } from './ports/document-store.ts';
import type { EntityStore } from './ports/entity-store.ts';
import type { SeriesStore } from './ports/series-store.ts';
import { processingSide } from './processing-side.ts';
import type { MqttServer, MqttServerOptions } from './transport/mqtt.ts';
import { sweepEvery } from './upkeep.ts';

export interface DeviceSideOptions {
  readonly config: Config;
  readonly brokerId: string;
  readonly version: string;
  readonly documents: DocumentStore;
  readonly entities: EntityStore;
  readonly series: SeriesStore;
  readonly feed: ChangeFeed;
  readonly clock: Clock;
  readonly access: AccessFunction;
  readonly resolveContext: DeviceOperationsOptions['resolveContext'];
  readonly guard: EgressGuard;
  readonly logger: Logger;
  /** What /metrics tells. */
  readonly figures: Metrics;
}

/** How often it is looked whether a device listens at a broker that does not say when one begins to. */
const OUTSIDE_RETRY_MS = 5000;

/** Registry, intake and commands of devices, tied together. */
export interface DeviceSide {
  readonly devices: DeviceOperations;
  readonly commands: CommandOperations;
  readonly intake: Intake;
  readonly onboarding: OnboardingOperations;
  /** Asks a device for what it tells only then. */
  readonly lazy: { readonly targets: TargetIndex<LazyAttribute>; readonly ask: AskDevice };
  readonly routes: readonly FastifyPluginAsync[];
  /** What the embedded MQTT broker asks about its sessions, and hands over. */
  readonly mqtt: Pick<
    MqttServerOptions,
    'authenticate' | 'maySubscribe' | 'listener' | 'onListening' | 'onMessages' | 'isSlow'
  >;
  /** The embedded MQTT broker is there: sessions can be ended, commands sent. */
  connect(mqtt: MqttServer): void;
  /** Brings on its way what waited when the broker stopped. */
  start(): Promise<void>;
  stop(): Promise<void>;
}

export async function deviceSide(options: DeviceSideOptions): Promise<DeviceSide> {
  const { config, brokerId, version, documents, entities, clock, access, resolveContext, guard, logger } = options;
  const onError = (error: unknown) => logger.error({ err: error }, 'devices');
  let mqtt: MqttServer | undefined;
  let onboarding: OnboardingOperations | undefined;

  const { series, feed, figures } = options;
  const store = ingest({ entities, clock, access });
  const shared = { documents, series, feed, entities, clock, access, resolveContext, logger, figures };
  const processing = processingSide({ ...shared, ingest: store });
  const outside = outsideDevices(config, brokerId, logger);
  const lazyTargets = targetIndex(lazyOf);
  const withLazy = lazyTenants(lazyTargets, documents, onError);
  const devices = await deviceOperations({
    documents,
    access,
    resolveContext,
    checkMapping(known) {
      checkMapping(known);
      lazyOf(known);
      processing.check(known);
    },
    commandsOf,
    follower: withLazy,
    clock,
    gate: outside.gate,
  });
  const commands = commandOperations({
    documents,
    entities,
    clock,
    access,
    targets: devices.commandTargets,
    expiryMs: config.commandExpiryS * 1000,
    onError,
  });
  const pushing = httpPush(guard);
  commands.register(httpCarrier(pushing.push));
  const sendHere: SendToDevice = async (...sent) => (await mqtt?.send(...sent)) ?? false;
  const lazy = lazyAsker({
    send: config.mqttOutside === '' ? [sendHere] : [sendHere, outside.send],
    push: pushing.push,
    waitMs: config.lazyWaitMs,
    now: clock.now,
    onError,
  });
  commands.register(mqttCarrier('mqtt', sendHere));
  if (config.mqttOutside !== '') commands.register(mqttCarrier('mqtt-outside', outside.send, OUTSIDE_RETRY_MS));
  const configurations = configurationSubscriptions({
    documents,
    feed,
    device: devices.commandTargets.device,
    entityOf: (known) => staticEntity(known).id,
    topicOf(known, slash) {
      const apikey = devices.apikeyOf(known);
      return apikey && `${slash ? '/' : ''}${apikey}/${known.device.device_id}/configuration/values`;
    },
    async tell(known, { fields, format, topic }) {
      const values = await entityValues(entities, known, fields);
      const payload = configurationReply(values, known.device.device_id, format, clock.now());
      await Promise.all([mqtt?.publish(topic, payload, 1), outside.publish(topic, payload)]);
    },
    onError,
  });
  await processing.load(devices);
  const intake = deviceIntake({
    ingest: store,
    processing: processing.messages,
    directory: devices,
    commands: {
      ...commands,
      // What a device says when it is asked comes like the result of a command.
      answered: async (identity, name, result) =>
        lazy.answered(identity, name, result.info) || commands.answered(identity, name, result),
    },
    valuesOf: (known, names) => entityValues(entities, known, names),
    onConfiguration: (known, subscription) => configurations.put(known, subscription),
    onRefused: devices.refusals.note,
    onUnclaimed: (identity, message) => onboarding?.heard(identity, message),
    now: clock.now,
  });
  devices.onRevoked((session) => mqtt?.disconnect(session));
  devices.onProvisioned(withLazy.said);
  devices.onProvisioned((known) => announce(entities, clock, known.tenant, commandsOf(known) ?? lazyOf(known)));
  devices.onDeleted((identity) => void commands.forget(identity).catch(onError));
  devices.onDeleted((identity) => void configurations.forget(identity).catch(onError));
  const unclaimed = onboardingOperations({
    devices,
    clock,
    access,
    days: config.onboardingDays,
    replay: (message) => intake.mqtt([message]),
    onError,
  });
  onboarding = unclaimed;
  const things = thingOperations({
    devices,
    entities,
    clock,
    access,
    readThing: readThingDescription,
    entityId: ({ device_id, entity_type }) => entityId(device_id, entity_type ?? 'Thing'),
    entityOf: staticEntity,
  });
  addDeviceFigures(figures, devices, commands, config.mqttOutside === '' ? undefined : outside);
  const sweeps: (() => void)[] = [];
  const adapters = await adapterSide({
    documents,
    access,
    clock,
    devices,
    commands,
    intake,
    guard,
    logger,
    importFolder:
      config.dataDir === ':memory:' ? join(tmpdir(), `mizar-imports-${process.pid}`) : join(config.dataDir, 'imports'),
    importLimitBytes: config.importLimitBytes,
    ...(config.dropFolder !== '' && { dropFolder: config.dropFolder }),
  });
  let coap: CoapServer | undefined;

  return {
    devices,
    commands,
    intake,
    onboarding: unclaimed,
    lazy: { targets: lazyTargets, ask: lazy.ask },
    routes: [
      provisioningRoutes(devices, version),
      measureRoutes(intake.http),
      onboardingRoutes(unclaimed, things),
      adapters.routes,
      adapters.importRoutes,
      processing.routes,
      commandRoutes(commands, devices),
    ],
    mqtt: {
      authenticate: devices.authenticate,
      maySubscribe: intake.maySubscribe,
      listener: intake.listener,
      onListening: commands.reachable,
      onMessages: intake.mqtt,
      isSlow: intake.isSlow,
    },
    connect(server) {
      mqtt = server;
    },
    async start() {
      await commands.load();
      sweeps.push(sweepEvery(1000, commands.sweep, onError), sweepEvery(1000, devices.endExpiredTokens, onError));
      sweeps.push(sweepEvery(60_000, unclaimed.sweep, onError));
      await outside.start(devices, commands, intake);
      await configurations.start();
      await withLazy.tidy();
      if (config.coapPort !== 0) {
        const { coapServer } = await import('../adapters/coap/server.ts');
        const log = (level: 'info' | 'warn' | 'error', message: string, details?: object) =>
          logger[level](details ?? {}, message);
        coap = await coapServer({ host: config.host, port: config.coapPort, take: intake.http, log });
      }
      await processing.start();
      await adapters.start();
    },
    async stop() {
      for (const stop of sweeps) stop();
      await configurations.stop();
      await outside.stop();
      await coap?.close();
      await adapters.stop();
      await processing.stop();
      await commands.stop();
      await pushing.close();
    },
  };
}

/** What /metrics tells about devices. */
function addDeviceFigures(
  figures: Metrics,
  devices: DeviceOperations,
  commands: CommandOperations,
  outside: OutsideDevices | undefined,
): void {
  const refused = (): number => Object.values(devices.refusals.counts()).reduce((sum, count) => sum + count, 0);
  figures.add('devices', () => ({ refused_values_total: devices.refusals.counts()['VALUE'] ?? 0, refused_total: refused() }), {
    refused_values_total: 'Values left out of messages whose others were taken; /iot/devices/<id>/refusals has the last ones',
    refused_total: 'Messages and values of known devices that were refused, whichever way they came',
  });
  figures.add(
    'commands',
    () => {
      const { open, ended } = commands.figures();
      return { open, ok_total: ended['OK'] ?? 0, error_total: ended['ERROR'] ?? 0, expired_total: ended['EXPIRED'] ?? 0 };
    },
    {
      open: 'Commands that are not at their end',
      ok_total: 'Commands that devices carried out',
      error_total: 'Commands that failed',
      expired_total: 'Commands that nobody answered in time',
    },
  );
  if (outside === undefined) return;
  figures.add('mqtt_outside', () => outside.figures() ?? {}, {
    connections: 'Open connections to the MQTT broker outside',
    messages_total: 'Publications taken from there',
    accepted_total: 'Publications from there that were stored',
    refused_total: 'Publications from there that were not stored: unknown sender, broken payload',
    unavailable_total: 'Publications left there because the store was not available',
  });
}

/** What the entity of a device says under short names; those that it does not have are left out. */
async function entityValues(
  entities: EntityStore,
  known: KnownDevice,
  names: readonly string[],
): Promise<Record<string, JsonValue>> {
  const { id } = staticEntity(known);
  const entity = (await entities.get(known.tenant, id))?.entity;
  const values: Record<string, JsonValue> = {};
  for (const name of names) {
    const instance = entity?.attributes[known.expand(name)]?.[0];
    const value = instance === undefined ? undefined : commandValue(instance);
    if (value !== undefined) values[name] = value;
  }
  return values;
}
