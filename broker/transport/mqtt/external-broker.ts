import type { IClientOptions, IPublishPacket, MqttClient } from 'mqtt';
import type { Logger } from 'pino';

export interface ExternalBrokerOptions {
  readonly logger: Logger;
  /** mqtt[s]://[user[:password]@]host[:port] */
  readonly url: string;
  /** Names this client to the broker: what is published while we are away waits under it. */
  readonly clientId: string;
  /** Topic filters that we listen to. */
  readonly filters: readonly string[];
  /** Resolves when it is stored or refused; then it is acknowledged. @throws if the store is unavailable: it is tried again */
  onMessage(topic: string, payload: string): Promise<void>;
  /** Somebody subscribed to this filter: told only by brokers that log it under `$SYS/broker/log`, as Mosquitto can. */
  onSubscription(filter: string): void;
}

export interface ExternalBroker {
  /** Resolves when it is handed on, or lost because there is no connection. */
  publish(topic: string, payload: string): Promise<void>;
  /** There is a connection, and what is published there for us comes. */
  readonly connected: boolean;
  close(): Promise<void>;
}

/** In the user properties of what we publish, so that no Mizar takes it for a request to create something. */
const MARK = 'mizar';
/** How long the broker keeps what came for us while we are away. */
const SESSION_S = 7 * 24 * 3600;
/** Publications on their way at once. */
const OUTSTANDING = 500;
const SUBSCRIBED = '$SYS/broker/log/M/subscribe';
const RETRY_MS = 1000;

/**
 * A connection to an MQTT 5 broker of somebody else's, opened again for as long as it takes. What is published there for us is acknowledged when it is
 * stored, one after the other.
 */
export async function externalBroker(options: ExternalBrokerOptions): Promise<ExternalBroker> {
  const { logger, url, filters } = options;
  // Only who has such a broker pays for the library.
  const { connect } = await import('mqtt');
  const shown = url.replace(/\/\/[^@/]*@/, '//');
  const settings: IClientOptions = {
    protocolVersion: 5,
    clientId: options.clientId,
    clean: false,
    properties: { sessionExpiryInterval: SESSION_S },
    reconnectPeriod: RETRY_MS,
    queueQoSZero: false,
    resubscribe: false,
  };
  const client: MqttClient = connect(url, settings);
  let closing = false;
  let outstanding = 0;
  const waiting: (() => void)[] = [];
  let subscribed = false;
  let complained = false;
  client.on('connect', () => {
    complained = false;
    client
      // No Local: what we publish is not for us. Nothing retained: that was created when it came.
      .subscribeAsync([...filters], { qos: 1, nl: true, rh: 2 })
      .then(() => client.subscribeAsync(SUBSCRIBED, { qos: 0 }))
      .then(() => {
        subscribed = true;
        logger.info({ url: shown }, 'connected to the external MQTT broker');
      })
      .catch((error: unknown) => {
        if (!closing) logger.error({ err: error, url: shown }, 'the external MQTT broker refused a subscription');
      });
  });
  client.on('error', (error) => {
    // It is tried every second; once is enough to say it.
    if (!complained) logger.warn({ err: error, url: shown }, 'external MQTT broker');
    complained = true;
  });
  client.on('close', () => {
    if (subscribed && !closing) logger.warn({ url: shown }, 'the connection to the external MQTT broker is lost');
    subscribed = false;
  });

  async function take({ topic, payload, retain, properties }: IPublishPacket): Promise<void> {
    const text = payload.toString();
    if (topic === SUBSCRIBED) {
      // "1795282989: client id 1 v1.1/Observations"
      const filter = /^\d+: .*? [012] (.+)$/s.exec(text)?.[1];
      if (filter !== undefined) options.onSubscription(filter);
      return;
    }
    if (retain || properties?.userProperties?.[MARK] !== undefined) return;
    for (;;) {
      try {
        return await options.onMessage(topic, text);
      } catch (error) {
        // Not acknowledged, and what comes behind it waits: the broker keeps both.
        if (closing) throw error;
        logger.error({ err: error }, 'a publication could not be stored, and is tried again');
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
      }
    }
  }
  client.handleMessage = (packet, done) => {
    take(packet).then(
      () => done(),
      (error: Error) => done(error),
    );
  };

  return {
    get connected() {
      return subscribed;
    },
    async publish(topic, payload) {
      if (!client.connected) return;
      outstanding++;
      client
        .publishAsync(topic, payload, { qos: 1, properties: { userProperties: { [MARK]: 'told' } } })
        .catch(() => undefined)
        .finally(() => {
          outstanding--;
          for (const wake of waiting.splice(0)) wake();
        });
      while (outstanding >= OUTSTANDING) await new Promise<void>((resolve) => waiting.push(resolve));
    },
    async close() {
      closing = true;
      await client.endAsync(!client.connected).catch(() => undefined);
    },
  };
}
