import type { IClientOptions, IPublishPacket, MqttClient } from 'mqtt';
import type { Logger } from 'pino';
import type { DeviceOutcome, MqttMessage } from '../../domain/device.ts';
import { rateLimited } from './rate-limit.ts';
import { queueWithSlowLane } from './slow-lane.ts';

export interface OutsideMqttOptions {
  readonly logger: Logger;
  /** mqtt: or mqtts: of a broker that speaks MQTT 5. */
  readonly url: string;
  /** Instead of those in the URL. */
  readonly credentials?: { readonly username: string; readonly password: string };
  /** Each has one message under way until it is on disk; together they are what one commit can hold. */
  readonly connections: number;
  /** Names our sessions there, which keep messages while we are away: the same after every start. */
  readonly clientId: string;
  onMessages(batch: readonly MqttMessage[]): Promise<readonly DeviceOutcome[]>;
  /** Whether a message takes long before it can be stored: others do not wait for it. */
  readonly isSlow?: (message: MqttMessage) => boolean;
  /** A device has been heard. */
  onHeard(identity: string): void;
}

/** An MQTT broker outside, to which devices connect instead of to us. */
export interface OutsideMqtt {
  readonly connected: boolean;
  /** @returns false if nobody listens there, or it cannot be told */
  publish(
    topic: string,
    payload: string | Uint8Array,
    options: { readonly qos: 0 | 1; readonly retain: boolean },
  ): Promise<boolean>;
  figures(): Readonly<Record<string, number>>;
  refusals(): Readonly<Record<string, number>>;
  close(timeoutMs?: number): Promise<void>;
}

/** What devices publish, each once: the subscriptions are shared by all our connections, and by all brokers of the same name. */
const FILTERS = [
  ...['', '/'].flatMap((slash) =>
    ['', 'json/', 'ul/'].flatMap((format) =>
      ['attrs', 'attrs/+', 'cmdexe', 'configuration/commands'].map((kind) => `${slash}${format}+/+/${kind}`),
    ),
  ),
  'device/sck/+/#',
  'device/inventory',
];
const SHARE = '$share/mizar/';
const ANONYMOUS = { kind: 'anonymous' } as const;
/** PUBACK of MQTT 5: nobody is subscribed. */
const NO_SUBSCRIBERS = 16;

/**
 * Takes in what devices publish to a broker outside, by shared subscriptions with QoS 1: a message is acknowledged there when it is on disk here. Sessions
 * outlive connections, so that what comes while we are away waits there. Who may publish what is that broker's business.
 */
export async function outsideMqtt(options: OutsideMqttOptions): Promise<OutsideMqtt> {
  const { logger } = options;
  const { connect } = await import('mqtt');
  const refusals: Record<string, number> = Object.create(null);
  const errorLog = rateLimited(10, 10_000);
  let closing = false;

  const queue = queueWithSlowLane<MqttClient>({
    isSlow: options.isSlow,
    limit: 1000,
    store: options.onMessages,
    onOutcome(client, outcome) {
      if (outcome.accepted) {
        if (outcome.identity !== '') options.onHeard(outcome.identity);
        if (outcome.reply !== undefined) client.publish(outcome.reply.topic, outcome.reply.payload, { qos: 1 });
        return;
      }
      refusals[outcome.code] = (refusals[outcome.code] ?? 0) + 1;
      if (outcome.errorTopic === undefined) return;
      client.publish(outcome.errorTopic, JSON.stringify({ code: outcome.code, message: outcome.reason }), { qos: 0 });
    },
    onUnavailable: (error, count) => logger.error({ err: error, messages: count }, 'messages of devices could not be stored'),
  });

  const clients = Array.from({ length: options.connections }, (_, at) => {
    const settings: IClientOptions = {
      protocolVersion: 5,
      clientId: `${options.clientId}-${at}`,
      clean: false,
      properties: { sessionExpiryInterval: 7 * 86_400, receiveMaximum: 1 },
      reconnectPeriod: 1000,
      resubscribe: false,
      ...options.credentials,
    };
    const client = connect(withoutCredentials(options), settings);
    client.on('error', (error) => {
      if (errorLog.allows()) logger.warn({ err: error }, 'the MQTT broker outside');
    });
    client.on('connect', () => {
      client.subscribe(
        FILTERS.map((filter) => `${SHARE}${filter}`),
        { qos: 1 },
        (error, granted) => {
          const denied = granted?.filter(({ qos }) => qos > 2) ?? [];
          if (error || denied.length > 0)
            logger.error({ err: error, denied: denied.length }, 'the MQTT broker outside grants no subscription');
        },
      );
    });
    // Called before the acknowledgement is sent, which waits for the callback.
    client.handleMessage = (packet: IPublishPacket, acknowledge) => {
      if (closing) return;
      const payload = typeof packet.payload === 'string' ? Buffer.from(packet.payload) : packet.payload;
      queue.add({ topic: packet.topic, payload, session: ANONYMOUS }, client, (error) => {
        if (!error) acknowledge();
        // Unacknowledged it comes again with the next connection.
        else setTimeout(() => client.reconnect(), 1000).unref();
      });
    };
    return client;
  });
  const [first] = clients as [MqttClient, ...MqttClient[]];
  /** Reasons in acknowledgements of what we publish, which the callbacks of publications are not given. */
  const reasons = new Map<number, number>();
  first.on('packetreceive', (packet) => {
    if (packet.cmd === 'puback' && packet.messageId !== undefined) reasons.set(packet.messageId, packet.reasonCode ?? 0);
  });
  first.on('close', () => reasons.clear());

  return {
    get connected() {
      return clients.some(({ connected }) => connected);
    },
    async publish(topic, payload, { qos, retain }) {
      if (!first.connected) return false;
      const body = typeof payload === 'string' ? payload : Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength);
      return new Promise((resolve, reject) => {
        first.publish(topic, body, { qos, retain }, (error, packet) => {
          const reason = reasons.get(packet?.messageId ?? -1);
          reasons.delete(packet?.messageId ?? -1);
          if (error) reject(error);
          else resolve(reason !== NO_SUBSCRIBERS);
        });
      });
    },
    figures: () => ({ connections: clients.filter(({ connected }) => connected).length, ...queue.figures() }),
    refusals: () => ({ ...refusals }),
    async close(timeoutMs = 5000) {
      await queue.settled(timeoutMs);
      closing = true;
      await Promise.all(clients.map((client) => client.endAsync(true).catch(() => {})));
    },
  };
}

/** Credentials in a URL would win over those that were given. */
function withoutCredentials({ url, credentials }: OutsideMqttOptions): string {
  if (credentials === undefined) return url;
  const bare = new URL(url);
  bare.username = '';
  bare.password = '';
  return bare.href;
}
