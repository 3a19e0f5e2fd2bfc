import { randomUUID } from 'node:crypto';
import type { TemporalFilter } from '../../domain/history.ts';
import type { JsonObject, JsonValue } from '../../domain/json.ts';
import { hasExpired, type RegistrationInfo, type RegistrationMatch } from '../../domain/registration.ts';
import type { RegistrationDocument } from '../../domain/registration-document.ts';
import { statusOf } from '../../domain/subscription.ts';
import type { SubscriptionDocument } from '../../domain/subscription-document.ts';
import { fromMicros, type Micros } from '../../domain/time.ts';
import type { Clock } from '../../ports/clock.ts';
import type { MessageStore } from '../../ports/message-store.ts';
import type { DeliveryResult, Notifier } from '../../ports/notifier.ts';
import type { BackOff } from '../notify/back-off.ts';
import { type Message, messageLanes } from '../notify/messages.ts';
import { noteAttempt } from '../notify/notification-state.ts';
import { stillWanted } from '../notify/still-wanted.ts';
import type { InForce, Subscribed } from '../notify/subscriptions-in-force.ts';
import { isThrottled } from '../notify/throttle.ts';
import type { RegistrationChange, RegistrationInForce, RegistrationsInForce } from './registrations-in-force.ts';
import { registrationBody } from './representation.ts';
import { type RegistrationSelection, selectedInformation } from './selection.ts';

/** 5.3.3: what became of a registration, for a subscriber. */
export type TriggerReason = 'newlyMatching' | 'updated' | 'noLongerMatching';

/** A subscription to registrations, with everything that notifying needs, prepared once. */
export interface RegistrationSubscription extends Subscribed {
  readonly selection: RegistrationSelection;
}

/** 5.12: what a subscription's entities and attributes select. Without attributes in `notification`, or none watched, any attribute does. */
export function matchesOf({ subscription, notification }: SubscriptionDocument): readonly RegistrationMatch[] {
  const { entities, watchedAttributes, datasetIds } = subscription;
  const names = notification.attributes && watchedAttributes ? [...watchedAttributes, ...notification.attributes] : undefined;
  const attributes = entities ? names : (watchedAttributes ?? names);
  return (entities ?? [{}]).map((selector) => ({
    ...selector,
    ...(attributes ? { attributes } : {}),
    ...(datasetIds ? { datasetIds } : {}),
  }));
}

/** 5.11.2.4: the registrations that a subscription is about. @throws DomainError BadRequestData: its temporalQ */
export function selectionFor(
  document: SubscriptionDocument,
  temporalFilter: (temporalQ: JsonObject) => TemporalFilter,
): RegistrationSelection {
  const { subscription, members, filter } = document;
  const { temporalQ } = members;
  return {
    matches: matchesOf(document),
    ...(subscription.where ? { where: subscription.where } : {}),
    ...(subscription.scopes ? { scopes: subscription.scopes } : {}),
    ...(temporalQ === undefined ? {} : { temporal: temporalFilter(temporalQ as JsonObject) }),
    ...(filter ? { filter } : {}),
  };
}

/** Notifications about registrations (5.11.7). */
export interface RegistrationNotifications {
  start(): Promise<void>;
  /** All that matches now: when the subscription is made (5.11.2.4) or changed (5.11.3.4). Resolves when it is on disk. */
  notifyAll(to: RegistrationSubscription): Promise<void>;
  /** A registration was created, updated or deleted. Resolves when what has to be told is on disk. */
  changed(change: RegistrationChange): Promise<void>;
  /** The subscription is gone. */
  forget(to: RegistrationSubscription): Promise<void>;
  /** Deliveries were given back to this queue. */
  resume(endpoint: string): void;
  stop(): Promise<void>;
  /** Resolves when nothing is on its way. For tests. */
  idle(): Promise<void>;
}

/**
 * What happened to a registration is told durably, like changes of entities: at least once, in order, with back-off and a dead-letter list. What is told
 * every interval is a state, so a failed one is not repeated.
 */
export function registrationNotifications(options: {
  readonly registrations: RegistrationsInForce;
  readonly subscriptions: InForce<RegistrationSubscription>;
  readonly messages: MessageStore;
  readonly number: () => number;
  readonly notifier: Notifier;
  readonly clock: Clock;
  readonly timeoutMs: number;
  readonly backOff: BackOff;
  /** Notifications that may wait for one subscriber. */
  readonly mostWaiting: number;
  readonly onError: (error: unknown) => void;
}): RegistrationNotifications {
  const { registrations, subscriptions, notifier, clock, timeoutMs, onError } = options;
  const timers = new Map<RegistrationSubscription, NodeJS.Timeout>();
  const lanes = messageLanes<RegistrationSubscription>({
    ...options,
    kind: 'registrations',
    find: subscriptions.get,
    deliver,
  });

  async function deliver(to: RegistrationSubscription, { content }: Message): Promise<DeliveryResult> {
    const current = stillWanted(subscriptions.get(to.tenant, to.id), clock.micros());
    if ('delivered' in current) return current;
    const { endpoint } = current.notification;
    const result = await notifier.deliver({
      uri: endpoint.uri,
      headers: current.style.headers,
      body: JSON.stringify(bodyOf(current, content as unknown as News)),
      notifierInfo: endpoint.notifierInfo,
      timeoutMs: Math.min(endpoint.timeoutMs ?? timeoutMs, timeoutMs),
    });
    noteAttempt(current, result, clock.micros());
    return result;
  }

  /** 5.3.2. */
  function bodyOf(to: RegistrationSubscription, { id, reason, at, told }: News): JsonObject {
    const inside = to.notification.endpoint.accept === 'application/ld+json';
    const source: JsonValue = to.context.source;
    return {
      id,
      type: 'ContextSourceNotification',
      subscriptionId: to.id,
      notifiedAt: fromMicros(at),
      triggerReason: reason,
      data: told.map(({ document, matching }) => {
        const { registration } = document;
        const state = registrations.get(to.tenant, document.id)?.state ?? { timesSent: 0, timesFailed: 0 };
        const information = matching.flatMap((index) => registration.information[index] ?? []);
        return {
          ...(inside ? { '@context': source } : {}),
          ...registrationBody({ document, registration, state }, to.context, { information, typeLists: true }),
        };
      }),
    };
  }

  function matching(to: RegistrationSubscription): readonly Matching[] {
    return registrations.of(to.tenant).flatMap((entry) => {
      const information = hasExpired(entry.registration, clock.micros()) ? [] : selectedInformation(entry, to.selection);
      return information.length === 0 ? [] : [{ entry, information }];
    });
  }

  async function notify(to: RegistrationSubscription, found: readonly Matching[], reason: TriggerReason): Promise<void> {
    const now = clock.micros();
    if (statusOf(to.subscription, now) !== 'active' || isThrottled(to, now)) return;
    to.lastMade = now;
    await lanes.send(to, newsOf(found, reason, now) as unknown as JsonObject, to.id);
  }

  async function notifyAll(to: RegistrationSubscription): Promise<void> {
    const found = matching(to);
    if (found.length > 0) await notify(to, found, 'newlyMatching');
  }

  function schedule(to: RegistrationSubscription): void {
    const { timeIntervalS } = to.subscription;
    if (timeIntervalS === undefined) return;
    let busy = false;
    const tick = async () => {
      const found = matching(to);
      const content = newsOf(found, 'newlyMatching', clock.micros()) as unknown as JsonObject;
      if (found.length > 0) await deliver(to, { id: to.id, position: 0, tenant: to.tenant, content });
    };
    const timer = setInterval(() => {
      if (busy) return;
      busy = true;
      tick()
        .catch(onError)
        .finally(() => {
          busy = false;
        });
    }, timeIntervalS * 1000);
    timers.set(to, timer.unref());
  }

  subscriptions.onChange((entry, what) => {
    for (const [scheduled, timer] of timers) {
      if (scheduled.id !== entry.id || scheduled.tenant !== entry.tenant) continue;
      clearInterval(timer);
      timers.delete(scheduled);
    }
    if (what !== 'removed') schedule(entry);
  });

  return {
    start: lanes.start,
    notifyAll,
    async changed({ tenant, before, after }) {
      const told = subscriptions.of(tenant).map((to) => {
        if (to.subscription.timeIntervalS !== undefined) return undefined;
        const was = before ? selectedInformation(before, to.selection) : [];
        const is = after ? selectedInformation(after, to.selection) : [];
        if (after && is.length > 0)
          return notify(to, [{ entry: after, information: is }], was.length > 0 ? 'updated' : 'newlyMatching');
        if (before && was.length > 0) return notify(to, [{ entry: before, information: was }], 'noLongerMatching');
        return undefined;
      });
      // The registration is stored already: that somebody's queue is full must not refuse it.
      for (const result of await Promise.allSettled(told)) if (result.status === 'rejected') onError(result.reason);
    },
    forget: lanes.forget,
    resume: lanes.resume,
    async stop() {
      for (const timer of timers.values()) clearInterval(timer);
      timers.clear();
      await lanes.stop();
    },
    idle: lanes.idle,
  };
}

interface Matching {
  readonly entry: RegistrationInForce;
  readonly information: readonly RegistrationInfo[];
}

/** What is to be told, as it is kept: how it is written is settled when it is sent, as by then the @context may have been found. */
interface News {
  readonly id: string;
  readonly reason: TriggerReason;
  readonly at: Micros;
  /** Registrations as they were, and which elements of their `information` match. */
  readonly told: readonly { readonly document: RegistrationDocument; readonly matching: readonly number[] }[];
}

const newsOf = (found: readonly Matching[], reason: TriggerReason, at: Micros): News => ({
  id: `urn:ngsi-ld:ContextSourceNotification:${randomUUID()}`,
  reason,
  at,
  told: found.map(({ entry: { document }, information }) => ({
    document,
    matching: information.map((one) => document.registration.information.indexOf(one)),
  })),
});
