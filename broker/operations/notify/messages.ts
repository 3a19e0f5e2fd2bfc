import { DomainError } from '../../domain/errors.ts';
import type { TenantId } from '../../domain/iri.ts';
import type { JsonObject } from '../../domain/json.ts';
import type { MessageStore, StoredMessage } from '../../ports/message-store.ts';
import type { DeliveryResult } from '../../ports/notifier.ts';
import type { BackOff } from './back-off.ts';
import { Lane, type Recalled, type Sendable, type Subscriber } from './lane.ts';
import type { Subscribed } from './subscriptions-in-force.ts';

/** A notification that is about no change of this broker's log. */
export interface Message extends Sendable {
  readonly content: JsonObject;
}

/**
 * Durable delivery of notifications that bring their content along. They are on disk before they are accepted, and go through the same lanes as
 * those about changes: at least once, with back-off and a dead-letter list, one subscription's trouble apart from another's.
 */
export interface MessageLanes<S extends Subscriber> {
  /** Goes on where the last run ended. */
  start(): Promise<void>;
  /**
   * Resolves when it is on disk. What has the same `strand` is delivered in order.
   * @throws DomainError Unavailable if too many wait for this subscriber already
   */
  send(subscriber: S, content: JsonObject, strand: string): Promise<void>;
  /** The subscription is gone, and with it what waits. */
  forget(subscriber: Subscriber): Promise<void>;
  /** Messages were given back to this queue, by an operator who replays them. */
  resume(endpoint: string): void;
  /** Stops sending; what is not delivered waits on disk. */
  stop(): Promise<void>;
  /** Resolves when nothing is on its way. For tests. */
  idle(): Promise<void>;
}

/** Numbers messages: one for the whole store, since several kinds of queue share it. */
export async function messageNumbers(messages: MessageStore): Promise<() => number> {
  let last = await messages.last();
  return () => {
    last++;
    return last;
  };
}

/** What waits for one subscriber. */
interface Queue<S extends Subscriber> {
  readonly lane: Lane<S, Message>;
  /** Messages that are in memory, on their way: nobody may take them from the disk as well. */
  readonly held: Set<number>;
  /** On disk, the dead left out. */
  waiting: number;
}

export function messageLanes<S extends Subscribed>(options: {
  /** Tells the queues of this kind from others in the store. */
  readonly kind: string;
  readonly messages: MessageStore;
  readonly number: () => number;
  readonly find: (tenant: TenantId, id: string) => S | undefined;
  /** Renders and sends one. Never throws. */
  readonly deliver: (subscriber: S, message: Message) => Promise<DeliveryResult>;
  readonly backOff: BackOff;
  /** Messages that may wait for one subscriber; further ones are refused, so that their sender keeps them. */
  readonly mostWaiting: number;
  readonly onError: (error: unknown) => void;
}): MessageLanes<S> {
  const { kind, messages, number, find, deliver, backOff, mostWaiting, onError } = options;
  const queues = new Map<string, Queue<S>>();
  const removals = new Set<Promise<void>>();

  const nameOf = ({ tenant, id }: Subscriber) => `${kind} ${tenant}/${id}`;

  function remove(queue: Queue<S>, gone: readonly { readonly position: number }[]): Promise<void> {
    queue.waiting -= gone.length;
    const removal = messages.remove(gone).catch(onError);
    removals.add(removal);
    return removal.finally(() => removals.delete(removal));
  }

  function queueOf(endpoint: string, backlog: number): Queue<S> {
    const known = queues.get(endpoint);
    if (known !== undefined) return known;
    const held = new Set<number>();
    const lane = new Lane<S, Message>(
      endpoint,
      {
        deliveries: {
          async waiting(_, limit) {
            const found = await messages.waiting(endpoint, limit + held.size);
            return found.filter(({ position }) => !held.has(position)).slice(0, limit);
          },
          async park(parked) {
            await messages.park(parked);
            for (const { position, dead } of parked) {
              held.delete(position);
              if (dead) queue.waiting--;
            }
          },
          remove: (gone) => remove(queue, gone),
        },
        send: deliver,
        recall: async (parked) => parked.map((one) => recalled(one as StoredMessage)),
        backOffMs: (attempts, subscriber) => backOff.waitMs(attempts, subscriber.notification.endpoint.cooldownMs),
        maxAttempts: backOff.maxAttempts,
        // All of them keep their content: only what waits on disk is recalled.
        maxHeld: 1000,
        maxWaiting: () => 1000,
        strands: 8,
        onError,
      },
      backlog > 0,
    );
    const queue: Queue<S> = { lane, held, waiting: backlog };
    queues.set(endpoint, queue);
    return queue;
  }

  function recalled({ tenant, subscription, position, body }: StoredMessage): Recalled<S, Message> | undefined {
    const subscriber = find(tenant, subscription);
    return subscriber && { subscriber, change: messageOf(tenant, position, body) };
  }

  return {
    async start() {
      for (const { endpoint, waiting } of await messages.endpoints()) {
        if (endpoint.startsWith(`${kind} `)) queueOf(endpoint, waiting);
      }
    },
    async send(subscriber, content, strand) {
      const { tenant, id } = subscriber;
      const endpoint = nameOf(subscriber);
      const queue = queueOf(endpoint, 0);
      if (queue.waiting >= mostWaiting)
        throw new DomainError('Unavailable', `${mostWaiting} notifications wait for the subscriber of ${id} already`);
      const position = number();
      const body = { strand, content };
      queue.held.add(position);
      queue.waiting++;
      try {
        await messages.add([{ tenant, subscription: id, position, endpoint, attempts: 0, reason: '', dead: false, body }]);
      } catch (error) {
        queue.held.delete(position);
        queue.waiting--;
        throw error;
      }
      // What was parked is held no longer: it waits on disk. Otherwise it is dealt with.
      queue.lane.push(
        subscriber,
        messageOf(tenant, position, body),
        () => void (queue.held.delete(position) && remove(queue, [{ position }])),
      );
    },
    async forget(subscriber) {
      const endpoint = nameOf(subscriber);
      queues.get(endpoint)?.lane.discard();
      queues.delete(endpoint);
      await messages.removeQueue(subscriber.tenant, endpoint);
    },
    resume(endpoint) {
      if (!endpoint.startsWith(`${kind} `)) return;
      if (queues.has(endpoint)) queues.get(endpoint)?.lane.resume();
      else queueOf(endpoint, 1);
    },
    async stop() {
      for (const { lane } of queues.values()) lane.close();
      for (const { lane } of queues.values()) await lane.settled();
      await Promise.all(removals);
    },
    async idle() {
      while ([...queues.values()].some(({ held }) => held.size > 0)) await new Promise((wake) => setTimeout(wake, 2));
      for (const { lane } of queues.values()) await lane.settled();
      await Promise.all(removals);
    },
  };
}

function messageOf(tenant: TenantId, position: number, body: JsonObject): Message {
  return { tenant, position, id: String(body['strand']), content: body['content'] as JsonObject };
}
