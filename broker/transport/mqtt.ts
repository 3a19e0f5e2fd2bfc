import { createServer, type Server, type Socket } from 'node:net';
import { Aedes, type AedesPublishPacket, type Client, type PublishPacket, type Subscription } from 'aedes';
import type { Logger } from 'pino';
import type { DeviceOutcome, DeviceSession, MqttMessage } from '../domain/device.ts';
import { commandListeners, type Listening } from './mqtt/command-listeners.ts';
import { packetGate } from './mqtt/packet-gate.ts';
import { rateLimited } from './mqtt/rate-limit.ts';
import { queueWithSlowLane } from './mqtt/slow-lane.ts';

export interface MqttServerOptions {
  readonly logger: Logger;
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  /** Largest MQTT packet; a longer one closes its connection before it is read. */
  readonly packetLimitBytes: number;
  readonly connectionLimit: number;
  /** How long a subscriber may not read before its connection is closed; meanwhile it holds up the fan-out to others. */
  readonly drainTimeoutMs?: number;
  /** Most publications that wait for one commit. */
  readonly batchLimit?: number;
  /** false: whoever connects must show a token or API key. Default true: the topic may carry it. */
  readonly anonymous?: boolean;
  /** Topics below these prefixes ("notify/") are for applications: anybody may publish and subscribe there, and nothing is stored. */
  readonly sharedPrefixes?: readonly string[];
  /** Topics of an API: what is published there is its business, and so is who may listen. */
  readonly topicSpace?: TopicSpace;
  /** Who connects with these credentials; undefined: nobody. */
  authenticate(username: string | undefined, password: string): DeviceSession | undefined;
  /** Whether a session may listen to a topic filter: its own commands and errors. */
  maySubscribe(session: DeviceSession, filter: string): boolean;
  /** The device that listens for its commands with a filter, and the topic that it expects them on; undefined: it listens for something else. */
  listener?(session: DeviceSession, filter: string): Promise<Listening | undefined>;
  /** A device has begun to listen for its commands. */
  onListening?(identity: string): void;
  /**
   * Stores the messages, in this order, and says what became of each.
   * @throws if the store is unavailable; then none was stored, and the devices send them again
   */
  onMessages(batch: readonly MqttMessage[]): Promise<readonly DeviceOutcome[]>;
  /** Whether a message takes long before it can be stored: others do not wait for it. */
  readonly isSlow?: (message: MqttMessage) => boolean;
}

/** Topics that an API answers instead of devices' adapters. */
export interface TopicSpace {
  owns(topic: string): boolean;
  /** Resolves when the API is loaded; before that it can only be asked what it owns, and be published to. */
  open(): Promise<void>;
  maySubscribe(topic: string): boolean;
  /** One more, or one less, listens. */
  subscribed(topic: string): void;
  unsubscribed(topic: string): void;
  /** Resolves when what was published is stored or refused. @throws if the store is unavailable: the publication is not acknowledged */
  publish(topic: string, payload: string): Promise<void>;
}

/** What happened so far; totals only grow. */
export interface MqttFigures {
  readonly connections: number;
  readonly connections_total: number;
  readonly refused_connections_total: number;
  readonly messages_total: number;
  readonly accepted_total: number;
  readonly refused_total: number;
  /** Given back because the store was not available. */
  readonly unavailable_total: number;
  readonly oversize_total: number;
  readonly waiting: number;
}

export interface MqttServer {
  readonly port: number;
  figures(): MqttFigures;
  /** Refused messages by reason code. */
  refusals(): Readonly<Record<string, number>>;
  /** Ends every session that was opened with these credentials or spoke for this device. */
  disconnect(session: DeviceSession): void;
  /** A command to whoever listens for those of a device. Resolves with true when it is acknowledged, with false if nobody has it. */
  send(
    identity: string,
    payload: string | Uint8Array,
    options: { readonly qos: 0 | 1; readonly retain: boolean },
  ): Promise<boolean>;
  /** To whoever subscribed: errors, notifications. Resolves when it was handed on. */
  publish(topic: string, payload: string | Buffer, qos?: 0 | 1, retain?: boolean): Promise<void>;
  /** Takes no more, waits (at most so long) until what came is committed and acknowledged, and closes every connection. */
  close(timeoutMs?: number): Promise<void>;
}

/** What we remember of a connection. */
interface Peer {
  session: DeviceSession;
  /** Devices that it spoke for by keys or tokens in topics. */
  readonly spokeFor: Set<string>;
}

/** What aedes gives each device topic to; what it throws there is what closes the connection. */
type Done = (error?: Error | null) => void;

/**
 * The embedded MQTT broker: devices publish, and each publication is on disk before it is acknowledged. The write hangs on aedes'
 * `authorizePublish`, whose callback sends the acknowledgement, behind a queue that keeps order. MQTT 3.1 and 3.1.1; sessions of subscribers
 * live in memory.
 */
export async function mqttServer(options: MqttServerOptions): Promise<MqttServer> {
  const { logger, sharedPrefixes = [], topicSpace } = options;
  const peers = new WeakMap<Client, Peer>();
  const counts = { connections: 0, refusedConnections: 0, oversize: 0 };
  const refusals: Record<string, number> = Object.create(null);
  const refusalLog = rateLimited(10, 10_000);
  let closing = false;

  const queue = queueWithSlowLane<Client | null>({
    isSlow: options.isSlow,
    limit: options.batchLimit ?? 1000,
    store: options.onMessages,
    onOutcome: (client, outcome, topic) => {
      if (outcome.identity !== undefined && client !== null) peers.get(client)?.spokeFor.add(outcome.identity);
      if (!outcome.accepted) refused(outcome, topic);
      else if (outcome.reply !== undefined) publish(outcome.reply.topic, outcome.reply.payload, 1).catch(() => {});
    },
    onUnavailable: (error, count) => logger.error({ err: error, messages: count }, 'messages of devices could not be stored'),
  });

  const aedes = await Aedes.createBroker({
    connectTimeout: 10_000,
    drainTimeout: options.drainTimeoutMs ?? 3000,
    maxClientsIdLength: 256,
    maxTopicLevels: 16,
    queueLimit: 100,
    authenticate(client, username, password, done) {
      const session = sessionOf(username, password);
      if (session === undefined) {
        counts.refusedConnections++;
        // Not even the user name: some devices show their token there.
        const from = (client.conn as Socket).remoteAddress;
        if (refusalLog.allows()) logger.warn({ from }, 'MQTT connection refused: credentials do not hold');
        done(Object.assign(new Error('bad user name or password'), { returnCode: 4 }) as never, false);
        return;
      }
      counts.connections++;
      // Client ids of different devices must not meet: a second connection with an id ends the first.
      if (session.kind === 'device') (client as { id: string }).id = `${session.identity}\n${client.id}`;
      peers.set(client, { session, spokeFor: new Set() });
      done(null, true);
    },
    authorizePublish(client, packet, done: Done) {
      if (packet.topic.startsWith('$')) done(new Error('topics that begin with $ are reserved'));
      else if (isShared(packet.topic)) done(null);
      else if (topicSpace?.owns(packet.topic)) hand(topicSpace, packet, done);
      else take(client, packet, done);
    },
    authorizeSubscribe(client, subscription, done) {
      const answer = () => done(null, allowed(client, subscription) ? subscription : null);
      if (topicSpace?.owns(subscription.topic)) topicSpace.open().then(answer, (error: Error) => done(error, null));
      else answer();
    },
  });
  aedes.on('clientError', (_client: Client, error: Error) => logger.debug({ err: error }, 'MQTT connection ended'));
  aedes.on('connectionError', (_client: Client, error: Error) => logger.debug({ err: error }, 'MQTT connection ended'));
  (aedes as unknown as NodeJS.EventEmitter).on('error', (error: Error) => logger.error({ err: error }, 'MQTT broker'));

  function sessionOf(username: string | undefined, password: Buffer | undefined): DeviceSession | undefined {
    const secret = password === undefined || password.length === 0 ? username : password.toString('utf8');
    if (secret === undefined || secret === '') return options.anonymous === false ? undefined : { kind: 'anonymous' };
    return options.authenticate(username, secret);
  }

  function take(client: Client | null, packet: PublishPacket, done: Done): void {
    // Nobody but the broker reads these topics, so a retained copy would only fill the memory.
    packet.retain = false;
    // What comes while we close stays unacknowledged, so its device sends it again to the next process.
    if (closing) return;
    const session = (client === null ? undefined : peers.get(client)?.session) ?? ANONYMOUS;
    const payload = typeof packet.payload === 'string' ? Buffer.from(packet.payload) : packet.payload;
    queue.add({ topic: packet.topic, payload, session }, client, done);
    // Nobody may listen to what devices send, so it need not be matched against subscriptions; and the topic may hold a token.
    packet.topic = TAKEN;
  }

  /** What is published to an API is not what its listeners get: they get what it makes of it. */
  function hand(space: TopicSpace, packet: PublishPacket, done: Done): void {
    const { topic, payload } = packet;
    packet.retain = false;
    if (closing) return;
    packet.topic = TAKEN;
    space.publish(topic, payload.toString()).then(
      () => done(null),
      (error: unknown) => {
        logger.error({ err: error }, 'a publication could not be stored');
        done(new Error('the store is not available'));
      },
    );
  }

  function allowed(client: Client, { topic }: Subscription): boolean {
    const session = peers.get(client)?.session;
    // aedes has no shared subscriptions: it would accept them and deliver nothing.
    if (session === undefined || topic.startsWith('$')) return false;
    if (isShared(topic)) return true;
    if (topicSpace?.owns(topic)) return topicSpace.maySubscribe(topic);
    return options.maySubscribe(session, topic);
  }

  function isShared(topic: string): boolean {
    return sharedPrefixes.some((prefix) => topic.startsWith(prefix));
  }

  function refused(outcome: DeviceOutcome & { accepted: false }, topic: string): void {
    refusals[outcome.code] = (refusals[outcome.code] ?? 0) + 1;
    if (refusalLog.allows()) {
      logger.warn(
        {
          code: outcome.code,
          reason: outcome.reason,
          device: outcome.identity,
          topic: withoutSecrets(topic),
          suppressed: refusalLog.suppressed(),
        },
        'message of a device refused',
      );
    }
    if (outcome.errorTopic === undefined) return;
    const payload = JSON.stringify({ code: outcome.code, message: outcome.reason, topic });
    publish(outcome.errorTopic, payload).catch(() => {});
  }

  function publish(topic: string, payload: string | Buffer, qos: 0 | 1 = 0, retain = false): Promise<void> {
    const packet = { cmd: 'publish', topic, payload, qos, retain, dup: false } as AedesPublishPacket;
    return new Promise((resolve, reject) => aedes.publish(packet, (error) => (error ? reject(error) : resolve())));
  }

  if (topicSpace !== undefined) listeners(aedes, topicSpace);
  const commands = commandListeners(aedes, {
    sessionOf: (client) => peers.get(client)?.session,
    listener: async (session, filter) => options.listener?.(session, filter),
    onListening: (identity) => options.onListening?.(identity),
    onError: (error) => logger.error({ err: error }, 'commands to devices'),
  });
  const sockets = new Set<Socket>();
  const server = createServer({ noDelay: true, keepAlive: true, keepAliveInitialDelay: 60_000 }, (socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    packetGate(socket, options.packetLimitBytes, () => {
      counts.oversize++;
      if (refusalLog.allows())
        logger.warn({ limitBytes: options.packetLimitBytes }, 'MQTT connection closed: packet too large');
    });
    aedes.handle(socket);
  });
  server.maxConnections = options.connectionLimit;
  await listen(server, options.port, options.host);
  const address = server.address();

  return {
    port: typeof address === 'object' && address !== null ? address.port : options.port,
    figures: () => ({
      connections: sockets.size,
      connections_total: counts.connections,
      refused_connections_total: counts.refusedConnections,
      oversize_total: counts.oversize,
      ...queue.figures(),
    }),
    refusals: () => ({ ...refusals }),
    disconnect(session) {
      for (const client of Object.values(clientsOf(aedes))) {
        const peer = peers.get(client);
        if (peer !== undefined && concerns(peer, session)) client.close();
      }
    },
    send: commands.send,
    publish,
    async close(timeoutMs = 5000) {
      const until = Date.now() + timeoutMs;
      const stopped = new Promise((resolve) => server.close(resolve));
      closing = true;
      await queue.settled(timeoutMs);
      // Acknowledgements are written, but may still be on their way into the sockets.
      await new Promise((resolve) => setImmediate(resolve));
      while ([...sockets].some((socket) => socket.writableLength > 0) && Date.now() < until) {
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
      for (const socket of sockets) socket.end();
      await new Promise<void>((resolve) => aedes.close(() => resolve()));
      for (const socket of sockets) socket.destroy();
      await stopped;
    },
  };
}

/** The topic that a stored publication goes on with inside the MQTT library. Nobody can subscribe to it. */
const TAKEN = '$taken';
const ANONYMOUS: DeviceSession = { kind: 'anonymous' };

function concerns(peer: Peer, session: DeviceSession): boolean {
  const { session: own, spokeFor } = peer;
  if (session.kind === 'group') return own.kind === 'group' && own.keyHash === session.keyHash;
  if (session.kind !== 'device') return false;
  // A network server speaks for many devices: the end of one is not the end of its session.
  if (own.kind === 'group') return false;
  return own.kind === 'device' ? own.identity === session.identity : spokeFor.has(session.identity);
}

/** Tells a topic space who listens to it, as long as they are connected. */
function listeners(aedes: Aedes, space: TopicSpace): void {
  const topics = new WeakMap<Client, Set<string>>();
  aedes.on('subscribe', (subscriptions: readonly Subscription[], client: Client) => {
    const own = topics.get(client) ?? new Set<string>();
    topics.set(client, own);
    for (const { topic, qos } of subscriptions) {
      if (qos > 2 || own.has(topic) || !space.owns(topic) || !space.maySubscribe(topic)) continue;
      own.add(topic);
      space.subscribed(topic);
    }
  });
  aedes.on('unsubscribe', (unsubscribed: readonly string[], client: Client) => {
    for (const topic of unsubscribed) if (topics.get(client)?.delete(topic)) space.unsubscribed(topic);
  });
  aedes.on('clientDisconnect', (client: Client) => {
    for (const topic of topics.get(client) ?? []) space.unsubscribed(topic);
    topics.delete(client);
  });
}

/** The connected clients; aedes documents the table, its types leave it out. */
function clientsOf(aedes: Aedes): Readonly<Record<string, Client>> {
  return (aedes as unknown as { clients: Record<string, Client> }).clients;
}

/** The topic with every level that may be a key or token masked: the shape is what helps to find a mistake. */
function withoutSecrets(topic: string): string {
  const words = new Set([
    '',
    'json',
    'ul',
    'attrs',
    'device',
    'sck',
    'readings',
    'raw',
    'info',
    'hello',
    'inventory',
    'v3',
    'devices',
    'up',
  ]);
  return topic
    .slice(0, 200)
    .split('/')
    .map((level) => (words.has(level) ? level : '…'))
    .join('/');
}

function listen(server: Server, port: number, host: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => {
      server.removeListener('error', reject);
      resolve();
    });
  });
}
