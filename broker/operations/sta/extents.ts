import type { Iri, TenantId } from '../../domain/iri.ts';
import { PHENOMENON_END, RESULT_TIME } from '../../domain/sta/lens/vocabulary.ts';
import { parseMoment, type TimeSpan } from '../../domain/sta/time.ts';
import type { Series, SeriesStore } from '../../ports/series-store.ts';

/** phenomenonTime and resultTime of a Datastream: from the first to the last of its Observations. */
export interface Extents {
  readonly phenomenonTime: Required<TimeSpan>;
  readonly resultTime?: Required<TimeSpan>;
}

interface Texts {
  readonly end?: string;
  readonly least?: string;
  readonly greatest?: string;
}

/** Series that are remembered. */
const MOST = 50_000;
const TEXTS = [PHENOMENON_END, RESULT_TIME];

/**
 * How far series reach. The ends in time are read from the store's index each time; result times and ends of intervals, for which every instance must be looked
 * at, are remembered per series and kept up with by those who write Observations.
 */
export class ExtentCache {
  readonly #series: SeriesStore;
  readonly #known = new Map<string, Texts>();

  constructor(series: SeriesStore) {
    this.#series = series;
  }

  async of(tenant: TenantId, series: Series): Promise<Extents | undefined> {
    const key = keyOf(tenant, series);
    let texts = this.#known.get(key);
    const extent = await this.#series.extent(tenant, series, texts === undefined ? TEXTS : []);
    if (extent === undefined) return undefined;
    if (texts === undefined) {
      const end = extent.texts.get(PHENOMENON_END)?.greatest;
      const results = extent.texts.get(RESULT_TIME);
      texts = { ...(end === undefined ? {} : { end }), ...results };
      this.#remember(key, texts);
    }
    const end = texts.end === undefined ? undefined : parseMoment(texts.end);
    const [least, greatest] = [texts.least, texts.greatest].map((text) => (text === undefined ? undefined : parseMoment(text)));
    return {
      phenomenonTime: { from: extent.from, to: Math.max(extent.to, end ?? extent.to) },
      ...(least === undefined || greatest === undefined ? {} : { resultTime: { from: least, to: greatest } }),
    };
  }

  /** An Observation was added. */
  extend(
    tenant: TenantId,
    series: Series,
    times: { readonly end?: string | undefined; readonly resultTime?: string | undefined },
  ): void {
    const key = keyOf(tenant, series);
    const known = this.#known.get(key);
    if (known === undefined) return;
    const { end, resultTime } = times;
    const later = (a: string | undefined, b: string | undefined) => (a === undefined || (b !== undefined && b > a) ? b : a);
    const last = later(known.end, end);
    const least =
      known.least === undefined || (resultTime !== undefined && resultTime < known.least) ? resultTime : known.least;
    const greatest = later(known.greatest, resultTime);
    this.#remember(key, {
      ...(last === undefined ? {} : { end: last }),
      ...(least === undefined ? {} : { least }),
      ...(greatest === undefined ? {} : { greatest }),
    });
  }

  /** An Observation was changed or deleted. */
  forget(tenant: TenantId, series: Series): void {
    this.#known.delete(keyOf(tenant, series));
  }

  #remember(key: string, texts: Texts): void {
    if (this.#known.size >= MOST) this.#known.clear();
    this.#known.set(key, texts);
  }
}

const keyOf = (tenant: TenantId, { id, name, datasetId }: Series): string =>
  `${tenant} ${id} ${name} ${datasetId ?? ('' as Iri)}`;
