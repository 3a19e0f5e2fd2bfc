import type { Iri } from '../../domain/iri.ts';
import { DATASTREAMS } from '../../domain/sta/lens/vocabulary.ts';
import type { Micros } from '../../domain/time.ts';
import type { NumberBound, SeriesPage } from '../../ports/series-store.ts';
import type { Value } from './database.ts';
import type { Parts } from './entity-rows.ts';

/** Rows of the index that one step looks at for a condition that the index does not answer, before it lets others have their turn. */
const SCANNED = 20_000;
/** Series that are merged one by one, for a tenant that has no more of them: each costs a page a few microseconds. */
const MOST_SERIES = 1_000;

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

/** What is in order of (time, seq) already: an attribute of all entities of all tenants, or of one entity. */
interface Stream {
  readonly name: number;
  readonly entity?: number;
}

type Page = SeriesPage & { readonly numbers?: readonly NumberBound[] };

/**
 * Walks over the instances of several attributes of one tenant in order of (time, seq): streams that have them so are merged. The index of times is common to all
 * tenants. A small one has its series merged instead, so that a large one beside it does not make it slow. Nothing but indexes is read.
 */
export function placesAcross(parts: Parts, tenant: number, names: readonly number[], page: Page): Step {
  const { limit, descending = false } = page;
  const several = parts.dictionary.tenants().length > 1;
  const own = several ? ownStreams(parts, tenant, names) : undefined;
  const streams: readonly Stream[] = own ?? names.map((name) => ({ name }));
  const walk = streamReader(parts, streams.length, page, several && own === undefined ? tenant : undefined);
  const places: Place[] = [];
  let frontier: Reached | undefined;
  const before = (a: Reached, b: Reached): boolean => {
    const order = a.at - b.at || a.number - b.number;
    return descending ? order > 0 : order < 0;
  };
  for (const stream of streams) {
    const { found, reached } = walk(stream);
    places.push(...found);
    if (reached !== undefined && (frontier === undefined || before(reached, frontier))) frontier = reached;
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

interface Reached {
  readonly at: Micros;
  readonly number: number;
}

/** @param tenant whose rows count; undefined: there are no others in the streams */
function streamReader(
  { database }: Parts,
  streams: number,
  { from, to, after, limit, descending = false, numbers = [] }: Page,
  tenant: number | undefined,
): (stream: Stream) => { readonly found: readonly Place[]; readonly reached: Reached | undefined } {
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
  const order = `ORDER BY time ${direction}, seq ${direction}`;
  const those = ({ entity }: Stream): string =>
    entity === undefined
      ? `FROM history INDEXED BY history_by_time WHERE ${bounds.join(' AND ')} ${order}`
      : `FROM history WHERE entity = ? AND ${bounds.join(' AND ')} ${order}`;
  // What is no number is for others to judge.
  const tests = numbers.map(({ operator }) => `(number IS NULL OR number ${operator} ?)`);
  const tested: Value[] = numbers.map(({ value }) => value);
  if (tenant !== undefined) {
    tests.push('(SELECT tenant FROM entity WHERE key = entity) = ?');
    tested.push(tenant);
  }
  // Of many streams each gives a few: what is left over is read again.
  const wanted = streams > 20 ? Math.ceil((2 * limit) / streams) + 3 : limit + 1;
  const each = tests.length === 0 ? wanted : Math.max(wanted, Math.ceil(SCANNED / streams));
  return (stream) => {
    const of = stream.entity === undefined ? [stream.name, ...shared] : [stream.entity, stream.name, ...shared];
    const sql =
      tests.length === 0
        ? `SELECT time, seq, entity ${those(stream)} LIMIT ?`
        : `SELECT time, seq, entity FROM (SELECT time, seq, entity, number ${those(stream)} LIMIT ?) WHERE ${tests.join(' AND ')} LIMIT ?`;
    const rows = database.all(sql, ...of, each, ...(tests.length === 0 ? [] : [...tested, wanted])) as number[][];
    const found = rows.map(
      ([at, number, entity]): Place => ({
        at: at as number,
        number: number as number,
        entity: entity as number,
        name: stream.name,
      }),
    );
    if (rows.length >= wanted) return { found, reached: found.at(-1) };
    if (tests.length === 0) return { found, reached: undefined };
    const end = database.get(`SELECT time, seq ${those(stream)} LIMIT 1 OFFSET ?`, ...of, each - 1);
    return { found, reached: end && { at: end[0] as number, number: end[1] as number } };
  };
}

/** The series of a tenant, if they are few. */
function ownStreams(
  { database, dictionary, shapes }: Parts,
  tenant: number,
  names: readonly number[],
): readonly Stream[] | undefined {
  if (shapes.total(tenant) > 50 * MOST_SERIES) return undefined;
  const wanted = names.map((name) => [name, dictionary.iri(name)] as const);
  const ofShape = new Map<number, readonly number[]>();
  const namesOf = (shape: number | null): readonly number[] => {
    // What was deleted has a history still.
    if (shape === null) return names;
    let known = ofShape.get(shape);
    if (known === undefined) {
      const has = new Set<Iri>(shapes.shape(shape).attributes.map(({ name }) => name));
      // What SensorThings made may have lost its current value, and keeps its Datastreams.
      known = has.has(DATASTREAMS) ? names : wanted.filter(([, iri]) => has.has(iri)).map(([name]) => name);
      ofShape.set(shape, known);
    }
    return known;
  };
  const streams: Stream[] = [];
  for (const [key, shape] of database.all('SELECT key, shape FROM entity WHERE tenant = ?', tenant)) {
    for (const name of namesOf(shape as number | null)) streams.push({ name, entity: key as number });
    if (streams.length > MOST_SERIES) return undefined;
  }
  return streams;
}

/** The entities of a tenant that has few, deleted ones included. */
export function fewEntities({ database }: Pick<Parts, 'database'>, tenant: number): readonly number[] | undefined {
  const entities = database.all('SELECT key FROM entity WHERE tenant = ? LIMIT ?', tenant, MOST_SERIES + 1);
  return entities.length > MOST_SERIES ? undefined : entities.map(([key]) => key as number);
}

/** Numbers of their instances behind one, in their order, if they are not too many: those of all tenants are in one index. */
export function numbersOf(
  { database }: Pick<Parts, 'database'>,
  entities: readonly number[],
  behind: number,
  descending: boolean,
): readonly number[] | undefined {
  const sql = `SELECT seq FROM history WHERE entity = ? AND seq ${descending ? '<' : '>'} ? LIMIT ?`;
  const numbers: number[] = [];
  for (const entity of entities) {
    for (const [seq] of database.all(sql, entity, behind, SCANNED)) numbers.push(seq as number);
    if (numbers.length >= SCANNED) return undefined;
  }
  return numbers.sort((a, b) => (descending ? b - a : a - b));
}
