import { describe, expect, it } from 'vitest';
import { DEFAULT_TENANT, type TenantId } from '../../broker/domain/iri.ts';
import type { OpenStores } from './stores.ts';

const OTHER = 'other' as TenantId;

export function documentStoreContract(name: string, open: OpenStores): void {
  describe(`DocumentStore on ${name}`, () => {
    it('keeps documents apart by kind, tenant and id', async () => {
      await using store = await open();
      const { documents } = store;
      expect(await documents.put('subscription', DEFAULT_TENANT, 'a', { n: 1 })).toBe(1);
      expect(await documents.put('subscription', OTHER, 'a', { n: 2 })).toBe(1);
      expect(await documents.put('device', DEFAULT_TENANT, 'a', { n: 3 })).toBe(1);
      expect((await documents.get('subscription', DEFAULT_TENANT, 'a'))?.body).toEqual({ n: 1 });
      expect(await documents.get('subscription', DEFAULT_TENANT, 'b')).toBeUndefined();
      expect(await documents.get('mapping', DEFAULT_TENANT, 'a')).toBeUndefined();
      expect((await documents.list('subscription', DEFAULT_TENANT)).map(({ body }) => body)).toEqual([{ n: 1 }]);
      expect((await documents.list('subscription', undefined)).map(({ tenant }) => tenant)).toEqual([DEFAULT_TENANT, OTHER]);
      expect(await documents.list('subscription', 'nobody' as TenantId)).toEqual([]);
      expect(await documents.delete('subscription', OTHER, 'a')).toBe(true);
      expect(await documents.delete('subscription', OTHER, 'a')).toBe(false);
      expect(await documents.get('subscription', DEFAULT_TENANT, 'a')).toBeDefined();
    });

    it('lists in ascending id', async () => {
      await using store = await open();
      for (const id of ['b', 'c', 'a']) await store.documents.put('device', DEFAULT_TENANT, id, {});
      expect((await store.documents.list('device', DEFAULT_TENANT)).map(({ id }) => id)).toEqual(['a', 'b', 'c']);
    });

    it('puts only over the version that the caller expects', async () => {
      await using store = await open();
      const { documents } = store;
      expect(await documents.put('setting', DEFAULT_TENANT, 'a', { n: 1 }, 1)).toBeUndefined();
      expect(await documents.put('setting', DEFAULT_TENANT, 'a', { n: 1 }, 0)).toBe(1);
      expect(await documents.put('setting', DEFAULT_TENANT, 'a', { n: 2 }, 0)).toBeUndefined();
      const results = await Promise.all([2, 3].map((n) => documents.put('setting', DEFAULT_TENANT, 'a', { n }, 1)));
      expect(results.filter((version) => version !== undefined)).toEqual([2]);
      expect((await documents.get('setting', DEFAULT_TENANT, 'a'))?.version).toBe(2);
    });
  });
}
