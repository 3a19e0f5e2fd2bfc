import type { Caller } from '../domain/access.ts';
import type { Iri } from '../domain/iri.ts';
import type { JsonValue } from '../domain/json.ts';
import type { Context } from '../domain/jsonld/context.ts';
import type { Clock } from '../ports/clock.ts';
import type { DocumentStore } from '../ports/document-store.ts';
import type { MessageStore } from '../ports/message-store.ts';
import type { Notifier } from '../ports/notifier.ts';
import { subscriptionCopies } from './copies/copies.ts';
import { type InboundNotifications, inboundNotifications } from './copies/inbound.ts';
import { withInternalSubscriptions } from './copies/internal-subscriptions.ts';
import { type CopyRecords, copyRecords } from './copies/records.ts';
import type { LinkedReader } from './linked.ts';
import { type BackOff, backOff } from './notify/back-off.ts';
import { type SplitEntities, saysSplit } from './notify/split-entities.ts';
import type { SubscriptionInForce, SubscriptionsInForce } from './notify/subscriptions-in-force.ts';
import type { Registry } from './registry.ts';
import type { SubscriptionOperations } from './subscriptions.ts';

/** Subscriptions that reach over several brokers (5.8.1.4, 5.8.6): copies at context sources, and what these notify. */
export interface DistributedSubscriptions {
  /** Those to registrations, with the ones that subscriptions to entities come with. */
  readonly registrationSubscriptions: SubscriptionOperations;
  readonly records: CopyRecords;
  readonly receive: InboundNotifications['receive'];
  /** A subscription was made, changed or deleted. */
  changed(id: Iri, caller: Caller): void;
  /** What waits for the subscriber of a subscription that is gone goes too. */
  forget(entry: SubscriptionInForce): Promise<void>;
  resume(endpoint: string): void;
  /** Reads what is stored, at start; what was received goes out. */
  load(): Promise<void>;
  /** Begins to ask sources: they must be able to notify this broker. */
  start(): Promise<void>;
  /** Copies that something has still to be done about. */
  outstanding(): number;
  /** Resolves when no request is under way any more: the context source must be closed meanwhile, or this waits for its answers. */
  stop(): Promise<void>;
  /** Resolves when what is wanted of sources is settled, whether they answer or not, and nothing that was received is on its way. For tests. */
  idle(): Promise<void>;
}

/** Between attempts at a source that does not answer. */
const SOURCE_BACK_OFF = { firstMs: 1_000, longestMs: 300_000 };

export function distributedSubscriptions(dependencies: {
  readonly registry: Registry;
  readonly subscriptions: SubscriptionsInForce;
  readonly split: SplitEntities;
  readonly splitByDefault: boolean;
  readonly linked: LinkedReader;
  readonly resolveContext: (source: JsonValue) => Promise<Context> | Context;
  readonly documents: DocumentStore;
  readonly messages: MessageStore;
  readonly number: () => number;
  readonly notifier: Notifier;
  readonly clock: Clock;
  readonly timeoutMs: number;
  readonly backOff: BackOff;
  /** Notifications that may wait for one subscriber. */
  readonly mostWaiting: number;
  /** Between attempts at a source that does not answer. */
  readonly sourceBackOff?: BackOff;
  /** How often it is looked whether sources still have their copies; 0: never. */
  readonly lookEveryMs: number;
  /** Where sources reach this broker; undefined: nobody can. */
  readonly endpoint: () => string | undefined;
  readonly onError: (error: unknown) => void;
}): DistributedSubscriptions {
  const { registry, subscriptions, documents, splitByDefault, clock, endpoint } = dependencies;
  const records = copyRecords(documents);
  const inbound = inboundNotifications({ ...dependencies, records });
  const copies = subscriptionCopies({
    ...dependencies,
    records,
    registrations: registry.inForce,
    sources: registry.sources,
    backOff: dependencies.sourceBackOff ?? backOff(1, SOURCE_BACK_OFF),
    splits: (document) => saysSplit(document, splitByDefault),
  });
  registry.onChange(({ tenant, before, after }) => {
    const id = (after ?? before)?.id;
    if (id !== undefined) copies.registrationChanged(tenant, id);
  });
  return {
    registrationSubscriptions: withInternalSubscriptions(registry.subscriptions, { subscriptions, clock, endpoint }),
    records,
    receive: inbound.receive,
    changed: (id, { tenant, onward }) => copies.subscriptionChanged(tenant, id, onward?.headers),
    forget: inbound.forget,
    resume: inbound.resume,
    async load() {
      await records.load();
      await inbound.start();
    },
    start: copies.start,
    outstanding: copies.outstanding,
    async stop() {
      await copies.stop();
      await inbound.stop();
    },
    async idle() {
      await copies.planned();
      await inbound.idle();
    },
  };
}
