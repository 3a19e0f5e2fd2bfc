import type { AttributeInstance } from '../../domain/attribute.ts';
import type { Iri, TenantId } from '../../domain/iri.ts';
import type { Micros } from '../../domain/time.ts';
import type { NumberBound, NumberedInstance, Series, SeriesExtent, SeriesPage, SeriesStore } from '../../ports/series-store.ts';
import { type HistoryDocument, keyOf } from './collections.ts';
import type { HistoryFilter, Instances } from './instances.ts';
import type { Parts } from './parts.ts';
import type { Asked } from './reader.ts';

const ENTERED = { x: { $exists: false } };

/** History as series of numbered instances. */
export class MongoSeriesStore implements SeriesStore {
  readonly #parts: Parts;
  readonly #instances: Instances;

  constructor(parts: Parts, instances: Instances) {
    this.#parts = parts;
    this.#instances = instances;
  }

  async reserve(count: number): Promise<number> {
    const { instances } = this.#parts.numbers;
    return instances.atHand(count) ?? (await instances.take(count));
  }

  instanceId(number: number): Iri {
    return this.#parts.ids.of(number);
  }

  numberOf(instanceId: Iri): number | undefined {
    return this.#parts.ids.numberOf(instanceId);
  }

  async read(tenant: TenantId, series: Series, page: SeriesPage): Promise<readonly NumberedInstance[]> {
    const those = await this.#those(tenant, series);
    if (those === undefined || page.limit <= 0) return [];
    const { from, to, after, descending = false } = page;
    const parts: HistoryFilter[] = [those, ...bounds(from, to), ...behind(after, descending)];
    const direction = descending ? -1 : 1;
    const sort = { at: direction, _id: direction } as const;
    const found = await this.#some({ $and: parts } as HistoryFilter, { sort, limit: page.limit });
    return found.map((document) => this.#numbered(series.id, document));
  }

  async numbered(tenant: TenantId, numbers: readonly number[]): Promise<readonly (NumberedInstance | undefined)[]> {
    if (numbers.length === 0) return [];
    const filter = { $and: [{ _id: { $in: [...numbers] }, t: tenant }, ENTERED, this.#instances.kept()] } as HistoryFilter;
    const found = new Map<number, NumberedInstance>();
    for (const one of await this.#named(await this.#some(filter, { limit: numbers.length }))) {
      found.set(one.number, one);
    }
    return numbers.map((number) => found.get(number));
  }

  async walk(
    tenant: TenantId,
    { after, limit, descending = false }: { readonly after?: number; readonly limit: number; readonly descending?: boolean },
  ): Promise<readonly NumberedInstance[]> {
    if (limit <= 0) return [];
    const behind = after === undefined ? {} : { _id: { [descending ? '$lt' : '$gt']: after } };
    const filter = { $and: [{ t: tenant, ...behind }, ENTERED, this.#instances.kept()] } as HistoryFilter;
    return this.#named(await this.#some(filter, { sort: { _id: descending ? -1 : 1 }, limit }));
  }

  async across(
    tenant: TenantId,
    names: readonly Iri[],
    page: SeriesPage & { readonly numbers?: readonly NumberBound[] },
  ): Promise<{ readonly found: readonly NumberedInstance[]; readonly next: SeriesPage['after'] }> {
    const { from, to, after, descending = false, limit, numbers = [] } = page;
    if (names.length === 0 || limit <= 0) return { found: [], next: undefined };
    const parts = [
      { t: tenant, a: { $in: [...names] } },
      ENTERED,
      this.#instances.kept(),
      ...bounds(from, to),
      ...behind(after, descending),
    ];
    const direction = descending ? -1 : 1;
    const looked = numbers.length === 0 ? limit : Math.max(limit, LOOKED_AT);
    const sort = { at: direction, _id: direction } as const;
    const documents = await this.#some({ $and: parts } as HistoryFilter, { sort, limit: looked });
    const last = documents.at(-1);
    const matching = (await this.#named(documents)).filter(({ instance }) => isWithin(instance, numbers));
    const found = matching.slice(0, limit);
    const place = matching.length > limit ? found.at(-1) : last && { at: last.at, number: last._id };
    const more = documents.length === looked || matching.length > limit;
    return { found, next: more && place !== undefined ? { at: place.at, number: place.number } : undefined };
  }

  async count(
    tenant: TenantId,
    series: Series,
    { from, to }: { readonly from?: Micros; readonly to?: Micros } = {},
  ): Promise<number> {
    const those = await this.#those(tenant, series);
    if (those === undefined) return 0;
    return this.#parts.collections.history.countDocuments({ $and: [those, ...bounds(from, to)] } as HistoryFilter);
  }

  async extent(tenant: TenantId, series: Series, texts: readonly Iri[]): Promise<SeriesExtent | undefined> {
    const those = await this.#those(tenant, series);
    if (those === undefined) return undefined;
    const { history } = this.#parts.collections;
    const end = async (direction: 1 | -1) =>
      (
        await history
          .find(those, { projection: { at: 1 } })
          .sort({ at: direction })
          .limit(1)
          .next()
      )?.at;
    const [from, to] = await Promise.all([end(1), end(-1)]);
    if (from === undefined || to === undefined) return undefined;
    const known = new Map<Iri, { least: string; greatest: string }>();
    if (texts.length === 0) return { from, to, texts: known };
    for await (const document of history.find(those)) {
      const { attributes } = this.#instances.instance(document);
      for (const name of texts) {
        const [one] = attributes?.[name] ?? [];
        if (one?.type !== 'Property' || typeof one.value !== 'string') continue;
        const { value } = one;
        const range = known.get(name);
        if (range === undefined) known.set(name, { least: value, greatest: value });
        else if (byCodePoint(value, range.least) < 0) range.least = value;
        else if (byCodePoint(value, range.greatest) > 0) range.greatest = value;
      }
    }
    return { from, to, texts: known };
  }

  async #those(tenant: TenantId, { id, name, datasetId }: Series): Promise<HistoryFilter | undefined> {
    const row = await this.#parts.rows.byId(tenant, id);
    if (row === undefined) return undefined;
    const filter = { k: row.number, a: name, d: datasetId ?? { $exists: false } };
    return { ...filter, ...ENTERED, ...this.#instances.kept() } as HistoryFilter;
  }

  #some(filter: HistoryFilter, asked: Asked): Promise<readonly HistoryDocument[]> {
    const { reader, collections } = this.#parts;
    return reader.some(collections.history, filter, asked);
  }

  /** With the ids of their entities, which history knows by number. */
  async #named(documents: readonly HistoryDocument[]): Promise<readonly NumberedInstance[]> {
    if (documents.length === 0) return [];
    const { reader, collections } = this.#parts;
    const tenant = (documents[0] as HistoryDocument).t;
    const numbers = [...new Set(documents.map(({ k }) => k))];
    const asked = { projection: { n: 1 }, limit: numbers.length } as const;
    const found = await reader.some(collections.entities, { t: tenant, n: { $in: numbers } }, asked);
    const ids = new Map(found.map(({ _id, n }) => [n, _id.slice(keyOf(tenant, '' as Iri).length) as Iri]));
    return documents.map((document) => this.#numbered(ids.get(document.k) as Iri, document));
  }

  #numbered(id: Iri, document: HistoryDocument): NumberedInstance {
    return { number: document._id, id, name: document.a, at: document.at, instance: this.#instances.instance(document) };
  }
}

function bounds(from: Micros | undefined, to: Micros | undefined): HistoryFilter[] {
  const range = { ...(from === undefined ? {} : { $gte: from }), ...(to === undefined ? {} : { $lte: to }) };
  return from === undefined && to === undefined ? [] : [{ at: range }];
}

function behind(after: SeriesPage['after'], descending: boolean): HistoryFilter[] {
  if (after === undefined) return [];
  const beyond = descending ? '$lt' : '$gt';
  // The plain bound is for the index, the other one tells instances of one moment apart.
  return [
    { at: { [descending ? '$lte' : '$gte']: after.at } },
    { $or: [{ at: { [beyond]: after.at } }, { at: after.at, _id: { [beyond]: after.number } }] },
  ];
}

/** Instances that one step looks at for a condition on numbers. */
const LOOKED_AT = 2000;

/** What is no number is for others to judge. */
function isWithin(instance: AttributeInstance, numbers: readonly NumberBound[]): boolean {
  const value = instance.type === 'Property' ? instance.value : undefined;
  if (typeof value !== 'number') return true;
  return numbers.every(({ operator, value: bound }) => WITHIN[operator](value, bound));
}

const WITHIN: Record<NumberBound['operator'], (value: number, bound: number) => boolean> = {
  '<': (value, bound) => value < bound,
  '<=': (value, bound) => value <= bound,
  '>': (value, bound) => value > bound,
  '>=': (value, bound) => value >= bound,
  '=': (value, bound) => value === bound,
};

function byCodePoint(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}
