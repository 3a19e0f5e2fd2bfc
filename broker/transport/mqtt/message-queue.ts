import type { DeviceOutcome, MqttMessage } from '../../domain/device.ts';
import { fairLanes } from './fair-lanes.ts';

interface Waiting<C> {
  readonly message: MqttMessage;
  readonly client: C;
  /** Sends the acknowledgement, or with an error ends the connection, so that the device sends it again. */
  readonly done: (error?: Error | null) => void;
}

export interface MessageQueueOptions<C> {
  /** Most messages in one batch. */
  readonly limit: number;
  store(batch: readonly MqttMessage[]): Promise<readonly DeviceOutcome[]>;
  onOutcome(client: C, outcome: DeviceOutcome, topic: string): void;
  onUnavailable(error: unknown, count: number): void;
}

export interface MessageQueue<C> {
  add(message: MqttMessage, client: C, done: (error?: Error | null) => void): void;
  figures(): {
    readonly messages_total: number;
    readonly accepted_total: number;
    readonly refused_total: number;
    readonly unavailable_total: number;
    readonly waiting: number;
  };
  /** Resolves when nothing waits any more, or after the time. */
  settled(timeoutMs: number): Promise<void>;
}

/** Parts of one batch: small enough that the others hardly notice, large enough that the commit costs little for each message (ADR-0016). */
const SHARES = { perLane: 8, perShare: 24, ofLoud: 12, rest: 2, rememberMs: 1000, protectMs: 200 } as const;

/**
 * In front of the store: while one batch is being committed the next gathers, for each connection first in, first out, and in turn for all of them.
 * Acknowledgements go out after the commit, for each connection in the order of arrival. How much can gather is bounded by the connections: each stops to
 * read until what it sent is acknowledged.
 */
export function messageQueue<C>(options: MessageQueueOptions<C>): MessageQueue<C> {
  const waiting = fairLanes<C, Waiting<C>>({ limit: options.limit, ...SHARES });
  let underWay = 0;
  let wake: (() => void)[] = [];
  let working = false;
  /** Ends a rest. */
  let interrupt: (() => void) | undefined;
  const totals = { messages: 0, accepted: 0, refused: 0, unavailable: 0 };

  async function work(): Promise<void> {
    while (waiting.size > 0) {
      const batch = waiting.take();
      if (batch.length === 0) {
        await rested(waiting.restMs);
        continue;
      }
      underWay = batch.length;
      await commit(batch);
      waiting.done();
      underWay = 0;
      // While the store was busy more has come in on the sockets: reading it first makes the next batch larger, and its share of the fsync smaller.
      if (waiting.size < options.limit) await new Promise((resolve) => setImmediate(resolve));
    }
    working = false;
    for (const resolve of wake) resolve();
    wake = [];
  }

  /** Resolves after the time, or with the next message. */
  function rested(timeMs: number): Promise<void> {
    return new Promise((resolve) => {
      const end = () => {
        clearTimeout(timer);
        interrupt = undefined;
        setImmediate(resolve);
      };
      const timer = setTimeout(end, timeMs);
      interrupt = end;
    });
  }

  async function commit(batch: readonly Waiting<C>[]): Promise<void> {
    let outcomes: readonly DeviceOutcome[];
    try {
      outcomes = await options.store(batch.map(({ message }) => message));
    } catch (error) {
      totals.unavailable += batch.length;
      options.onUnavailable(error, batch.length);
      for (const { done } of batch) done(new Error('the store is not available'));
      return;
    }
    batch.forEach(({ message, client, done }, at) => {
      const outcome = outcomes[at];
      if (outcome !== undefined) {
        if (outcome.accepted) totals.accepted++;
        else totals.refused++;
        options.onOutcome(client, outcome, message.topic);
      }
      // A refused message is acknowledged too: an error would make the device send it for ever.
      done(null);
    });
  }

  return {
    add(message, client, done) {
      totals.messages++;
      waiting.add(client, shareOf(message), { message, client, done });
      interrupt?.();
      if (working) return;
      working = true;
      // Not at once: what the same read of the socket brings belongs into the same batch.
      setImmediate(() => void work());
    },
    figures: () => ({
      messages_total: totals.messages,
      accepted_total: totals.accepted,
      refused_total: totals.refused,
      unavailable_total: totals.unavailable,
      waiting: waiting.size + underWay,
    }),
    settled(timeoutMs) {
      if (!working) return Promise.resolve();
      return new Promise((resolve) => {
        const timer = setTimeout(resolve, timeoutMs);
        wake.push(() => {
          clearTimeout(timer);
          resolve();
        });
      });
    },
  };
}

/** Whose part of the work a message is: its tenant's, as far as that can be told without looking anything up. */
function shareOf({ topic, session }: MqttMessage): string {
  if (session.kind === 'device') return session.identity.slice(0, session.identity.indexOf('#'));
  if (session.kind === 'group') return session.keyHash;
  // The key stands behind the format, and in front of the device: [/][json|ul/]<key>/<device>/…
  const [first = '', second = ''] = topic.startsWith('/') ? topic.slice(1).split('/', 2) : topic.split('/', 2);
  return first === 'json' || first === 'ul' ? second : first;
}
