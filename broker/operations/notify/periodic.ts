import type { Entity } from '../../domain/entity.ts';
import { statusOf } from '../../domain/subscription.ts';
import type { Clock } from '../../ports/clock.ts';
import type { Notifier } from '../../ports/notifier.ts';
import type { LinkedReader } from '../linked.ts';
import { noteAttempt } from './notification-state.ts';
import { periodicNotificationOf } from './render.ts';
import type { SubscriptionInForce, SubscriptionsInForce } from './subscriptions-in-force.ts';

/**
 * Notifications of subscriptions with a `timeInterval` (5.8.6): every interval, all subscribed entities that match; none if none match.
 * What is sent is a state, not a change, so a failed one is not repeated: the next interval sends a newer one.
 */
export function periodicNotifications(options: {
  readonly subscriptions: SubscriptionsInForce;
  /** All entities that a subscription selects now. */
  readonly find: (entry: SubscriptionInForce) => Promise<readonly Entity[]>;
  readonly linked: LinkedReader;
  readonly notifier: Notifier;
  readonly clock: Clock;
  readonly timeoutMs: number;
  onError(error: unknown): void;
}): { start(): void; stop(): void } {
  const { subscriptions, find, notifier, clock } = options;
  const timers = new Map<SubscriptionInForce, NodeJS.Timeout>();
  let started = false;

  function schedule(entry: SubscriptionInForce): void {
    const { timeIntervalS } = entry.subscription;
    if (!started || timeIntervalS === undefined) return;
    let busy = false;
    const timer = setInterval(() => {
      // An endpoint that needs longer than the interval gets the next state when it is done.
      if (busy) return;
      busy = true;
      notify(entry)
        .catch(options.onError)
        .finally(() => {
          busy = false;
        });
    }, timeIntervalS * 1000);
    timers.set(entry, timer.unref());
  }

  function unschedule(entry: SubscriptionInForce): void {
    clearInterval(timers.get(entry));
    timers.delete(entry);
  }

  async function notify(entry: SubscriptionInForce): Promise<void> {
    if (statusOf(entry.subscription, clock.micros()) !== 'active') return;
    const matching = await find(entry);
    if (matching.length === 0) return;
    const now = clock.micros();
    const { joined, representation } = entry.style;
    const linked = joined && (await options.linked.linked(entry.tenant, matching, representation, joined.join));
    const result = await notifier.deliver(periodicNotificationOf(entry, matching, now, options.timeoutMs, linked));
    noteAttempt(entry, result, clock.micros());
  }

  subscriptions.onChange((entry, what) => {
    for (const scheduled of timers.keys())
      if (scheduled.id === entry.id && scheduled.tenant === entry.tenant) unschedule(scheduled);
    if (what !== 'removed') schedule(entry);
  });

  return {
    start() {
      started = true;
      for (const entry of subscriptions.all()) schedule(entry);
    },
    stop() {
      started = false;
      for (const entry of [...timers.keys()]) unschedule(entry);
    },
  };
}
