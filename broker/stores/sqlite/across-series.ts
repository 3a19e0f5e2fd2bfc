import type { Micros } from '../../domain/time.ts';
import type { NumberBound, SeriesPage } from '../../ports/series-store.ts';
import type { Value } from './database.ts';
import type { Parts } from './entity-rows.ts';

/** Rows of the index that one step looks at for a condition on numbers, before it lets others have their turn. */
const SCANNED = 20_000;

/** Where a row of the history table is. */
export interface Place {
  readonly at: Micros;
  readonly number: number;
  readonly entity: number;
  readonly name: number;
}

interface Step {
  readonly places: readonly Place[];
  /** Where to go on, also if what was looked at last does not count; undefined: there is no more. */
  readonly next: SeriesPage['after'];
}

/**
 * Walks over the instances of several attributes in order of (time, seq), through the index that has them so for each name: the streams of the names are merged.
 * Nothing but the index is read.
 */
export function placesAcross(
  { database }: Pick<Parts, 'database'>,
  names: readonly number[],
  page: SeriesPage & { readonly numbers?: readonly NumberBound[] },
): Step {
  const { from, to, after, limit, descending = false, numbers = [] } = page;
  const direction = descending ? 'DESC' : 'ASC';
  const bounds: string[] = ['name = ?'];
  const shared: Value[] = [];
  const bound = (sql: string, ...values: Value[]) => {
    bounds.push(sql);
    shared.push(...values);
  };
  if (from !== undefined) bound('time >= ?', from);
  if (to !== undefined) bound('time <= ?', to);
  if (after !== undefined) bound(`(time, seq) ${descending ? '<' : '>'} (?, ?)`, after.at, after.number);
  const those = `FROM history INDEXED BY history_by_time WHERE ${bounds.join(' AND ')} ORDER BY time ${direction}, seq ${direction}`;
  const each = numbers.length === 0 ? limit + 1 : Math.max(limit + 1, Math.ceil(SCANNED / names.length));
  // What is no number is for others to judge.
  const kept = numbers.map(({ operator }) => `(number IS NULL OR number ${operator} ?)`).join(' AND ');
  const sql =
    numbers.length === 0
      ? `SELECT time, seq, entity ${those} LIMIT ?`
      : `SELECT time, seq, entity FROM (SELECT time, seq, entity, number ${those} LIMIT ?) WHERE ${kept}`;
  const last = `SELECT time, seq ${those} LIMIT 1 OFFSET ?`;
  const places: Place[] = [];
  let frontier: { readonly at: Micros; readonly number: number } | undefined;
  const before = (a: { at: Micros; number: number }, b: { at: Micros; number: number }): boolean => {
    const order = a.at - b.at || a.number - b.number;
    return descending ? order > 0 : order < 0;
  };
  for (const name of names) {
    const rows = database.all(sql, name, ...shared, each, ...numbers.map(({ value }) => value));
    for (const [at, number, entity] of rows as number[][]) {
      places.push({ at: at as number, number: number as number, entity: entity as number, name });
    }
    const end = numbers.length === 0 && rows.length < each ? undefined : database.get(last, name, ...shared, each - 1);
    if (end === undefined) continue;
    const reached = { at: end[0] as number, number: end[1] as number };
    if (frontier === undefined || before(reached, frontier)) frontier = reached;
  }
  places.sort((a, b) => (before(a, b) ? -1 : 1));
  // Beyond where the shortest stream was looked at there may be others in between.
  const until = frontier;
  const sure = until === undefined ? places : places.filter((place) => !before(until, place));
  if (sure.length > limit) {
    const kept = sure.slice(0, limit);
    return { places: kept, next: kept.at(-1) };
  }
  return { places: sure, next: until };
}
