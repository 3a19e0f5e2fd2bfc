import { describe, expect, it } from 'vitest';
import { DEFAULT_TENANT, type TenantId } from '../../broker/domain/iri.ts';
import type { ParkedDelivery } from '../../broker/ports/delivery-store.ts';
import type { OpenStores } from './stores.ts';

const parked = (subscription: string, position: number, more: Partial<ParkedDelivery> = {}): ParkedDelivery => ({
  tenant: DEFAULT_TENANT,
  subscription,
  position,
  endpoint: 'http://listener/',
  attempts: 1,
  reason: 'connection refused',
  dead: false,
  ...more,
});

export function deliveryStoreContract(name: string, open: OpenStores): void {
  describe(`DeliveryStore on ${name}`, () => {
    it('keeps an endpoint’s deliveries in order, apart from those of others and from the dead', async () => {
      await using store = await open();
      const { deliveries } = store;
      expect(await deliveries.oldest()).toBeUndefined();
      const other = parked('s2', 3, { endpoint: 'mqtt://other', tenant: 'other' as TenantId });
      await deliveries.park([parked('s1', 9), parked('s1', 5), parked('s2', 5), other, parked('s1', 2, { dead: true })]);
      expect((await deliveries.waiting('http://listener/', 2)).map((one) => [one.position, one.subscription])).toEqual([
        [5, 's1'],
        [5, 's2'],
      ]);
      expect(await deliveries.waiting('mqtt://other', 10)).toEqual([other]);
      expect(await deliveries.endpoints()).toEqual([
        { endpoint: 'http://listener/', waiting: 3 },
        { endpoint: 'mqtt://other', waiting: 1 },
      ]);
      expect(await deliveries.dead(10)).toEqual([parked('s1', 2, { dead: true })]);
      expect(await deliveries.oldest()).toBe(2);
    });

    it('parks the same delivery once, with the newest attempts, reason and verdict', async () => {
      await using store = await open();
      const { deliveries } = store;
      await deliveries.park([parked('s', 1)]);
      await deliveries.park([parked('s', 1, { attempts: 7, reason: 'HTTP 500', dead: true })]);
      expect(await deliveries.waiting('http://listener/', 10)).toEqual([]);
      expect(await deliveries.dead(10)).toEqual([parked('s', 1, { attempts: 7, reason: 'HTTP 500', dead: true })]);
      await deliveries.park([parked('s', 1, { dead: false })]);
      expect(await deliveries.waiting('http://listener/', 10)).toHaveLength(1);
    });

    it('removes what was delivered, and everything of a subscription that ended', async () => {
      await using store = await open();
      const { deliveries } = store;
      await deliveries.park([parked('s', 1), parked('s', 2), parked('t', 1), parked('t', 2, { dead: true })]);
      await deliveries.remove([{ subscription: 's', position: 1 }]);
      expect((await deliveries.waiting('http://listener/', 10)).map((one) => [one.subscription, one.position])).toEqual([
        ['t', 1],
        ['s', 2],
      ]);
      await deliveries.removeSubscription(DEFAULT_TENANT, 't');
      expect(await deliveries.dead(10)).toEqual([]);
      expect(await deliveries.oldest()).toBe(2);
    });

    it('a subscription that ends takes nothing from the one with the same id in another tenant', async () => {
      await using store = await open();
      const { deliveries } = store;
      const other = parked('s', 2, { tenant: 'other' as TenantId });
      await deliveries.park([parked('s', 1), other]);
      await deliveries.removeSubscription(DEFAULT_TENANT, 's');
      await deliveries.removeSubscription('never-seen' as TenantId, 's');
      expect(await deliveries.waiting('http://listener/', 10)).toEqual([other]);
    });
  });
}
