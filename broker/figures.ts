import type { metrics } from './api/admin/metrics.ts';
import type { Config } from './config.ts';
import type { Limits } from './domain/limits.ts';
import type { NotifierFigures } from './egress/http-notifier.ts';
import type { DistributedSubscriptions } from './operations/distributed-subscriptions.ts';
import type { Notifications } from './operations/notify/notifications.ts';
import type { Servers } from './processes/supervisor.ts';
import type { Store } from './stores/store.ts';
import type { MqttServer } from './transport/mqtt.ts';

/** What /metrics tells about the processes beside the one that is asked. */
export function addProcessFigures(figures: ReturnType<typeof metrics>, servers: Servers): void {
  figures.add(
    'servers',
    async () => {
      const all = await servers.figures();
      return {
        running: servers.running,
        ended_total: servers.restarts,
        resident_bytes: all.reduce((sum, { residentBytes }) => sum + residentBytes, 0),
        cpu_seconds: all.reduce((sum, { cpuSeconds }) => sum + cpuSeconds, 0),
      };
    },
    {
      running: 'Server processes that listen, beside the primary',
      ended_total: 'Server processes that ended by themselves and were started again',
      resident_bytes: 'Memory of all server processes; pages of the database that they share count in each',
      cpu_seconds: 'Processor time of the server processes that run now',
    },
  );
}

/** What /metrics tells about the parts of a broker. */
export function addFigures(
  figures: ReturnType<typeof metrics>,
  {
    store,
    delivery,
    distributed,
    notified,
    mqtt,
  }: {
    readonly store: Store;
    readonly delivery: Notifications;
    readonly distributed: DistributedSubscriptions;
    /** What became of all notifications. */
    readonly notified: () => NotifierFigures;
    readonly mqtt: () => ReturnType<MqttServer['figures']> | undefined;
  },
): void {
  const { feed, deliveries, messages } = store;
  figures.add('store', async () => ({ waiting_writes: store.waitingWrites(), changes_total: await feed.head() }), {
    waiting_writes: 'Writes that wait for their transaction',
    changes_total: 'Changes committed since the data folder was made',
  });
  figures.add(
    'notifications',
    async () => {
      const { waiting, lag } = await delivery.figures();
      const { delivered, failed } = notified();
      const queues = [...(await deliveries.endpoints()), ...(await messages.endpoints())];
      return {
        delivered_total: delivered,
        failed_total: failed,
        waiting,
        lag,
        parked: queues.reduce((sum, { waiting: count }) => sum + count, 0),
        dead: (await deliveries.dead(10_000)).length + (await messages.dead(10_000)).length,
      };
    },
    {
      delivered_total: 'Notifications that their endpoint accepted',
      failed_total: 'Attempts that failed',
      waiting: 'Notifications on their way, in memory',
      lag: 'Committed changes that subscriptions have not looked at yet',
      parked: 'Deliveries that wait on disk for their endpoint',
      dead: 'Deliveries given up (dead-letter list)',
    },
  );
  figures.add('subscription_copies', () => ({ outstanding: distributed.outstanding() }), {
    outstanding: 'Copies of subscriptions at context sources that have still to be made, changed or deleted',
  });
  figures.add('mqtt', () => ({ ...(mqtt() ?? {}) }), {
    connections: 'Open MQTT connections',
    connections_total: 'MQTT connections accepted',
    refused_connections_total: 'MQTT connections refused: credentials, limits',
    messages_total: 'Publications of devices',
    accepted_total: 'Publications that were stored',
    refused_total: 'Publications that were acknowledged and not stored: unknown sender, broken payload',
    unavailable_total: 'Publications given back because the store was not available',
    oversize_total: 'Packets above the limit, which closed their connection',
    waiting: 'Publications that wait for their commit',
  });
}

/** What /health tells about the bounds of everything that a client or peer controls. */
export function shownLimits(config: Config, limitsOfDomain: Limits): Readonly<Record<string, number>> {
  return {
    bodyBytes: config.bodyLimitBytes,
    jsonDepth: config.jsonDepth,
    batchEntities: config.batchLimit,
    pageEntities: config.pageLimit,
    joinLevels: config.joinLevels,
    joinedEntities: config.joinedEntities,
    urlChars: config.urlLimitChars,
    ...limitsOfDomain,
    contextBytes: config.contextLimitBytes,
    contextMs: config.contextTimeoutMs,
    notificationMs: config.notificationTimeoutMs,
    mqttConnections: config.mqttConnections,
    entityMapEntities: config.entityMapEntities,
    entityMaps: config.entityMaps,
    snapshots: config.snapshots,
    snapshotEntities: config.snapshotEntities,
    temporalInstances: config.temporalLimit,
    waitingWrites: config.waitingWrites,
    waitingNotifications: config.waitingNotifications,
    sourceReplyBytes: config.sourceReplyLimitBytes,
    sourceMs: config.sourceTimeoutMs,
    sourceEntities: config.sourceEntities,
    sourceInstances: config.sourceInstances,
    sourceFanOut: config.sourceFanOut,
    sourceCacheBytes: config.sourceCacheBytes,
    mqttPacketBytes: config.mqttPacketLimitBytes,
  };
}
