import type { AttributeInstance } from '../../domain/attribute.ts';
import { toMicros } from '../../domain/time.ts';
import type { StoredEntity } from '../../ports/entity-store.ts';
import type { NumberedInstance, Series } from '../../ports/series-store.ts';
import type { Item } from './item.ts';
import type { Plan } from './plan.ts';
import type { Reader } from './reader.ts';

/** The series that an Observation or HistoricalLocation is of. */
export function seriesOfItem(item: Item): {
  readonly holder: StoredEntity;
  readonly series: Series;
  readonly found: NumberedInstance;
} {
  if (item.origin.kind !== 'instance') throw new TypeError(`${item.set} have no instances`);
  const { found, holder } = item.origin;
  return { holder, found, series: { id: holder.id, name: found.name, datasetId: found.instance.datasetId } };
}

/**
 * Plans that Observations of one series are changed or forgotten, and which is the newest then: that is what the entity shows.
 * @param changes by number of the instance; undefined: it is forgotten
 */
export async function planAmendments(
  reader: Reader,
  plan: Plan,
  series: Series,
  changes: ReadonlyMap<number, { readonly found: NumberedInstance; readonly instance: AttributeInstance | undefined }>,
): Promise<void> {
  const { series: store } = reader.dependencies;
  const newest = await newestBut(reader, series, new Set(changes.keys()));
  let best: { readonly at: number; readonly number: number; readonly instance: AttributeInstance } | undefined = newest && {
    at: newest.at,
    number: newest.number,
    instance: newest.instance,
  };
  for (const [number, { found, instance }] of changes) {
    if (instance === undefined) continue;
    const at = instance.observedAt === undefined ? found.at : toMicros(instance.observedAt);
    if (best === undefined || at > best.at || (at === best.at && number > best.number)) best = { at, number, instance };
  }
  const numbers = [...changes.keys()];
  const top = await store.read(reader.tenant, series, { limit: 1, descending: true });
  // The state changes only if the newest is among those that change, or becomes another.
  const touches = top[0] === undefined || changes.has(top[0].number) || best?.number !== top[0].number;
  for (const [at, number] of numbers.entries()) {
    const { instance } = changes.get(number) as { instance: AttributeInstance | undefined };
    const last = at === numbers.length - 1;
    plan.amend(series.id, {
      name: series.name,
      datasetId: series.datasetId,
      instanceId: store.instanceId(number),
      instance,
      ...(touches && last
        ? { current: { instance: best && { ...best.instance, instanceId: store.instanceId(best.number) } } }
        : {}),
    });
  }
}

async function newestBut(reader: Reader, series: Series, without: ReadonlySet<number>): Promise<NumberedInstance | undefined> {
  const { series: store } = reader.dependencies;
  let after: { at: number; number: number } | undefined;
  for (;;) {
    const found = await store.read(reader.tenant, series, { limit: 100, descending: true, ...(after && { after }) });
    const one = found.find(({ number }) => !without.has(number));
    const last = found.at(-1);
    if (one !== undefined || last === undefined || found.length < 100) return one;
    after = { at: last.at, number: last.number };
  }
}
