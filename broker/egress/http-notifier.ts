import type { Agent, Dispatcher } from 'undici';
import type { DeliveryResult, Notifier, OutgoingNotification } from '../ports/notifier.ts';
import type { EgressGuard } from './guard.ts';

export interface HttpNotifierOptions {
  readonly guard: EgressGuard;
  /** Connections kept open to one endpoint; no more requests are under way to it at once. */
  readonly connections: number;
}

/** Of a reply, which is of no interest: after so many bytes the connection is given up rather than read on. */
const REPLY_BYTES = 64 * 1024;

/** Where an endpoint's URI leads, worked out once. */
interface Target {
  readonly url: URL;
  readonly path: string;
  readonly authorization: string | undefined;
}

/**
 * Notifications over HTTP and HTTPS (6.3.8). Any 2xx counts as delivered: 5.8.6 names only 200, but an endpoint that answers 201, 202 or 204
 * has the notification, and sending it again would be a duplicate. Redirects are not followed: they could lead past the egress guard.
 */
export function httpNotifier({ guard, connections }: HttpNotifierOptions): Notifier {
  // Loaded with the first notification: a broker without subscribers starts faster.
  let loading: Promise<Agent> | undefined;
  let agent: Agent | undefined;
  const loaded = () => {
    loading ??= import('undici').then(({ Agent }) => {
      agent = new Agent({ connections, pipelining: 1, keepAliveTimeout: 30_000, connect: { lookup: guard.lookup } });
      return agent;
    });
    return loading;
  };
  const targets = new Map<string, Target>();

  function targetOf(uri: string): Target {
    let target = targets.get(uri);
    if (target === undefined) {
      const url = new URL(uri);
      target = { url, path: `${url.pathname}${url.search}`, authorization: basic(url) };
      if (targets.size >= 10_000) targets.clear();
      targets.set(uri, target);
    }
    return target;
  }

  /** Every notification passes here: undici's dispatch costs a fifth less than its request, which makes a stream of a reply that nobody reads. */
  function send(through: Agent, notification: OutgoingNotification): Promise<DeliveryResult> {
    return new Promise((resolve) => {
      try {
        const { url, path, authorization } = targetOf(notification.uri);
        guard.checkAddress(url);
        through.dispatch(
          {
            origin: url.origin,
            path,
            method: 'POST',
            headers: authorization === undefined ? notification.headers : { authorization, ...notification.headers },
            body: notification.body,
            headersTimeout: notification.timeoutMs,
            bodyTimeout: notification.timeoutMs,
          },
          new Reply(resolve),
        );
      } catch (error) {
        resolve({ delivered: false, reason: reasonOf(error) });
      }
    });
  }

  return {
    deliver: (notification) =>
      agent === undefined ? loaded().then((found) => send(found, notification)) : send(agent, notification),
    close: async () => (await loading)?.close(),
  };
}

/** Waits for the reply to one notification: its status tells, its body is read to free the connection. */
class Reply implements Dispatcher.DispatchHandler {
  readonly #resolve: (result: DeliveryResult) => void;
  #status = 0;
  #bytes = 0;

  constructor(resolve: (result: DeliveryResult) => void) {
    this.#resolve = resolve;
  }

  onRequestStart(): void {}

  onResponseStart(_controller: Dispatcher.DispatchController, status: number): void {
    this.#status = status;
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#bytes += chunk.length;
    if (this.#bytes <= REPLY_BYTES) return;
    this.#told();
    controller.abort(new Error('the reply is longer than anybody wants to know'));
  }

  onResponseEnd(): void {
    this.#told();
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    this.#resolve({ delivered: false, reason: reasonOf(error) });
  }

  #told(): void {
    const status = this.#status;
    this.#resolve(
      status >= 200 && status < 300 ? { delivered: true, status } : { delivered: false, reason: `answered ${status}` },
    );
  }
}

function basic(url: URL): string | undefined {
  if (url.username === '' && url.password === '') return undefined;
  return `Basic ${Buffer.from(`${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}`).toString('base64')}`;
}

function reasonOf(error: unknown): string {
  const { code, message } = error as Error & { code?: string };
  if (code === 'UND_ERR_HEADERS_TIMEOUT' || code === 'UND_ERR_BODY_TIMEOUT') return 'no answer in time';
  return message || code || 'the connection failed';
}

/** What became of all notifications, whatever they were about. */
export interface NotifierFigures {
  readonly delivered: number;
  readonly failed: number;
}

/** Delivers by the scheme of the endpoint's URI, and counts. */
export function notifierByScheme(http: Notifier, mqtt: Notifier): Notifier & { figures(): NotifierFigures } {
  let delivered = 0;
  let failed = 0;
  return {
    async deliver(notification) {
      const result = await (notification.uri.startsWith('mqtt') ? mqtt : http).deliver(notification);
      if (result.delivered) delivered++;
      else failed++;
      return result;
    },
    prepare: (uri) => (uri.startsWith('mqtt') ? mqtt : http).prepare?.(uri),
    figures: () => ({ delivered, failed }),
    close: async () => {
      await Promise.all([http.close(), mqtt.close()]);
    },
  };
}
