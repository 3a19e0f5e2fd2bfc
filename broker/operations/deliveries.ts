import { type AccessFunction, type Caller, demand } from '../domain/access.ts';
import type { DeliveryStore, ParkedDelivery } from '../ports/delivery-store.ts';

/** Dead deliveries looked at in one call. */
const AT_ONCE = 10_000;

/** For operators: deliveries that were given up (the dead-letter list). */
export interface DeliveryOperations {
  /** Oldest first. */
  deadDeliveries(caller: Caller, subscription?: string): Promise<readonly ParkedDelivery[]>;
  /** Tries them again, as if they had never failed. @returns how many */
  replayDeliveries(caller: Caller, subscription?: string): Promise<number>;
  /** Forgets them. @returns how many */
  dropDeliveries(caller: Caller, subscription?: string): Promise<number>;
}

/** Where deliveries wait. */
type Store = Pick<DeliveryStore, 'dead' | 'park' | 'remove'>;

export function deliveryOperations(dependencies: {
  readonly stores: readonly Store[];
  /** Makes the queues send what waits in them. */
  readonly resume: (endpoint: string) => void;
  readonly access: AccessFunction;
}): DeliveryOperations {
  const { stores, resume, access } = dependencies;

  function demanded(caller: Caller, operation: string): void {
    demand(access, caller, { operation, effect: 'administer' });
  }

  async function dead(store: Store, caller: Caller, subscription: string | undefined): Promise<readonly ParkedDelivery[]> {
    const all = await store.dead(AT_ONCE);
    return all.filter(
      (one) => one.tenant === caller.tenant && (subscription === undefined || one.subscription === subscription),
    );
  }

  return {
    async deadDeliveries(caller, subscription) {
      demanded(caller, 'deadDeliveries');
      return (await Promise.all(stores.map((store) => dead(store, caller, subscription)))).flat();
    },

    async replayDeliveries(caller, subscription) {
      demanded(caller, 'replayDeliveries');
      let replayed = 0;
      for (const store of stores) {
        const found = await dead(store, caller, subscription);
        await store.park(found.map((one) => ({ ...one, attempts: 0, dead: false })));
        for (const endpoint of new Set(found.map((one) => one.endpoint))) resume(endpoint);
        replayed += found.length;
      }
      return replayed;
    },

    async dropDeliveries(caller, subscription) {
      demanded(caller, 'dropDeliveries');
      let dropped = 0;
      for (const store of stores) {
        const found = await dead(store, caller, subscription);
        await store.remove(found);
        dropped += found.length;
      }
      return dropped;
    },
  };
}
