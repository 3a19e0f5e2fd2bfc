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

export function deliveryOperations(dependencies: {
  readonly deliveries: DeliveryStore;
  /** Makes the queues send what waits in them. */
  readonly resume: (endpoint: string) => void;
  readonly access: AccessFunction;
}): DeliveryOperations {
  const { deliveries, resume, access } = dependencies;

  async function dead(caller: Caller, operation: string, subscription: string | undefined): Promise<readonly ParkedDelivery[]> {
    demand(access, caller, { operation, effect: 'administer' });
    const all = await deliveries.dead(AT_ONCE);
    return all.filter(
      (one) => one.tenant === caller.tenant && (subscription === undefined || one.subscription === subscription),
    );
  }

  return {
    deadDeliveries: (caller, subscription) => dead(caller, 'deadDeliveries', subscription),

    async replayDeliveries(caller, subscription) {
      const found = await dead(caller, 'replayDeliveries', subscription);
      await deliveries.park(found.map((one) => ({ ...one, attempts: 0, dead: false })));
      for (const endpoint of new Set(found.map((one) => one.endpoint))) resume(endpoint);
      return found.length;
    },

    async dropDeliveries(caller, subscription) {
      const found = await dead(caller, 'dropDeliveries', subscription);
      await deliveries.remove(found);
      return found.length;
    },
  };
}
