import { randomUUID } from 'node:crypto';
import type { Iri, TenantId } from '../../domain/iri.ts';
import type { JsonObject, JsonValue } from '../../domain/json.ts';
import type { Context } from '../../domain/jsonld/context.ts';
import { hasExpired, type RegistrationInfo, type RegistrationMatch } from '../../domain/registration.ts';
import { statusOf } from '../../domain/subscription.ts';
import type { SubscriptionDocument } from '../../domain/subscription-document.ts';
import { fromMicros, type Micros } from '../../domain/time.ts';
import type { Clock } from '../../ports/clock.ts';
import type { Notifier } from '../../ports/notifier.ts';
import { notificationStyle } from '../notify/render.ts';
import type { NotificationState } from '../notify/subscriptions-in-force.ts';
import type { RegistrationChange, RegistrationInForce, RegistrationsInForce } from './registrations-in-force.ts';
import { registrationBody } from './representation.ts';
import { type RegistrationSelection, selectedInformation } from './selection.ts';

/** 5.3.3: what became of a registration, for a subscriber. */
export type TriggerReason = 'newlyMatching' | 'updated' | 'noLongerMatching';

/** A subscription to registrations, with everything that notifying needs, prepared once. */
export interface RegistrationSubscription {
  readonly id: Iri;
  readonly tenant: TenantId;
  readonly document: SubscriptionDocument;
  readonly selection: RegistrationSelection;
  readonly context: Context;
  readonly state: NotificationState;
  /** Throttling looks at this. */
  lastMade?: Micros;
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

/**
 * Notifications about registrations (5.11.7). Each says what matches now, so a failed one is not repeated: the next change tells more. The
 * notifications of one subscription go out one after the other.
 */
export function registrationNotifications(options: {
  readonly registrations: RegistrationsInForce;
  readonly notifier: Notifier;
  readonly clock: Clock;
  readonly timeoutMs: number;
}): {
  put(subscription: RegistrationSubscription): void;
  remove(subscription: RegistrationSubscription): void;
  /** A registration was created, updated or deleted. */
  changed(change: RegistrationChange): void;
  stop(): void;
} {
  const { registrations, notifier, clock, timeoutMs } = options;
  const inForce = new Map<RegistrationSubscription, { last: Promise<void>; timer?: NodeJS.Timeout }>();

  function matching(to: RegistrationSubscription): readonly Matching[] {
    return registrations.of(to.tenant).flatMap((entry) => {
      const information = hasExpired(entry.registration, clock.micros()) ? [] : selectedInformation(entry, to.selection);
      return information.length === 0 ? [] : [{ entry, information }];
    });
  }

  function notify(to: RegistrationSubscription, found: readonly Matching[], reason: TriggerReason): void {
    const { subscription, notification } = to.document;
    const now = clock.micros();
    const line = inForce.get(to);
    if (line === undefined || statusOf(subscription, now) !== 'active') return;
    if (
      subscription.throttlingS !== undefined &&
      to.lastMade !== undefined &&
      now - to.lastMade < subscription.throttlingS * 1e6
    )
      return;
    to.lastMade = now;
    const message = {
      uri: notification.endpoint.uri,
      headers: notificationStyle(to.document, to.context, to.tenant).headers,
      body: JSON.stringify(bodyOf(to, found, reason, now)),
      notifierInfo: notification.endpoint.notifierInfo,
      timeoutMs: Math.min(notification.endpoint.timeoutMs ?? timeoutMs, timeoutMs),
    };
    line.last = line.last.then(async () => {
      if (!inForce.has(to)) return;
      const result = await notifier.deliver(message);
      const { state } = to;
      state.timesSent++;
      state.lastNotification = clock.micros();
      state.status = result.delivered ? 'ok' : 'failed';
      if (result.delivered) state.lastSuccess = state.lastNotification;
      else {
        state.timesFailed++;
        state.lastFailure = state.lastNotification;
      }
    });
  }

  /** At the beginning, and again every interval: all that matches. */
  function notifyAll(to: RegistrationSubscription): void {
    const found = matching(to);
    if (found.length > 0) notify(to, found, 'newlyMatching');
  }

  return {
    put(subscription) {
      const line: { last: Promise<void>; timer?: NodeJS.Timeout } = { last: Promise.resolve() };
      inForce.set(subscription, line);
      const { timeIntervalS } = subscription.document.subscription;
      if (timeIntervalS !== undefined) line.timer = setInterval(() => notifyAll(subscription), timeIntervalS * 1000).unref();
      notifyAll(subscription);
    },
    remove(subscription) {
      clearInterval(inForce.get(subscription)?.timer);
      inForce.delete(subscription);
    },
    changed({ tenant, before, after }) {
      for (const to of inForce.keys()) {
        if (to.tenant !== tenant || to.document.subscription.timeIntervalS !== undefined) continue;
        const was = before ? selectedInformation(before, to.selection) : [];
        const is = after ? selectedInformation(after, to.selection) : [];
        if (after && is.length > 0)
          notify(to, [{ entry: after, information: is }], was.length > 0 ? 'updated' : 'newlyMatching');
        else if (before && was.length > 0) notify(to, [{ entry: before, information: was }], 'noLongerMatching');
      }
    },
    stop() {
      for (const { timer } of inForce.values()) clearInterval(timer);
      inForce.clear();
    },
  };
}

interface Matching {
  readonly entry: RegistrationInForce;
  readonly information: readonly RegistrationInfo[];
}

/** 5.3.2. */
function bodyOf(to: RegistrationSubscription, found: readonly Matching[], reason: TriggerReason, now: Micros): JsonObject {
  const inside = to.document.notification.endpoint.accept === 'application/ld+json';
  const source: JsonValue = to.context.source;
  return {
    id: `urn:ngsi-ld:ContextSourceNotification:${randomUUID()}`,
    type: 'ContextSourceNotification',
    subscriptionId: to.id,
    notifiedAt: fromMicros(now),
    triggerReason: reason,
    data: found.map(({ entry, information }) => ({
      ...(inside ? { '@context': source } : {}),
      ...registrationBody(entry, to.context, { information, typeLists: true }),
    })),
  };
}
