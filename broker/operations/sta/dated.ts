import type { Iri } from '../../domain/iri.ts';
import type { JsonValue } from '../../domain/json.ts';
import { plainValue } from '../../domain/sta/lens/attributes.ts';
import { datedInstance, timeAttributes } from '../../domain/sta/lens/times.ts';
import { localName, PHENOMENON_END, RESULT_TIME } from '../../domain/sta/lens/vocabulary.ts';
import { parseMoment } from '../../domain/sta/time.ts';
import { toMicros } from '../../domain/time.ts';
import type { StoredEntity } from '../../ports/entity-store.ts';
import type { NumberedInstance, Series } from '../../ports/series-store.ts';
import type { Extents } from './extents.ts';
import type { Reader } from './reader.ts';

/** Instances that are looked at: entities that say their times apart are written once for each measurement, and rarely have a long history. */
const MOST = 10_000;

/** Instances of an entity with the times that its other attributes said when they were written: dateObserved, validFrom … (lens/times.ts). */
export async function datedByEntity(
  reader: Reader,
  holder: StoredEntity,
  found: readonly NumberedInstance[],
): Promise<readonly NumberedInstance[]> {
  const undated = found.filter(({ instance }) => instance.observedAt === undefined);
  const names = undated.length === 0 ? [] : timeAttributes(holder.entity);
  if (names.length === 0) return found;
  const latest = Math.max(...undated.map(({ at }) => at));
  const said = new Map<string, readonly NumberedInstance[]>();
  for (const name of names) {
    const page = { to: latest, limit: MOST, descending: true };
    said.set(localName(name), await reader.dependencies.series.read(reader.tenant, { id: holder.id, name }, page));
  }
  return found.map((one) => {
    const value = (short: string): JsonValue | undefined => {
      // Newest first: the first that is not later was said then.
      const then = said.get(short)?.find(({ at }) => at <= one.at);
      return then && plainValue(then.instance);
    };
    const instance = datedInstance(one.instance, holder.entity.types, value);
    return instance === one.instance ? one : { ...one, instance };
  });
}

/** How far such a series reaches. */
export async function datedExtents(reader: Reader, holder: StoredEntity, series: Series): Promise<Extents | undefined> {
  const found = await reader.dependencies.series.read(reader.tenant, series, { limit: MOST, descending: true });
  const dated = await datedByEntity(reader, holder, found);
  const moment = ({ instance }: NumberedInstance, name: Iri): number | undefined => {
    const inner = instance.attributes?.[name]?.[0];
    return inner?.type === 'Property' && typeof inner.value === 'string' ? parseMoment(inner.value) : undefined;
  };
  const starts = dated.map(({ instance, at }) => (instance.observedAt === undefined ? at : toMicros(instance.observedAt)));
  const ends = dated.map((one, at) => moment(one, PHENOMENON_END) ?? (starts[at] as number));
  const results = dated.map((one) => moment(one, RESULT_TIME)).filter((one) => one !== undefined);
  if (starts.length === 0) return undefined;
  return {
    phenomenonTime: { from: Math.min(...starts), to: Math.max(...ends) },
    ...(results.length === 0 ? {} : { resultTime: { from: Math.min(...results), to: Math.max(...results) } }),
  };
}
