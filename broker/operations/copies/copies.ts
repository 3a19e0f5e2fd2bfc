import { randomUUID } from 'node:crypto';
import type { Onward } from '../../domain/distribution.ts';
import type { Iri, TenantId } from '../../domain/iri.ts';
import { type JsonObject, type JsonValue, jsonEquals } from '../../domain/json.ts';
import type { Context } from '../../domain/jsonld/context.ts';
import type { Registration } from '../../domain/registration.ts';
import { statusOf } from '../../domain/subscription.ts';
import { copyFragment } from '../../domain/subscription-copy.ts';
import type { SubscriptionDocument } from '../../domain/subscription-document.ts';
import type { Clock } from '../../ports/clock.ts';
import type { Sources } from '../distributed/sources.ts';
import type { BackOff } from '../notify/back-off.ts';
import type { SubscriptionInForce, SubscriptionsInForce } from '../notify/subscriptions-in-force.ts';
import type { RegistrationsInForce } from '../registry/registrations-in-force.ts';
import { askedFor, type Concerned, copyPlanner, type Plan } from './planning.ts';
import type { CopyRecord, CopyRecords } from './records.ts';
import { type CopyReply, copyRequests } from './requests.ts';
import { type Outcome, type SourceQueue, sourceQueue } from './source-queue.ts';

/**
 * Copies of subscriptions at context sources (5.8.1.4). What is wanted follows from the subscriptions and registrations there are, and is compared with what is known
 * to be at the sources: so a start, a change of either, and a source that is back all end in the same place. Nobody waits for a source.
 */
export interface SubscriptionCopies {
  /** Begins to ask sources, for everything that is wanted by now. */
  start(): Promise<void>;
  /** A subscription was made, changed or deleted. @param headers of the request, for contextSourceInfo that asks for them */
  subscriptionChanged(tenant: TenantId, id: Iri, headers?: Onward['headers']): void;
  /** A registration was made, changed or deleted. */
  registrationChanged(tenant: TenantId, id: Iri): void;
  /** Copies for which something is still to be done at their source. */
  outstanding(): number;
  stop(): Promise<void>;
  /** Resolves when everything wanted so far is asked for; what sources do not answer stays outstanding. For tests. */
  planned(): Promise<void>;
}

/** How long until planning that failed is tried again. */
const REPLAN_MS = 30_000;
/** First and longest pause until a copy that its source refuses is offered again. */
const REFUSED_MS = { first: 5_000, longest: 600_000 };

export function subscriptionCopies(dependencies: {
  readonly records: CopyRecords;
  readonly subscriptions: SubscriptionsInForce;
  readonly registrations: RegistrationsInForce;
  readonly sources: Sources;
  readonly resolveContext: (source: JsonValue) => Promise<Context> | Context;
  readonly clock: Clock;
  readonly backOff: BackOff;
  /** How often it is looked whether sources still have their copies; 0: never. */
  readonly lookEveryMs: number;
  /** Whether entities of a subscription may be spread over several brokers. */
  readonly splits: (document: SubscriptionDocument) => boolean;
  /** Where sources send their notifications; undefined: nobody could reach this broker. */
  readonly endpoint: () => string | undefined;
  readonly onError: (error: unknown) => void;
}): SubscriptionCopies {
  const { records, subscriptions, registrations, sources, resolveContext, clock, backOff, lookEveryMs, endpoint, onError } =
    dependencies;
  const planner = copyPlanner(dependencies);
  const requests = copyRequests({ sources, registrations });
  const queues = new Map<string, SourceQueue>();
  const plans = new Map<string, Plan>();
  /** Planning of one subscription happens in order. */
  const lines = new Map<string, Promise<void>>();
  /** Copies of which it is to be looked whether they are still there. */
  const due = new Set<string>();
  let looking: NodeJS.Timeout | undefined;
  let started = false;
  let stopped = false;

  function queueOf({ endpoint: url, tenant = '' }: Registration): SourceQueue {
    const key = `${url} ${tenant}`;
    let queue = queues.get(key);
    if (queue === undefined) {
      queue = sourceQueue({ settle, backOff, onError });
      queues.set(key, queue);
    }
    return queue;
  }

  const wake = (record: CopyRecord): void => {
    if (!stopped) queueOf(record.source).wake(record.id);
  };

  function plan(tenant: TenantId, id: Iri, headers: Onward['headers'] = {}, only?: Iri): void {
    // A start plans everything, and by then it is known where sources can notify this broker.
    if (!started || stopped) return;
    if (!registrations.any(tenant) && records.of(tenant, id).length === 0) return;
    const key = `${tenant} ${id}`;
    const before = lines.get(key) ?? Promise.resolve();
    const done = before
      .then(() => (stopped ? undefined : replan(tenant, id, headers, only)))
      .catch((error: unknown) => {
        onError(error);
        // An @context that cannot be had now, for example.
        if (!stopped) setTimeout(() => plan(tenant, id, headers, only), REPLAN_MS).unref();
      });
    lines.set(key, done);
    void done.then(() => {
      if (lines.get(key) === done) lines.delete(key);
    });
  }

  /** @param only the one registration that is concerned; undefined: all */
  async function replan(tenant: TenantId, id: Iri, headers: Onward['headers'], only: Iri | undefined): Promise<void> {
    const entry = subscriptions.get(tenant, id);
    const left = new Map(
      records
        .of(tenant, id)
        .filter(({ wanted, registration }) => wanted && (only ?? registration) === registration)
        .map((record) => [record.registration, record]),
    );
    const concerned = entry === undefined ? [] : planner.sourcesOf(entry, only);
    if (left.size === 0 && concerned.length === 0) return;
    if (endpoint() === undefined) tellOnce();
    const wanting = concerned.map((one) => {
      const record = left.get(one.source.id);
      left.delete(one.source.id);
      return want(entry as SubscriptionInForce, one, headers, record);
    });
    for (const record of left.values()) await dismantle(record, headers);
    // An @context that one source wants and that cannot be had is no reason to leave out the others.
    for (const one of await Promise.allSettled(wanting)) if (one.status === 'rejected') throw one.reason;
  }

  async function want(
    entry: SubscriptionInForce,
    concerned: Concerned,
    headers: Onward['headers'],
    record: CopyRecord | undefined,
  ): Promise<void> {
    const { id, registration } = concerned.source;
    const given = plans.get(record?.id ?? '')?.asked.headers ?? {};
    const planned = await planner.planFor(entry, concerned, { ...given, ...headers });
    const hasEnded = statusOf(entry.subscription, clock.micros()) === 'expired';
    const stays = planned !== undefined && record !== undefined && samePlace(record.source, registration);
    if (record !== undefined && !stays) await dismantle(record, headers);
    if (planned === undefined) return;
    if (stays) {
      plans.set(record.id, planned);
      // An expired one is left as it is: it expired there as well, and is revived by a new expiresAt.
      if (hasEnded) return;
      const { source: context } = planned.context;
      const now = await records.change(record.id, (one) => ({ ...one, source: registration, context, attempts: 0 }));
      if (now) wake(now);
      return;
    }
    if (hasEnded) return;
    const made: CopyRecord = {
      id: `urn:ngsi-ld:Subscription:distsub:${randomUUID()}` as Iri,
      tenant: entry.tenant,
      subscription: entry.id,
      registration: id,
      source: registration,
      context: planned.context.source,
      wanted: true,
      attempts: 0,
    };
    plans.set(made.id, planned);
    await records.put(made);
    wake(made);
  }

  let told = false;
  function tellOnce(): void {
    const what = 'Context sources are not subscribed to: MIZAR_PUBLIC_URL does not say where they could notify this broker';
    if (!told) onError(new Error(what));
    told = true;
  }

  async function dismantle({ id, source }: CopyRecord, headers: Onward['headers']): Promise<void> {
    const planned = plans.get(id);
    if (planned) {
      const asked = { ...planned.asked, headers: { ...planned.asked.headers, ...askedFor(source, headers) } };
      plans.set(id, { ...planned, asked });
    }
    const ending = await records.change(id, (one) => ({ ...one, wanted: false, attempts: 0 }));
    if (ending) wake(ending);
  }

  /** Brings one copy to what it is to be. */
  async function settle(id: string): Promise<Outcome> {
    for (;;) {
      const record = records.get(id);
      if (record === undefined || stopped) return 'done';
      const planned = plans.get(id);
      if (!record.wanted) {
        const reply = await removeAt(record, planned);
        if (reply.kind === 'down' || reply.kind === 'refused') return failed(record, reply);
        plans.delete(id);
        due.delete(id);
        await records.remove(record);
        return 'done';
      }
      // Not planned yet, as at a start: planning wakes it.
      if (planned === undefined) return 'done';
      const { body } = planned;
      const { accepted, uncertain } = record;
      if (accepted !== undefined && !uncertain && jsonEquals(accepted, body)) {
        if (!due.has(id)) return 'done';
        const reply = await requests.look(record, planned.context, planned.asked);
        if (reply.kind === 'down') return failed(record, reply);
        due.delete(id);
        if (reply.kind !== 'refused')
          await records.change(id, (one) => (reply.kind === 'absent' ? withoutAccepted(one) : withAccepted(one, body, reply)));
        continue;
      }
      const reply =
        accepted === undefined
          ? await createAt(record, planned)
          : await updateAt(record, planned, copyFragment(uncertain ? undefined : accepted, body));
      if (reply === 'replaced') continue;
      if (reply.kind === 'down' || reply.kind === 'refused') return failed(record, reply);
      await records.change(id, (one) => (reply.kind === 'absent' ? withoutAccepted(one) : withAccepted(one, body, reply)));
    }
  }

  function look(): void {
    for (const record of records.all()) {
      if (!record.wanted || record.accepted === undefined || !record.source.operations.includes('retrieveSubscription'))
        continue;
      due.add(record.id);
      wake(record);
    }
  }

  async function createAt(record: CopyRecord, planned: Plan): Promise<CopyReply | 'replaced'> {
    const { body, context, asked } = planned;
    const reply = await requests.create(record, context, asked, body);
    if (reply.kind !== 'exists') return reply;
    // An earlier request arrived, and its answer did not: whatever the source was told then, it is told everything now.
    const again = await updateAt(record, planned, copyFragment(undefined, body));
    return again !== 'replaced' && again.kind === 'absent'
      ? { kind: 'refused', reason: 'it is there already, and not known' }
      : again;
  }

  /** A source that cannot change subscriptions gets a new copy in place of the old one. */
  async function updateAt(record: CopyRecord, { context, asked }: Plan, fragment: JsonObject): Promise<CopyReply | 'replaced'> {
    const { operations } = record.source;
    if (operations.includes('updateSubscription')) {
      await records.change(record.id, (one) => ({ ...one, uncertain: true }));
      return requests.update(record, context, asked, fragment);
    }
    if (!operations.includes('deleteSubscription'))
      return { kind: 'refused', reason: 'the source offers neither updateSubscription nor deleteSubscription' };
    await dismantle(record, asked.headers);
    plan(record.tenant, record.subscription, asked.headers, record.registration);
    return 'replaced';
  }

  async function removeAt(record: CopyRecord, planned: Plan | undefined): Promise<CopyReply> {
    // What the source does not offer is not asked for (4.3.6.1): it goes on, and what it sends is refused.
    if (!record.source.operations.includes('deleteSubscription')) return { kind: 'done' };
    const context = planned?.context ?? (await resolveContext(undefined as never));
    return requests.remove(record, context, planned?.asked ?? { via: [], headers: {} });
  }

  async function failed(record: CopyRecord, { kind, reason }: Extract<CopyReply, { reason: string }>): Promise<Outcome> {
    const failing = (one: CopyRecord) => ({ ...one, attempts: one.attempts + 1, reason, failedAt: clock.micros() });
    const attempts = (await records.change(record.id, failing))?.attempts ?? 1;
    if (kind === 'down') return 'down';
    return { againInMs: Math.min(REFUSED_MS.first * 2 ** Math.min(attempts - 1, 20), REFUSED_MS.longest) };
  }

  return {
    async start() {
      started = true;
      // Of subscriptions that are gone, only the copies tell.
      const concerned = new Map<string, readonly [TenantId, Iri]>();
      for (const record of records.all()) {
        if (record.wanted) concerned.set(`${record.tenant} ${record.subscription}`, [record.tenant, record.subscription]);
        else wake(record);
      }
      for (const { tenant, id } of subscriptions.all()) concerned.set(`${tenant} ${id}`, [tenant, id]);
      for (const [tenant, id] of concerned.values()) plan(tenant, id);
      // A source can lose what it has, and would not tell.
      if (lookEveryMs > 0) looking = setInterval(look, lookEveryMs).unref();
    },
    subscriptionChanged: (tenant, id, headers) => plan(tenant, id, headers),
    registrationChanged(tenant, registration) {
      const concerned = new Set<Iri>(subscriptions.of(tenant).map(({ id }) => id));
      for (const record of records.all())
        if (record.tenant === tenant && record.registration === registration) concerned.add(record.subscription);
      for (const id of concerned) plan(tenant, id, {}, registration);
    },
    outstanding: () => [...queues.values()].reduce((sum, { outstanding }) => sum + outstanding, 0),
    async stop() {
      stopped = true;
      clearInterval(looking);
      await Promise.all([...queues.values()].map((queue) => queue.close()));
      // What is just being noted is noted; an @context that is being waited for is not.
      await Promise.race([Promise.all(lines.values()), new Promise((wake) => setTimeout(wake, 200))]);
    },
    async planned() {
      while (lines.size > 0) await Promise.all(lines.values());
    },
  };
}

const samePlace = (one: Registration, other: Registration): boolean =>
  one.endpoint === other.endpoint && one.tenant === other.tenant;

function withAccepted(record: CopyRecord, accepted: JsonObject, reply: CopyReply): CopyRecord {
  const { reason: _, failedAt: __, uncertain: ___, ...rest } = record;
  const remoteId = reply.kind === 'done' ? reply.remoteId : undefined;
  return { ...rest, accepted, attempts: 0, ...(remoteId === undefined || remoteId === record.id ? {} : { remoteId }) };
}

function withoutAccepted({ accepted: _, uncertain: __, remoteId: ___, ...rest }: CopyRecord): CopyRecord {
  return rest;
}
