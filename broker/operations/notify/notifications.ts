import type { Change, Position } from '../../domain/change.ts';
import { compile } from '../../domain/query/evaluate.ts';
import type { Follow } from '../../domain/query/path.ts';
import { concerns, queriesOf, statusOf } from '../../domain/subscription.ts';
import type { Micros } from '../../domain/time.ts';
import type { ChangeFeed } from '../../ports/change-feed.ts';
import type { Clock } from '../../ports/clock.ts';
import type { DeliveryStore } from '../../ports/delivery-store.ts';
import type { DeliveryResult, Notifier, OutgoingNotification } from '../../ports/notifier.ts';
import type { LinkedReader } from '../linked.ts';
import type { BackOff } from './back-off.ts';
import { type DeliveryName, Lane, type Recalled } from './lane.ts';
import { noteAttempt } from './notification-state.ts';
import { notificationOf } from './render.ts';
import type { SplitEntities } from './split-entities.ts';
import { stillWanted } from './still-wanted.ts';
import type { SubscriptionInForce, SubscriptionsInForce } from './subscriptions-in-force.ts';
import { isThrottled, throttle } from './throttle.ts';
import { Watermark } from './watermark.ts';

/** The name under which the place in the change log is remembered. */
const READER = 'notifications';
/** How often what became of the notifications is written: it is told to whoever asks from memory, and only a restart reads it. */
const FLUSH_MICROS = 2_000_000;
/** Changes read at once. */
const BATCH = 512;

export interface NotificationsOptions {
  readonly feed: ChangeFeed;
  readonly deliveries: DeliveryStore;
  readonly subscriptions: SubscriptionsInForce;
  /** Reads what joined notifications and queries over linked entities need (4.5.23, 4.9). */
  readonly linked: LinkedReader;
  /** Entities that may be spread over several brokers. */
  readonly split: SplitEntities;
  readonly notifier: Notifier;
  readonly clock: Clock;
  readonly timeoutMs: number;
  readonly backOff: BackOff;
  /** Deliveries that may wait in memory, of all subscriptions together. */
  readonly maxInMemory?: number;
  onError(error: unknown): void;
}

/** Figures for /metrics and /health. */
export interface NotificationFigures {
  /** In memory, on their way. */
  readonly waiting: number;
  /** Committed changes not looked at yet. */
  readonly lag: number;
}

/**
 * Notifications (5.8.6): reads the change log from a durable cursor, finds the subscriptions that a change concerns, and hands each one's
 * notification to the lane of its endpoint. Delivered at least once, in order per entity; a notification keeps its id when it is sent again.
 */
export interface Notifications {
  start(): Promise<void>;
  /** Stops reading, gives what is under way a moment, and remembers the place. */
  stop(): Promise<void>;
  /** Deliveries were parked in this queue from outside, for example by an operator who replays them. */
  resume(endpoint: string): void;
  figures(): Promise<NotificationFigures>;
  /** Resolves when every change committed so far is delivered or parked. For tests and for draining. */
  idle(): Promise<void>;
}

const ANYTHING = () => true;

export function notifications(options: NotificationsOptions): Notifications {
  const { feed, deliveries, subscriptions, split, notifier, clock, backOff } = options;
  const throttled = throttle();
  const maxInMemory = options.maxInMemory ?? 200_000;
  const lanes = new Map<string, Lane<SubscriptionInForce>>();
  let watermark = new Watermark(0);
  let readTo: Position = 0;
  let inMemory = 0;
  let running = false;
  let stopped = false;
  let wanted = false;
  let stopListening = () => {};
  let saving: NodeJS.Timeout | undefined;
  let saved: Position = -1;
  let flushed: Micros = 0;

  async function send(subscriber: SubscriptionInForce, change: Change): Promise<DeliveryResult> {
    const now = clock.micros();
    const current = stillWanted(subscriptions.get(subscriber.tenant, subscriber.id), now);
    if ('delivered' in current) return current;
    const { joined, representation } = current.style;
    let notification: OutgoingNotification;
    try {
      const splits = split.splits(current);
      const told = splits ? await split.whole(current, change) : change;
      if (told === undefined || (splits && !throttled.admits(current, `${change.position}`, now))) return { delivered: true };
      const linked =
        joined === undefined || change.kind === 'deleted'
          ? undefined
          : await options.linked.linked(current.tenant, [told.entity], representation, joined.join);
      notification = notificationOf(current, told, options.timeoutMs, linked);
    } catch (error) {
      // More linked entities than the limit, or a store that is gone: later it may be different.
      return { delivered: false, reason: error instanceof Error ? error.message : String(error) };
    }
    const result = await notifier.deliver(notification);
    noteAttempt(current, result, clock.micros());
    if (result.delivered) throttled.done(current, `${change.position}`);
    return result;
  }

  /** Deliveries of one subscription lie close together in the log, so one look usually finds many of their changes. */
  async function recall(parked: readonly DeliveryName[]): Promise<(Recalled<SubscriptionInForce> | undefined)[]> {
    let window = new Map<Position, Change>();
    const found: (Recalled<SubscriptionInForce> | undefined)[] = [];
    for (const { tenant, subscription, position } of parked) {
      const subscriber = subscriptions.get(tenant, subscription);
      if (subscriber && !window.has(position)) {
        window = new Map((await feed.read(position - 1, BATCH)).map((change) => [change.position, change]));
      }
      const change = window.get(position);
      found.push(subscriber && change ? { subscriber, change } : undefined);
    }
    return found;
  }

  /**
   * Each subscription has its own lane, also where several name the same URI: what one of them has waiting delays no other, and its state
   * tells of its own deliveries.
   */
  const laneKey = ({ tenant, id }: SubscriptionInForce) => `${tenant}/${id}`;

  function laneOf(endpoint: string, backlog: boolean): Lane<SubscriptionInForce> {
    let lane = lanes.get(endpoint);
    if (!lane) {
      lane = new Lane<SubscriptionInForce>(
        endpoint,
        {
          deliveries,
          send,
          recall,
          backOffMs: (attempts, subscriber) => backOff.waitMs(attempts, subscriber.notification.endpoint.cooldownMs),
          maxAttempts: backOff.maxAttempts,
          maxHeld: 1000,
          // What is slow and not failing waits in memory, with little; when many are slow at once, their later deliveries go to the disk.
          maxWaiting: () => (inMemory < maxInMemory / 2 ? 20_000 : 1000),
          strands: 8,
          onError: options.onError,
        },
        backlog,
      );
      lanes.set(endpoint, lane);
    }
    return lane;
  }

  /** What the subscriptions that a change may concern have to know of linked entities; undefined, and no wait, if none asks for any. */
  function followsOf(
    candidates: Iterable<SubscriptionInForce>,
    change: Change,
  ): Promise<Map<SubscriptionInForce, Follow>> | undefined {
    const wanted: [SubscriptionInForce, Promise<Follow>][] = [];
    for (const candidate of candidates) {
      if (!candidate.looksAtLinked || split.splits(candidate)) continue;
      const follow = options.linked.follow(candidate.tenant, candidate.subscription.where, change.entity);
      if (follow !== undefined) wanted.push([candidate, follow]);
    }
    if (wanted.length === 0) return undefined;
    return Promise.all(wanted.map(async ([candidate, follow]) => [candidate, await follow] as const)).then(
      (pairs) => new Map(pairs),
    );
  }

  function dispatch(
    candidates: Iterable<SubscriptionInForce>,
    change: Change,
    follows?: ReadonlyMap<SubscriptionInForce, Follow>,
  ): void {
    const now = clock.micros();
    const concerned: SubscriptionInForce[] = [];
    for (const candidate of candidates) {
      const { subscription } = candidate;
      if (subscription.timeIntervalS !== undefined || statusOf(subscription, now) !== 'active') continue;
      if (split.splits(candidate)) {
        // Conditions are judged, and throttling is settled, when the parts of the entity are put together: in the lane, which may wait for sources.
        if (concerns(subscription, { ...candidate.tests, conditions: ANYTHING }, change)) concerned.push(candidate);
        continue;
      }
      const follow = follows?.get(candidate);
      const tests =
        follow === undefined
          ? candidate.tests
          : { ...candidate.tests, conditions: compile(queriesOf(subscription).conditions, follow) };
      if (!concerns(subscription, tests, change) || isThrottled(candidate, now)) continue;
      candidate.lastMade = now;
      concerned.push(candidate);
    }
    const dealtWith = watermark.begin(change.position, concerned.length);
    for (const subscriber of concerned) {
      inMemory++;
      laneOf(laneKey(subscriber), false).push(subscriber, change, () => {
        inMemory--;
        dealtWith();
        if (wanted && inMemory < maxInMemory) void pump();
      });
    }
  }

  async function pump(): Promise<void> {
    wanted = true;
    if (running || stopped) return;
    running = true;
    try {
      while (wanted && !stopped) {
        // The last resort, if not even the disk keeps up: a delivery that gets done calls again.
        if (inMemory >= maxInMemory) return;
        wanted = false;
        const changes = await feed.read(readTo, BATCH);
        for (const change of changes) {
          const candidates = subscriptions.index.candidates(change);
          const follows = followsOf(candidates, change);
          // After a wait the index may be another one.
          if (follows === undefined) dispatch(candidates, change);
          else {
            const known = await follows;
            dispatch(subscriptions.index.candidates(change), change, known);
          }
          readTo = change.position;
        }
        if (changes.length > 0) wanted = true;
      }
    } catch (error) {
      options.onError(error);
      setTimeout(() => void pump(), 1000).unref();
    } finally {
      running = false;
    }
  }

  async function save(): Promise<void> {
    const { passed } = watermark;
    if (passed !== saved) {
      await feed.moveCursor(READER, passed);
      saved = passed;
    }
    if (stopped || clock.micros() - flushed >= FLUSH_MICROS) {
      flushed = clock.micros();
      await subscriptions.flush();
    }
  }

  return {
    async start() {
      readTo = (await feed.cursor(READER)) ?? 0;
      watermark = new Watermark(readTo);
      saved = readTo;
      for (const { endpoint } of await deliveries.endpoints()) laneOf(endpoint, true);
      subscriptions.onChange((entry, what) => {
        if (what !== 'removed') return;
        lanes.get(laneKey(entry))?.discard();
        lanes.delete(laneKey(entry));
      });
      stopListening = feed.onCommit(() => void pump());
      // Moving the cursor seldom costs duplicates after a crash, never a loss.
      saving = setInterval(() => save().catch(options.onError), 250);
      saving.unref();
      void pump();
    },
    async stop() {
      stopped = true;
      stopListening();
      clearInterval(saving);
      const until = Date.now() + 2000;
      while (inMemory > 0 && Date.now() < until) await new Promise((wake) => setTimeout(wake, 10));
      for (const lane of lanes.values()) lane.close();
      for (const lane of lanes.values()) await lane.settled();
      await save();
    },
    resume(endpoint) {
      if (lanes.has(endpoint)) lanes.get(endpoint)?.resume();
      else laneOf(endpoint, true);
    },
    async figures() {
      return { waiting: inMemory, lag: (await feed.head()) - readTo };
    },
    async idle() {
      while (running || inMemory > 0 || (await feed.head()) > readTo) await new Promise((wake) => setTimeout(wake, 2));
      for (const lane of lanes.values()) await lane.settled();
    },
  };
}
