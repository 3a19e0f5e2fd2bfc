import type { MqttClient } from 'mqtt';
import type { Log } from '../adapter.ts';

/** A connection to somebody else's MQTT server that is opened again whenever it is lost. */
export interface MqttLink {
  /** QoS 1. What cannot be sent because the server is away is dropped after the newest of its topic: a status is of no use when it is old. */
  publish(topic: string, payload: string | Buffer): void;
  /** Resolves when the server has it. @throws if it is not reached */
  send(
    topic: string,
    payload: string | Buffer,
    options?: { readonly qos?: 0 | 1 | 2; readonly retain?: boolean },
  ): Promise<void>;
  connected(): boolean;
  close(): Promise<void>;
}

export interface AboutPacket {
  readonly retained: boolean;
  /** The server has sent it before, and does not know whether it was taken. */
  readonly repeated: boolean;
  /** With QoS 1: the same for all deliveries of one publication, and of no other for a long time. */
  readonly messageId?: number;
}

export interface MqttLinkOptions {
  readonly url: string;
  readonly username?: string;
  readonly password?: string;
  readonly clientId?: string;
  /** Topic filters, also `$share/<group>/<filter>`; QoS 1, or `qos`. */
  readonly subscriptions: readonly string[];
  readonly qos?: 0 | 1;
  /** A publication is acknowledged when this resolves; if it rejects, the server sends it again to the next connection. */
  readonly onMessage: (topic: string, payload: Buffer, about: AboutPacket) => Promise<void>;
  readonly mayContact: (target: URL) => Promise<void>;
  readonly log: Log;
}

const RECONNECT_MS = 1000;

export function mqttLink(options: MqttLinkOptions): MqttLink {
  const { url, username, password, subscriptions, onMessage, log } = options;
  let client: MqttClient | undefined;
  let closed = false;
  const newest = new Map<string, string | Buffer>();
  const opening = open();

  async function open(): Promise<void> {
    const { default: mqtt } = await import('mqtt');
    for (;;) {
      try {
        await options.mayContact(new URL(url));
        break;
      } catch (error) {
        log('error', `the MQTT server may not be contacted: ${(error as Error).message}`);
        if (closed) return;
        await new Promise((wake) => setTimeout(wake, 10_000).unref());
        if (closed) return;
      }
    }
    if (closed) return;
    const made = mqtt.connect(url, {
      ...(username !== undefined && { username }),
      ...(password !== undefined && { password }),
      // A name of its own and a session that stays: what is published while we are away waits at the server.
      ...(options.clientId !== undefined && { clientId: options.clientId, clean: false }),
      reconnectPeriod: RECONNECT_MS,
      connectTimeout: 10_000,
      resubscribe: false,
      queueQoSZero: false,
    });
    client = made;
    made.on('error', (error) => log('warn', `MQTT: ${error.message}`));
    made.on('connect', () => {
      for (const topic of subscriptions) {
        made.subscribe(topic, { qos: options.qos ?? 1 }, (error, granted) => {
          const refused = granted?.some(({ qos }) => qos === 128);
          if (error || refused) log('error', `the MQTT server does not let us subscribe to ${topic}`);
        });
      }
      for (const [topic, payload] of newest) made.publish(topic, payload, { qos: 1 });
      newest.clear();
    });
    // The library acknowledges when this calls back, so what it was called for is safe by then.
    made.handleMessage = (packet, done) => {
      const payload = typeof packet.payload === 'string' ? Buffer.from(packet.payload) : packet.payload;
      const about = {
        retained: packet.retain === true,
        repeated: packet.dup === true,
        ...(packet.messageId !== undefined && { messageId: packet.messageId }),
      };
      onMessage(packet.topic, payload, about).then(
        () => done(),
        (error: Error) => {
          log('warn', `a message was not taken, and the connection is opened again to get it once more: ${error.message}`);
          made.stream.destroy();
        },
      );
    };
  }

  return {
    publish(topic, payload) {
      if (client?.connected) client.publish(topic, payload, { qos: 1 });
      else newest.set(topic, payload);
    },
    async send(topic, payload, { qos = 1, retain = false } = {}) {
      if (!client?.connected) throw new Error('the MQTT server is not connected');
      await client.publishAsync(topic, payload, { qos, retain });
    },
    connected: () => client?.connected ?? false,
    async close() {
      closed = true;
      await Promise.race([opening, new Promise((wake) => setTimeout(wake, 100).unref())]);
      await client?.endAsync(true).catch(() => {});
    },
  };
}
