import type { MqttMessage } from '../../domain/device.ts';
import { type MessageQueue, type MessageQueueOptions, messageQueue } from './message-queue.ts';

/**
 * A queue with a second one beside it, for messages that take long before they can be stored, because code of an operator has to run for them: a batch is as slow as
 * the slowest of its messages, and those of all others must not wait for it. All messages of a device go the same way, so that they keep their order; and so do those that
 * a connection sends while something of it waits in the second queue.
 */
export function queueWithSlowLane<C extends object | null>(
  options: MessageQueueOptions<C> & { readonly isSlow?: ((message: MqttMessage) => boolean) | undefined },
): MessageQueue<C> {
  const quick = messageQueue(options);
  const { isSlow } = options;
  if (isSlow === undefined) return quick;
  const slow = messageQueue(options);
  /** How many messages of a connection are in the slow queue. */
  const waiting = new WeakMap<object, number>();
  return {
    add(message, client, done) {
      const before = client === null ? 0 : (waiting.get(client) ?? 0);
      if (before === 0 && !isSlow(message)) return quick.add(message, client, done);
      if (client === null) return slow.add(message, client, done);
      waiting.set(client, before + 1);
      slow.add(message, client, (error) => {
        waiting.set(client, (waiting.get(client) ?? 1) - 1);
        done(error);
      });
    },
    figures() {
      const [one, other] = [quick.figures(), slow.figures()];
      return Object.fromEntries(
        Object.entries(one).map(([name, value]) => [name, value + other[name as keyof typeof other]]),
      ) as unknown as typeof one;
    },
    async settled(timeoutMs) {
      await Promise.all([quick.settled(timeoutMs), slow.settled(timeoutMs)]);
    },
  };
}
