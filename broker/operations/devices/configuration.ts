import type { Change, Position } from '../../domain/change.ts';
import type { KnownDevice } from '../../domain/device.ts';
import type { Iri, TenantId } from '../../domain/iri.ts';
import type { ChangeFeed } from '../../ports/change-feed.ts';
import type { DocumentStore } from '../../ports/document-store.ts';

/** What a device wants to be told whenever it changes, and how. */
export interface ConfigurationSubscription {
  /** Names as the device says them. */
  readonly fields: readonly string[];
  readonly format: 'json' | 'ultralight';
  /** May hold the key of the device, and so is not stored. */
  readonly topic: string;
}

/** Devices that asked to be told of changes of their configuration: one subscription each, the last one they asked for. */
export interface ConfigurationSubscriptions {
  /** Resolves when it is on disk. Without fields the device wants to be told no more. */
  put(known: KnownDevice, subscription: ConfigurationSubscription): Promise<void>;
  /** The device is gone. */
  forget(identity: string): Promise<void>;
  /** Reads what is stored, tells each device once how things are, and every change from then on. */
  start(): Promise<void>;
  stop(): Promise<void>;
}

export interface ConfigurationSubscriptionOptions {
  readonly documents: DocumentStore;
  readonly feed: ChangeFeed;
  /** The device as it is provisioned now; undefined: it is gone. */
  readonly device: (identity: string) => KnownDevice | undefined;
  /** The entity of a device. @throws PayloadError if its mapping cannot be used */
  readonly entityOf: (known: KnownDevice) => Iri;
  /** The topic of a device that asked before the broker was started. @param slash whether it begins with one @returns undefined if the device must ask again */
  readonly topicOf: (known: KnownDevice, slash: boolean) => string | undefined;
  /** Tells the device the values as they are now. */
  readonly tell: (known: KnownDevice, subscription: ConfigurationSubscription) => Promise<void>;
  readonly onError: (error: unknown) => void;
}

const PAGE = 500;
const RETRY_MS = 1000;

export function configurationSubscriptions(options: ConfigurationSubscriptionOptions): ConfigurationSubscriptions {
  const { documents, feed, device, entityOf, topicOf, tell, onError } = options;
  const subscriptions = new Map<string, ConfigurationSubscription & { readonly tenant: TenantId }>();
  /** Identities by tenant and entity. */
  const byEntity = new Map<string, Set<string>>();
  let position: Position | undefined;
  let reading: Promise<void> | undefined;
  let again = false;
  let stopped = false;
  let unsubscribe = (): void => {};

  const placeOf = (tenant: TenantId, entity: Iri): string => `${tenant}\n${entity}`;

  function place(known: KnownDevice): void {
    const at = placeOf(known.tenant, entityOf(known));
    const own = byEntity.get(at) ?? new Set();
    byEntity.set(at, own.add(known.identity));
  }

  async function read(): Promise<void> {
    do {
      again = false;
      for (;;) {
        // Nobody wants to know: the log need not be read.
        if (subscriptions.size === 0) {
          position = undefined;
          return;
        }
        position ??= await feed.head();
        const changes = await feed.read(position, PAGE);
        if (changes.length === 0) break;
        const due = new Set<string>();
        for (const change of changes) for (const identity of concerned(change)) due.add(identity);
        for (const identity of due) await tellOne(identity);
        position = changes.at(-1)?.position ?? position;
      }
    } while (again && !stopped);
  }

  /** Devices whose fields the change touches. */
  function concerned({ tenant, id, attributes }: Change): readonly string[] {
    const found = byEntity.get(placeOf(tenant, id));
    if (found === undefined) return [];
    const changed = new Set(attributes.map(({ name }) => name));
    return [...found].filter((identity) => {
      const known = device(identity);
      return known !== undefined && subscriptions.get(identity)?.fields.some((field) => changed.has(known.expand(field)));
    });
  }

  async function tellOne(identity: string): Promise<void> {
    const known = device(identity);
    const subscription = subscriptions.get(identity);
    if (known === undefined || subscription === undefined) return;
    try {
      await tell(known, subscription);
    } catch (error) {
      onError(error);
    }
  }

  function wake(): void {
    if (stopped) return;
    if (reading !== undefined) {
      again = true;
      return;
    }
    reading = read()
      .catch((error: unknown) => {
        onError(error);
        setTimeout(wake, RETRY_MS).unref();
      })
      .finally(() => {
        reading = undefined;
        if (again) wake();
      });
  }

  return {
    async put(known, subscription) {
      const { identity, tenant } = known;
      if (subscription.fields.length === 0) return this.forget(identity);
      // What changes from now on is told, also while this is being stored.
      position ??= await feed.head();
      subscriptions.set(identity, { ...subscription, tenant });
      place(known);
      const { topic, ...stored } = subscription;
      await documents.put('device-configuration', tenant, identity, { ...stored, slash: topic.startsWith('/') });
      wake();
    },
    async forget(identity) {
      const known = subscriptions.get(identity);
      if (known === undefined) return;
      subscriptions.delete(identity);
      for (const [at, own] of byEntity) if (own.delete(identity) && own.size === 0) byEntity.delete(at);
      await documents.delete('device-configuration', known.tenant, identity);
    },
    async start() {
      position = await feed.head();
      for (const { tenant, id, body } of await documents.list('device-configuration', undefined)) {
        const known = device(id);
        if (known === undefined) {
          await documents.delete('device-configuration', tenant, id);
          continue;
        }
        const { slash, ...stored } = body as unknown as Omit<ConfigurationSubscription, 'topic'> & { readonly slash: boolean };
        const topic = topicOf(known, slash);
        if (topic === undefined) continue;
        subscriptions.set(id, { ...stored, topic, tenant });
        try {
          place(known);
        } catch (error) {
          onError(error);
        }
      }
      unsubscribe = feed.onCommit(wake);
      for (const identity of subscriptions.keys()) await tellOne(identity);
      wake();
    },
    async stop() {
      stopped = true;
      unsubscribe();
      await reading;
    },
  };
}
