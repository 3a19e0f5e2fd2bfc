import type { Agent } from 'undici';
import type { DeliveryResult, Notifier, OutgoingNotification } from '../ports/notifier.ts';
import type { EgressGuard } from './guard.ts';

export interface HttpNotifierOptions {
  readonly guard: EgressGuard;
  /** Connections kept open to one endpoint; no more requests are under way to it at once. */
  readonly connections: number;
}

/**
 * Notifications over HTTP and HTTPS (6.3.8). Any 2xx counts as delivered: 5.8.6 names only 200, but an endpoint that answers 201, 202 or 204
 * has the notification, and sending it again would be a duplicate. Redirects are not followed: they could lead past the egress guard.
 */
export function httpNotifier({ guard, connections }: HttpNotifierOptions): Notifier {
  // Loaded with the first notification: a broker without subscribers starts faster.
  let loading: Promise<Agent> | undefined;
  const loaded = () => {
    loading ??= import('undici').then(
      ({ Agent }) =>
        new Agent({
          connections,
          pipelining: 1,
          keepAliveTimeout: 30_000,
          maxResponseSize: 1024 * 1024,
          connect: { lookup: guard.lookup },
        }),
    );
    return loading;
  };
  return {
    async deliver(notification: OutgoingNotification): Promise<DeliveryResult> {
      try {
        const url = new URL(notification.uri);
        await guard.check(url);
        const agent = await loaded();
        const response = await agent.request({
          origin: url.origin,
          path: `${url.pathname}${url.search}`,
          method: 'POST',
          headers: credentials(url, notification.headers),
          body: notification.body,
          headersTimeout: notification.timeoutMs,
          bodyTimeout: notification.timeoutMs,
        });
        // The reply's body is of no interest, but reading it frees the connection.
        await response.body.dump({ limit: 64 * 1024 });
        if (response.statusCode >= 200 && response.statusCode < 300) return { delivered: true, status: response.statusCode };
        return { delivered: false, reason: `answered ${response.statusCode}` };
      } catch (error) {
        return { delivered: false, reason: reasonOf(error) };
      }
    },
    close: async () => (await loading)?.close(),
  };
}

function credentials(url: URL, headers: Readonly<Record<string, string>>): Record<string, string> {
  if (url.username === '' && url.password === '') return headers as Record<string, string>;
  const basic = Buffer.from(`${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}`).toString('base64');
  return { authorization: `Basic ${basic}`, ...headers };
}

function reasonOf(error: unknown): string {
  const { code, message } = error as Error & { code?: string };
  if (code === 'UND_ERR_HEADERS_TIMEOUT' || code === 'UND_ERR_BODY_TIMEOUT') return 'no answer in time';
  return message || code || 'the connection failed';
}

/** Delivers by the scheme of the endpoint's URI. */
export function notifierByScheme(http: Notifier, mqtt: Notifier): Notifier {
  return {
    deliver: (notification) => (notification.uri.startsWith('mqtt') ? mqtt : http).deliver(notification),
    close: async () => {
      await Promise.all([http.close(), mqtt.close()]);
    },
  };
}
