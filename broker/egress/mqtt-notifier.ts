import type { IClientOptions, MqttClient } from 'mqtt';
import type { DeliveryResult, Notifier, OutgoingNotification } from '../ports/notifier.ts';
import type { EgressGuard } from './guard.ts';

/** How long a connection without notifications stays open. */
const IDLE_MS = 60_000;

/** An mqtt: or mqtts: endpoint of 7.2, taken apart. */
export interface MqttTarget {
  /** Without credentials, so that it may be logged. */
  readonly url: string;
  readonly topic: string;
  readonly username?: string;
  readonly password?: string;
}

/**
 * Reads `mqtt[s]://[username][:password]@host[:port]/topic[/subtopic]*` (7.2).
 * @returns undefined if it is not of that form, or the topic has a wildcard
 */
export function parseMqttUri(uri: string): MqttTarget | undefined {
  if (!URL.canParse(uri)) return undefined;
  const parsed = new URL(uri);
  if ((parsed.protocol !== 'mqtt:' && parsed.protocol !== 'mqtts:') || parsed.hostname === '') return undefined;
  const topic = decodeURIComponent(parsed.pathname.slice(1));
  if (topic === '' || /[+#\0]/.test(topic)) return undefined;
  const port = parsed.port || (parsed.protocol === 'mqtts:' ? '8883' : '1883');
  return {
    url: `${parsed.protocol}//${parsed.hostname}:${port}`,
    topic,
    ...(parsed.username ? { username: decodeURIComponent(parsed.username) } : {}),
    ...(parsed.password ? { password: decodeURIComponent(parsed.password) } : {}),
  };
}

/** Notifications over MQTT 3.1.1 and 5 (7.2). One connection for each server, version and user, opened when it is needed. */
export function mqttNotifier(guard: EgressGuard): Notifier {
  const connections = new Map<string, Connection>();

  async function connection(target: MqttTarget, protocolVersion: 4 | 5, timeoutMs: number): Promise<MqttClient> {
    const key = JSON.stringify([target.url, target.username, target.password, protocolVersion]);
    const open = connections.get(key);
    if (open) {
      open.idle.refresh();
      return open.client;
    }
    await guard.check(new URL(target.url));
    const options: IClientOptions = {
      protocolVersion,
      connectTimeout: timeoutMs,
      reconnectPeriod: 0,
      clean: true,
      ...(target.username !== undefined ? { username: target.username } : {}),
      ...(target.password !== undefined ? { password: target.password } : {}),
    };
    // Concurrent deliveries share the attempt; if it fails it is forgotten, and the next delivery tries anew.
    const client = import('mqtt').then(({ connectAsync }) => connectAsync(target.url, options, false));
    const idle = setTimeout(() => forget(key, true), IDLE_MS).unref();
    connections.set(key, { client, idle });
    try {
      const connected = await client;
      connected.on('close', () => forget(key, false));
      // Errors arrive as rejected publishes; without a listener they would end the process.
      connected.on('error', () => forget(key, true));
      return connected;
    } catch (error) {
      forget(key, false);
      throw error;
    }
  }

  function forget(key: string, end: boolean): void {
    const found = connections.get(key);
    if (!found) return;
    connections.delete(key);
    clearTimeout(found.idle);
    if (end) found.client.then((client) => client.end(true)).catch(() => {});
  }

  return {
    // Loading the library takes as long as some hundred notifications. If it cannot be loaded, the delivery says so.
    prepare: () => void import('mqtt').catch(() => {}),
    async deliver(notification: OutgoingNotification): Promise<DeliveryResult> {
      const target = parseMqttUri(notification.uri);
      if (!target) return { delivered: false, reason: 'the endpoint is not an MQTT URI of the form mqtt://host/topic' };
      const info = notification.notifierInfo;
      const protocolVersion = (info['MQTT-Version'] ?? 'mqtt5.0') === 'mqtt3.1.1' ? 4 : 5;
      const qos = Number(info['MQTT-QoS'] ?? '0') as 0 | 1 | 2;
      const message = `{"metadata":${JSON.stringify(notification.headers)},"body":${notification.body}}`;
      try {
        const client = await connection(target, protocolVersion, notification.timeoutMs);
        await withTimeout(client.publishAsync(target.topic, message, { qos }), notification.timeoutMs);
        return { delivered: true };
      } catch (error) {
        return { delivered: false, reason: `${target.url}: ${(error as Error).message}` };
      }
    },
    async close() {
      for (const [key, found] of [...connections]) {
        connections.delete(key);
        clearTimeout(found.idle);
        await found.client.then((client) => client.endAsync()).catch(() => {});
      }
    },
  };
}

interface Connection {
  readonly client: Promise<MqttClient>;
  readonly idle: NodeJS.Timeout;
}

function withTimeout<T>(work: Promise<T>, ms: number): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no acknowledgement within ${ms} ms`)), ms);
    work.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}
