import { createHash, randomUUID } from 'node:crypto';
import type { Change } from '../../domain/change.ts';
import { badRequest, notFound } from '../../domain/errors.ts';
import type { Iri } from '../../domain/iri.ts';
import { isObject, type JsonObject, type JsonValue } from '../../domain/json.ts';
import type { Context } from '../../domain/jsonld/context.ts';
import { type NotifiedChange, notifiedChange } from '../../domain/notified-change.ts';
import { statusOf } from '../../domain/subscription.ts';
import { judgesConditions } from '../../domain/subscription-copy.ts';
import { type Instant, parseInstant } from '../../domain/time.ts';
import type { Clock } from '../../ports/clock.ts';
import type { MessageStore } from '../../ports/message-store.ts';
import type { DeliveryResult, Notifier, OutgoingNotification } from '../../ports/notifier.ts';
import type { LinkedReader } from '../linked.ts';
import type { BackOff } from '../notify/back-off.ts';
import { type Message, type MessageLanes, messageLanes } from '../notify/messages.ts';
import { noteAttempt } from '../notify/notification-state.ts';
import { relayedNotificationOf } from '../notify/render.ts';
import type { SplitEntities } from '../notify/split-entities.ts';
import { stillWanted } from '../notify/still-wanted.ts';
import type { SubscriptionInForce, SubscriptionsInForce } from '../notify/subscriptions-in-force.ts';
import { isThrottled, throttle } from '../notify/throttle.ts';
import type { CopyRecord, CopyRecords } from './records.ts';

/** Notifications of copies (5.8.6): taken in from sources, and handed to the subscriber here as durably as those about changes of this broker. */
export interface InboundNotifications
  extends Pick<MessageLanes<SubscriptionInForce>, 'start' | 'resume' | 'stop' | 'idle' | 'forget'> {
  /**
   * Resolves when what the subscriber is to hear of it is on disk: from then on the source need not keep it.
   * @param body   as received
   * @param linked the @context that the request names in its Link header
   * @throws DomainError ResourceNotFound: no copy has that subscriptionId; BadRequestData: it is no notification; Unavailable: too many wait
   */
  receive(body: JsonValue, linked: Context | undefined): Promise<void>;
}

/** What is kept of one until it is delivered. */
interface Received {
  /** Names the notification that was received, so that what is sent has the same id whenever it is sent. */
  readonly occasion: string;
  readonly notifiedAt: Instant;
  readonly registration: Iri;
  readonly changes: readonly NotifiedChange[];
}

export function inboundNotifications(options: {
  readonly records: CopyRecords;
  readonly subscriptions: SubscriptionsInForce;
  readonly split: SplitEntities;
  readonly linked: LinkedReader;
  readonly resolveContext: (source: JsonValue) => Promise<Context> | Context;
  readonly messages: MessageStore;
  readonly number: () => number;
  readonly notifier: Notifier;
  readonly clock: Clock;
  readonly timeoutMs: number;
  readonly backOff: BackOff;
  /** Notifications that may wait for one subscriber. */
  readonly mostWaiting: number;
  readonly onError: (error: unknown) => void;
}): InboundNotifications {
  const { records, subscriptions, split, linked, resolveContext, notifier, clock, timeoutMs } = options;
  const throttled = throttle();
  /** Those being taken in: a source that asks again meanwhile gets the same answer. */
  const underWay = new Map<string, Promise<void>>();
  /** Copies whose source notifies of several entities at once: their notifications stay in one order. */
  const inBatches = new Set<string>();
  const lanes = messageLanes<SubscriptionInForce>({
    ...options,
    kind: 'remote',
    find: subscriptions.get,
    deliver,
  });

  async function take(copy: CopyRecord, to: SubscriptionInForce, body: JsonObject, context: Context): Promise<void> {
    const now = clock.now();
    const notifiedAt = parseInstant(body['notifiedAt']) ?? now;
    const changes: NotifiedChange[] = [];
    for (const entity of [body['data'] ?? []].flat() as readonly JsonValue[]) {
      if (!isObject(entity)) throw badRequest('data must be an array of entities (5.3.1)');
      const own = entity['@context'];
      const change = notifiedChange(entity, own === undefined ? context : await resolveContext(own), notifiedAt);
      if (split.splits(to)) split.heard(to.tenant, change.id);
      if (await isWanted(copy, to, change)) changes.push(change);
    }
    if (changes.length === 0) return;
    if (changes.length > 1) inBatches.add(copy.id);
    const strand = inBatches.has(copy.id) ? copy.id : (changes[0] as NotifiedChange).id;
    const received: Received = { occasion: occasionOf(copy, body), notifiedAt, registration: copy.registration, changes };
    const keep = () => lanes.send(to, received as unknown as JsonObject, strand);
    // Of entities that may be spread it is settled when they are put together.
    if (split.splits(to)) return keep();
    const at = clock.micros();
    if (isThrottled(to, at)) return;
    const { lastMade } = to;
    to.lastMade = at;
    try {
      await keep();
    } catch (error) {
      // It comes again, and must not find itself throttled by itself.
      if (lastMade === undefined) delete to.lastMade;
      else to.lastMade = lastMade;
      throw error;
    }
  }

  /** What the source knows of the subscription is less than what the subscription says: the rest is looked at here. */
  async function isWanted(copy: CopyRecord, to: SubscriptionInForce, change: NotifiedChange): Promise<boolean> {
    const { selectors } = to.tests;
    if (selectors.length > 0 && !selectors.some((matches) => matches(change.entity))) return false;
    // The source has judged what is gone; of what it sent only a part, we cannot judge.
    if (split.splits(to) || change.kind === 'deleted' || !judgesConditions(to.document, copy.source.information)) return true;
    return split.meetsConditions(to, change.entity);
  }

  async function deliver(to: SubscriptionInForce, { content, position, tenant }: Message): Promise<DeliveryResult> {
    const current = stillWanted(subscriptions.get(to.tenant, to.id), clock.micros());
    if ('delivered' in current) return current;
    const { occasion, notifiedAt, registration, changes } = content as unknown as Received;
    const { joined, representation } = current.style;
    let notification: OutgoingNotification;
    try {
      const told: Change[] = [];
      for (const notified of changes) {
        const change: Change = { ...notified, position, tenant, stamp: notified.entity.stamp };
        const whole = split.splits(current) ? await split.whole(current, change, registration) : change;
        if (whole !== undefined) told.push(whole);
      }
      if (told.length === 0) return { delivered: true };
      if (split.splits(current) && !throttled.admits(current, occasion, clock.micros())) return { delivered: true };
      const there = told.filter(({ kind }) => kind !== 'deleted').map(({ entity }) => entity);
      const joining = joined && there.length > 0 ? await linked.linked(tenant, there, representation, joined.join) : undefined;
      notification = relayedNotificationOf(current, occasion, notifiedAt, told, timeoutMs, joining);
    } catch (error) {
      // More linked entities than the limit, or a store that is gone: later it may be different.
      return { delivered: false, reason: error instanceof Error ? error.message : String(error) };
    }
    const result = await notifier.deliver(notification);
    noteAttempt(current, result, clock.micros());
    if (result.delivered) throttled.done(current, occasion);
    return result;
  }

  return {
    async receive(body, link) {
      if (!isObject(body) || body['type'] !== 'Notification') throw badRequest('The body must be a Notification (5.3.1)');
      const { subscriptionId, id } = body;
      const copy = typeof subscriptionId === 'string' ? records.known(subscriptionId) : undefined;
      const to = copy?.wanted ? subscriptions.get(copy.tenant, copy.subscription) : undefined;
      if (copy === undefined || to === undefined)
        throw notFound(`There is no subscription here that ${JSON.stringify(subscriptionId)} is a copy of`);
      // What a paused or expired subscription would have heard is not kept for it (5.8.6).
      if (statusOf(to.subscription, clock.micros()) !== 'active') return;
      const own = body['@context'];
      const context = own === undefined ? (link ?? (await resolveContext(copy.context))) : await resolveContext(own);
      if (id === undefined) return take(copy, to, body, context);
      const key = `${copy.id} ${JSON.stringify(id)}`;
      const known = underWay.get(key);
      if (known !== undefined) return known;
      const taking = take(copy, to, body, context).finally(() => underWay.delete(key));
      underWay.set(key, taking);
      return taking;
    },
    start: lanes.start,
    resume: lanes.resume,
    stop: lanes.stop,
    idle: lanes.idle,
    forget: lanes.forget,
  };
}

/** Of one copy, notifications with the same id are the same. One without any is unlike all others. */
function occasionOf(copy: CopyRecord, { id }: JsonObject): string {
  const name = typeof id === 'string' ? `${copy.id} ${id}` : randomUUID();
  return `r${createHash('sha256').update(name).digest('hex').slice(0, 20)}`;
}
