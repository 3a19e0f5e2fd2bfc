import { randomUUID } from 'node:crypto';
import { mkdirSync, readFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { FastifyInstance } from 'fastify';
import pino, { type Logger } from 'pino';
import { httpSource } from '../federation/http-source.ts';
import { copyRoutes } from './api/admin/copies.ts';
import { deliveryRoutes } from './api/admin/deliveries.ts';
import { type HealthReport, operatorRoutes } from './api/admin/health.ts';
import { metrics } from './api/admin/metrics.ts';
import { transferRoutes } from './api/admin/transfer.ts';
import { PAGING_LIMITS } from './api/http/paging.ts';
import { batchRoutes } from './api/ngsi-ld/batch.ts';
import { contextRoutes } from './api/ngsi-ld/contexts.ts';
import { discoveryRoutes } from './api/ngsi-ld/discovery.ts';
import { entityRoutes } from './api/ngsi-ld/entities.ts';
import { attributeRoutes } from './api/ngsi-ld/entity-attributes.ts';
import { entityMapRoutes } from './api/ngsi-ld/entity-maps.ts';
import { entityQueryRoutes } from './api/ngsi-ld/entity-query.ts';
import { identityRoutes } from './api/ngsi-ld/identity.ts';
import { registrationRoutes } from './api/ngsi-ld/registrations.ts';
import { REMOTE_NOTIFICATIONS, remoteNotificationRoutes } from './api/ngsi-ld/remote-notifications.ts';
import { renderingCache } from './api/ngsi-ld/rendering.ts';
import { snapshotCaller, snapshotQueries, snapshotRoutes } from './api/ngsi-ld/snapshots.ts';
import { REGISTRATION_SUBSCRIPTIONS, SUBSCRIPTIONS, subscriptionRoutes } from './api/ngsi-ld/subscriptions.ts';
import { temporalFilterOf } from './api/ngsi-ld/temporal-parameters.ts';
import { temporalProvisionRoutes } from './api/ngsi-ld/temporal-provision.ts';
import { temporalQueryRoutes } from './api/ngsi-ld/temporal-query.ts';
import { type SensorThingsWindow, sensorThingsWindow } from './api/sta/window.ts';
import type { Config } from './config.ts';
import { type DeviceSide, deviceSide } from './device-side.ts';
import { ENTITY_MAP_LIMITS } from './domain/entity-map.ts';
import type { Iri, TenantId } from './domain/iri.ts';
import { SNAPSHOT_LIMITS } from './domain/snapshot.ts';
import { httpNotifier, notifierByScheme } from './egress/http-notifier.ts';
import { mqttNotifier } from './egress/mqtt-notifier.ts';
import { addFigures, addProcessFigures, shownLimits } from './figures.ts';
import { foundations } from './foundations.ts';
import { brokerName, type OpenStore, openStore } from './open-store.ts';
import { batchOperations } from './operations/batch.ts';
import { commandingBatch, commandingEntities } from './operations/commands/entities.ts';
import { copyOperations } from './operations/copies/operator.ts';
import { subscribedEntities } from './operations/copies/union.ts';
import { deliveryOperations } from './operations/deliveries.ts';
import { lazyReads } from './operations/devices/lazy-reads.ts';
import { discoveryOperations } from './operations/discovery.ts';
import { distributedBatch } from './operations/distributed/batch.ts';
import { distributedDiscovery } from './operations/distributed/discovery.ts';
import { distributedEntities } from './operations/distributed/entities.ts';
import { distributedHistory } from './operations/distributed/history.ts';
import { distributedHistoryProvision } from './operations/distributed/history-writes.ts';
import { linkedElsewhere } from './operations/distributed/linked.ts';
import { distributedReads } from './operations/distributed/reads.ts';
import { type DistributedSubscriptions, distributedSubscriptions } from './operations/distributed-subscriptions.ts';
import { entityOperations } from './operations/entities.ts';
import { entityMapOperations } from './operations/entity-maps.ts';
import { sweepExpired } from './operations/expiry.ts';
import { historyOperations } from './operations/history.ts';
import { linkedReader } from './operations/linked.ts';
import { type BackOff, backOff } from './operations/notify/back-off.ts';
import { messageNumbers } from './operations/notify/messages.ts';
import { notifications } from './operations/notify/notifications.ts';
import { periodicNotifications } from './operations/notify/periodic.ts';
import { splitEntities } from './operations/notify/split-entities.ts';
import { subscriptionsInForce } from './operations/notify/subscriptions-in-force.ts';
import { queryOperations } from './operations/query.ts';
import { contextSourceRegistry } from './operations/registry.ts';
import { snapshotOperations } from './operations/snapshots.ts';
import { subscriptionOperations } from './operations/subscriptions.ts';
import { requireTenant } from './operations/tenants.ts';
import { transferOperations } from './operations/transfer.ts';
import type { Clock } from './ports/clock.ts';
import { byData, type OfferedToServers } from './processes/offered.ts';
import type { Servers } from './processes/supervisor.ts';
import { staOnExternalBroker } from './sta-mqtt.ts';
import { systemClock } from './stores/system-clock.ts';
import { httpServer, listenOn } from './transport/http.ts';
import type { ExternalBroker } from './transport/mqtt/external-broker.ts';
import { type MqttServer, mqttServer } from './transport/mqtt.ts';
import { sweepEvery, trimByAge } from './upkeep.ts';

export const VERSION = (JSON.parse(readFileSync(join(import.meta.dirname, '../package.json'), 'utf8')) as { version: string })
  .version;

/** A broker, put together and not listening yet. */
export interface Broker {
  readonly app: FastifyInstance;
  readonly store: OpenStore;
  readonly notifications: ReturnType<typeof notifications>;
  readonly sensorThings: SensorThingsWindow;
  readonly devices: DeviceSide;
  readonly distributed: DistributedSubscriptions;
  readonly logger: Logger;
  readonly brokerId: string;
  /** What server processes have carried out here. */
  readonly offered: OfferedToServers;
  /** Begins to listen. @returns where */
  listen(): Promise<{ readonly url: string; readonly mqttUrl: string | undefined }>;
  /** Drains and closes: requests under way are answered, deliveries get a moment, the place in the change log is remembered. */
  close(): Promise<void>;
}

/** What tests may put in place of the real thing. */
export interface Replacements {
  readonly clock?: Clock;
  readonly logger?: Logger;
  /** Between attempts at context sources that do not take a copy of a subscription. */
  readonly sourceBackOff?: BackOff;
  /** The other processes that serve (processes/supervisor.ts). */
  readonly servers?: Servers;
}

const isAnyAddress = (host: string): boolean => host === '0.0.0.0' || host === '::';

/** Where others reach this broker, if that is said; otherwise it is where it listens. */
const reachable = ({ publicUrl }: Config): string | undefined => (publicUrl === '' ? undefined : publicUrl.replace(/\/$/, ''));

/** Ties the rooms together. The only place that names a concrete store, notifier and transport. */
export async function buildBroker(config: Config, replacements: Replacements = {}): Promise<Broker> {
  const started = Date.now();
  const logger = replacements.logger ?? pino({ level: config.logLevel, base: null, timestamp: pino.stdTimeFunctions.isoTime });
  if (config.store === '' && config.dataDir !== ':memory:') mkdirSync(config.dataDir, { recursive: true });
  const brokerId = config.brokerId || (await brokerName(config));
  const clock = replacements.clock ?? systemClock(brokerId);
  const store = await openStore(config, clock);
  const { entities, history, feed, documents, deliveries, messages } = store;
  const common = await foundations(config, documents, clock);
  const { access, contexts, guard, limits: limitsOfDomain } = common;
  const resolveContext = contexts.resolve;

  const subscriptions = subscriptionsInForce({ documents, resolveContext, core: contexts.core });
  const notifier = notifierByScheme(httpNotifier({ guard, connections: 32 }), mqttNotifier(guard));
  const onError = (error: unknown) => logger.error({ err: error }, 'notifications');
  const retries = backOff(config.notificationRetryHours);
  const number = await messageNumbers(messages);
  const joinLimits = { levels: config.joinLevels, entities: config.joinedEntities };
  const linked = linkedReader({ entities, limits: joinLimits });
  const registry = contextSourceRegistry({
    documents,
    entities,
    resolveContext,
    clock,
    access,
    notifier,
    messages,
    number,
    // Who follows registrations is told of every failure, and is in no hurry.
    backOff: backOff(config.notificationRetryHours, { firstMs: 10_000, longestMs: 60_000 }),
    mostWaiting: config.waitingNotifications,
    core: contexts.core,
    onError,
    notificationTimeoutMs: config.notificationTimeoutMs,
    source: httpSource({ guard, replyLimitBytes: config.sourceReplyLimitBytes, connections: 16 }),
    sourceTimeoutMs: config.sourceTimeoutMs,
    sourceCacheBytes: config.sourceCacheBytes,
    brokerId,
    temporalFilter: temporalFilterOf,
  });
  const { sources } = registry;
  const readLimits = {
    entities: config.sourceEntities,
    pages: 100,
    sources: config.sourceFanOut,
    splitByDefault: config.splitEntities,
  };
  const everywhere = distributedReads({ entities, sources, clock, access, limits: readLimits });
  const split = splitEntities({
    reads: everywhere,
    entities,
    linked,
    clock,
    hasSources: registry.hasSources,
    byDefault: config.splitEntities,
  });
  subscriptions.onChange(({ notification }, what) => what === 'put' && notifier.prepare?.(notification.endpoint.uri));
  const delivery = notifications({
    feed,
    deliveries,
    subscriptions,
    linked,
    split,
    notifier,
    clock,
    timeoutMs: config.notificationTimeoutMs,
    backOff: retries,
    onError,
  });
  const periodic = periodicNotifications({
    subscriptions,
    find: subscribedEntities({
      entities,
      reads: everywhere,
      resolveContext,
      hasSources: registry.hasSources,
      splits: split.splits,
    }),
    linked,
    notifier,
    clock,
    timeoutMs: config.notificationTimeoutMs,
    onError,
  });

  let listeningAt = reachable(config);
  const distributed = distributedSubscriptions({
    registry,
    subscriptions,
    split,
    splitByDefault: config.splitEntities,
    linked,
    resolveContext,
    documents,
    messages,
    number,
    notifier,
    clock,
    timeoutMs: config.notificationTimeoutMs,
    backOff: retries,
    mostWaiting: config.waitingNotifications,
    lookEveryMs: config.copyCheckS * 1000,
    ...(replacements.sourceBackOff ? { sourceBackOff: replacements.sourceBackOff } : {}),
    endpoint: () => (listeningAt === undefined ? undefined : `${listeningAt}${REMOTE_NOTIFICATIONS}`),
    onError,
  });

  let ready = false;
  const renderings = renderingCache(config.cacheBytes);
  const paging = { ...PAGING_LIMITS, maxLimit: config.pageLimit };
  let mqtt: MqttServer | undefined;
  let externalMqtt: ExternalBroker | undefined;
  const { servers } = replacements;
  const figures = metrics(async () => ((await servers?.figures()) ?? []).flatMap(({ requests }) => requests));
  if (servers) addProcessFigures(figures, servers);
  addFigures(figures, { store, delivery, distributed, notified: notifier.figures, mqtt: () => mqtt?.figures() });

  async function health(): Promise<HealthReport> {
    const stored = store.ready();
    const apart = externalMqtt !== undefined && !externalMqtt.connected;
    return {
      status: stored ? (apart ? 'degraded' : 'ok') : 'failing',
      version: VERSION,
      brokerId,
      uptimeS: Math.round((Date.now() - started) / 1000),
      processes: { running: 1 + (servers?.running ?? 0), wanted: config.processes },
      checks: {
        store: { status: stored ? 'ok' : 'failing' },
        ...(externalMqtt && { externalMqtt: { status: apart ? 'failing' : 'ok' } }),
      },
      limits: shownLimits(config, limitsOfDomain),
    };
  }

  const rooms = { ...common, ...store, config, brokerId, version: VERSION, clock, resolveContext, logger, figures };
  const deviceRoom = await deviceSide(rooms);
  const { commands, lazy } = deviceRoom;
  const reads = lazyReads({ inner: everywhere, ...lazy, entities, clock, access });
  const provision = commandingEntities(entityOperations({ entities, history, clock, access }), commands);
  const provisionEverywhere = distributedEntities(provision, sources);

  const demandTenant = (tenant: TenantId) => requireTenant(entities, tenant);
  const instancesPerAttribute = config.temporalLimit;
  const temporal = historyOperations({ history, clock, access, demandTenant, instancesPerAttribute });
  const temporalProvision = distributedHistoryProvision(temporal, sources);
  const batch = distributedBatch(commandingBatch(batchOperations({ entities, clock, access }), commands), sources);
  const temporalEverywhere = distributedHistory({
    local: temporal,
    history,
    sources,
    access,
    instancesPerAttribute,
    mostInstances: config.sourceInstances,
    limits: readLimits,
  });
  const queries = queryOperations({ entities, access, joinLimits, linkedElsewhere: linkedElsewhere(everywhere) });
  const entityMaps = entityMapOperations({
    documents,
    clock,
    access,
    newId: () => `urn:ngsi-ld:EntityMap:${randomUUID()}` as Iri,
    limits: { ...ENTITY_MAP_LIMITS, maps: config.entityMaps, entities: config.entityMapEntities },
  });
  const subscriptionsApi = subscriptionOperations({
    documents,
    deliveries,
    subscriptions,
    resolveContext,
    clock,
    access,
    newId: () => `urn:ngsi-ld:Subscription:${randomUUID()}` as Iri,
    isLoop: sources.isLoop,
    onChange: distributed.changed,
    forget: distributed.forget,
    joinLevels: config.joinLevels,
  });
  const snapshots = snapshotOperations({
    documents,
    entities,
    history,
    queries,
    distributed: everywhere,
    temporal,
    wholeEvolutions: temporalEverywhere.wholeEvolutions,
    resolveContext,
    notifier,
    clock,
    access,
    timeoutMs: config.notificationTimeoutMs,
    newId: (kind) => `urn:ngsi-ld:${kind}:${randomUUID()}` as Iri,
    limits: { ...SNAPSHOT_LIMITS, snapshots: config.snapshots, entities: config.snapshotEntities },
    async forget(tenant) {
      const system = { tenant, principal: { kind: 'system' } } as const;
      for (const { id } of subscriptions.of(tenant)) await subscriptionsApi.deleteSubscription(system, id);
    },
    onError,
  });
  const resume = (endpoint: string) => {
    // Each kind of queue knows its own names.
    registry.resume(endpoint);
    distributed.resume(endpoint);
    delivery.resume(endpoint);
  };
  const sta = sensorThingsWindow({ ...store, clock, access, tasking: commands }, config, (reason, details) =>
    logger.warn(details, reason),
  );
  const app = await httpServer({
    logger,
    limits: { bodyLimitBytes: config.bodyLimitBytes, jsonDepth: config.jsonDepth, urlLimitChars: config.urlLimitChars },
    paging,
    resolveContext,
    hasSources: (tenant) => registry.hasSources(tenant) || lazy.targets.any(tenant as TenantId),
    onSnapshot: (request, snapshot) => snapshotCaller(snapshots, request, snapshot),
    observe: figures.observe,
    version: VERSION,
    routes: {
      '/ngsi-ld/v1': [
        entityQueryRoutes(queries, renderings, paging, reads, entityMaps),
        entityMapRoutes(entityMaps, queries, temporalEverywhere, everywhere),
        entityRoutes(provisionEverywhere),
        attributeRoutes(provisionEverywhere),
        batchRoutes(batch, { batchLimit: config.batchLimit }),
        discoveryRoutes(distributedDiscovery(discoveryOperations({ entities, access, demandTenant }), sources)),
        temporalProvisionRoutes(temporalProvision),
        temporalQueryRoutes(temporalEverywhere, paging, entityMaps),
        snapshotRoutes(snapshots),
        contextRoutes(contexts),
        identityRoutes({
          alias: sources.alias,
          uptimeS: () => Math.round((Date.now() - started) / 1000),
          now: clock.now,
          version: VERSION,
        }),
        registrationRoutes(registry.registrations),
        subscriptionRoutes(distributed.registrationSubscriptions, REGISTRATION_SUBSCRIPTIONS),
        subscriptionRoutes(subscriptionsApi, SUBSCRIPTIONS),
      ],
      '': [
        remoteNotificationRoutes(distributed.receive),
        copyRoutes(copyOperations(distributed.records, access)),
        ...deviceRoom.routes,
        deliveryRoutes(deliveryOperations({ stores: [deliveries, messages], resume, access })),
        transferRoutes(transferOperations({ ...store, access })),
        sta.routes,
        operatorRoutes({ health, indexes: store.indexes.list, ready: () => ready, metrics: figures.text }),
      ],
    },
  });

  await subscriptions.load();
  await registry.load();
  await snapshots.resume(snapshotQueries);
  await distributed.load();
  await deviceRoom.start();
  await delivery.start();
  periodic.start();
  const stopTrimming = trimByAge(feed, config.changeRetentionHours, onError);
  const sweeping = sweepEvery(1000, () => sweepExpired(entities, history, clock), onError);
  const sweepingSnapshots = sweepEvery(5000, () => snapshots.sweep(), onError);
  const sweepingRegistrations = sweepEvery(1000, registry.sweep, onError);

  return {
    app,
    store,
    notifications: delivery,
    sensorThings: sta,
    devices: deviceRoom,
    distributed,
    logger,
    brokerId,
    offered: {
      entities: byData(provisionEverywhere, resolveContext),
      batch,
      temporal: temporalProvision,
      documents,
      store: { heard: async (report) => store.heard(report) },
    },
    async listen() {
      await app.listen(listenOn(config.host, config.httpPort, config.processes > 1));
      if (config.mqtt) {
        mqtt = await mqttServer({
          logger,
          host: config.host,
          port: config.mqttPort,
          packetLimitBytes: config.mqttPacketLimitBytes,
          connectionLimit: config.mqttConnections,
          sharedPrefixes: ['notify/'],
          topicSpace: sta.topics,
          ...deviceRoom.mqtt,
        });
        deviceRoom.connect(mqtt);
      }
      ready = true;
      const { port } = app.server.address() as AddressInfo;
      if (mqtt) sta.connect({ ...mqtt, url: `mqtt://${config.host}:${mqtt.port}` }, `http://${config.host}:${port}`);
      if (config.staMqttUrl !== '') {
        externalMqtt = await staOnExternalBroker(config, brokerId, logger, sta, `http://${config.host}:${port}`);
      }
      const host = config.host.includes(':') ? `[${config.host}]` : config.host;
      listeningAt ??= isAnyAddress(config.host) ? undefined : `http://${host}:${port}`;
      await distributed.start();
      return { url: `http://${config.host}:${port}`, mqttUrl: mqtt && `mqtt://${config.host}:${mqtt.port}` };
    },
    async close() {
      ready = false;
      sta.stop();
      snapshots.stop();
      stopTrimming();
      sweeping();
      sweepingSnapshots();
      sweepingRegistrations();
      await app.close();
      await externalMqtt?.close();
      await mqtt?.close(config.drainTimeoutMs / 2);
      await deviceRoom.stop();
      periodic.stop();
      const ended = distributed.stop();
      await registry.stop();
      await ended;
      await delivery.stop();
      await notifier.close();
      await common.close();
      await store.close();
    },
  };
}
