import { type Iri, isIri, type TenantId } from '../../domain/iri.ts';
import type { DocumentStore } from '../../ports/document-store.ts';

/** Numbers of attribute names (with a datasetId), given once: part of the ids of what has no entity of its own (ADR-0006). */
export interface SeriesNames {
  /** Below 2^20. */
  number(tenant: TenantId, name: Iri, datasetId?: Iri): Promise<number>;
  /** undefined: nobody has this number. */
  named(tenant: TenantId, number: number): Promise<{ readonly name: Iri; readonly datasetId?: Iri } | undefined>;
}

const MOST = 2 ** 20 - 1;

export function seriesNames(documents: DocumentStore): SeriesNames {
  interface Known {
    readonly numbers: Map<string, number>;
    readonly keys: Map<number, string>;
  }
  const tenants = new Map<TenantId, Promise<Known>>();

  async function load(tenant: TenantId): Promise<Known> {
    const known: Known = { numbers: new Map(), keys: new Map() };
    for (const { id, body } of await documents.list('series-name', tenant)) {
      known.numbers.set(String(body['key']), Number(id));
      known.keys.set(Number(id), String(body['key']));
    }
    return known;
  }

  function of(tenant: TenantId): Promise<Known> {
    const found = tenants.get(tenant) ?? load(tenant);
    tenants.set(tenant, found);
    return found;
  }

  return {
    async number(tenant, name, datasetId) {
      const key = datasetId === undefined ? name : `${name} ${datasetId}`;
      for (;;) {
        const known = await of(tenant);
        const number = known.numbers.get(key);
        if (number !== undefined) return number;
        const next = known.keys.size + 1;
        if (next > MOST) throw new RangeError('There are no more numbers for attribute names');
        // Taken at once, so that the next who asks in this process takes another.
        known.keys.set(next, key);
        known.numbers.set(key, next);
        if ((await documents.put('series-name', tenant, String(next), { key }, 0)) !== undefined) return next;
        // Another process was faster: see what it wrote.
        tenants.delete(tenant);
      }
    },
    async named(tenant, number) {
      const key = (await of(tenant)).keys.get(number);
      if (key === undefined) return undefined;
      const [name, datasetId] = key.split(' ') as [Iri, Iri | undefined];
      return { name, ...(isIri(datasetId) ? { datasetId } : {}) };
    },
  };
}
