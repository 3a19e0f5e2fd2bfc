import { queriesOf, statusOf } from '../../domain/subscription.ts';
import type { Clock } from '../../ports/clock.ts';
import type { EntityStore, StoredEntity } from '../../ports/entity-store.ts';
import type { Notifier } from '../../ports/notifier.ts';
import type { LinkedReader } from '../linked.ts';
import { noteAttempt } from './notification-state.ts';
import { periodicNotificationOf } from './render.ts';
import type { SubscriptionInForce, SubscriptionsInForce } from './subscriptions-in-force.ts';

/** Entities in one periodic notification; more of them are not sent at once. */
const MOST_ENTITIES = 1000;

/**
 * Notifications of subscriptions with a `timeInterval` (5.8.6): every interval, all subscribed entities that match; none if none match.
 * What is sent is a state, not a change, so a failed one is not repeated: the next interval sends a newer one.
 */
export function periodicNotifications(options: {
  readonly subscriptions: SubscriptionsInForce;
  readonly entities: EntityStore;
  readonly linked: LinkedReader;
  readonly notifier: Notifier;
  readonly clock: Clock;
  readonly timeoutMs: number;
  onError(error: unknown): void;
}): { start(): void; stop(): void } {
  const { subscriptions, entities, notifier, clock } = options;
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
    const { selectors, conditions } = queriesOf(entry.subscription);
    const found = new Map<string, StoredEntity>();
    for (const selector of selectors.length > 0 ? selectors : [{}]) {
      const page = await entities.query(entry.tenant, { ...conditions, ...selector }, { limit: MOST_ENTITIES });
      for (const entity of page.entities) found.set(entity.id, entity);
    }
    if (found.size === 0) return;
    const now = clock.micros();
    const matching = [...found.values()].map((stored) => stored.entity);
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
