import { describe, expect, it } from 'vitest';
import { DEFAULT_TENANT, type TenantId } from '../../broker/domain/iri.ts';
import type { StoredMessage } from '../../broker/ports/message-store.ts';
import type { OpenStores } from './stores.ts';

const message = (position: number, more: Partial<StoredMessage> = {}): StoredMessage => ({
  tenant: DEFAULT_TENANT,
  subscription: 's1',
  position,
  endpoint: 'remote /s1',
  attempts: 0,
  reason: '',
  dead: false,
  body: { content: position },
  ...more,
});

export function messageStoreContract(name: string, open: OpenStores): void {
  describe(`MessageStore on ${name}`, () => {
    it('keeps what a queue has to send in order, apart from other queues and from the dead', async () => {
      await using store = await open();
      const { messages } = store;
      expect(await messages.last()).toBe(0);
      const other = message(3, { endpoint: 'remote other/s1', tenant: 'other' as TenantId });
      await messages.add([message(9), message(5), other, message(2, { dead: true })]);
      expect((await messages.waiting('remote /s1', 1)).map(({ position, body }) => [position, body])).toEqual([
        [5, { content: 5 }],
      ]);
      expect(await messages.waiting('remote other/s1', 10)).toEqual([other]);
      expect(await messages.endpoints()).toEqual([
        { endpoint: 'remote /s1', waiting: 2 },
        { endpoint: 'remote other/s1', waiting: 1 },
      ]);
      expect(await messages.dead(10)).toEqual([message(2, { dead: true })]);
      expect(await messages.last()).toBe(9);
    });

    it('keeps attempts and verdict beside the content, and does not bring back what was removed', async () => {
      await using store = await open();
      const { messages } = store;
      await messages.add([message(1), message(2)]);
      await messages.remove([{ position: 2 }]);
      const failed = { attempts: 3, reason: 'answered 500', dead: true };
      await messages.park([message(1, failed), message(2, failed)]);
      expect(await messages.waiting('remote /s1', 10)).toEqual([]);
      expect(await messages.dead(10)).toEqual([message(1, failed)]);
    });

    it('removes a queue of one tenant only', async () => {
      await using store = await open();
      const { messages } = store;
      await messages.add([message(1), message(2, { tenant: 'other' as TenantId }), message(3, { dead: true })]);
      await messages.removeQueue(DEFAULT_TENANT, 'remote /s1');
      await messages.removeQueue('unknown' as TenantId, 'remote /s1');
      expect((await messages.waiting('remote /s1', 10)).map(({ position }) => position)).toEqual([2]);
      expect(await messages.dead(10)).toEqual([]);
    });
  });
}
