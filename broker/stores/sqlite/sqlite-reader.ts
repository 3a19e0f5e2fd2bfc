import type { TenantId } from '../../domain/iri.ts';
import type { EntityQuery } from '../../domain/query/query.ts';
import type { Micros } from '../../domain/time.ts';
import type { Clock } from '../../ports/clock.ts';
import type { DocumentKind, DocumentStore } from '../../ports/document-store.ts';
import type { EntityStore } from '../../ports/entity-store.ts';
import type { HistoryStore } from '../../ports/history-store.ts';
import { AnsweredPages } from '../answered-pages.ts';
import { AttributeIndexes } from './attribute-indexes.ts';
import { CatchUp } from './catch-up.ts';
import { ChangeLog } from './change-log.ts';
import { Codec } from './codec.ts';
import { Dictionary } from './dictionary.ts';
import { SqliteDocumentStore } from './document-store.ts';
import { EntityCache, NoEntityCache } from './entity-cache.ts';
import { EntityQueries } from './entity-queries.ts';
import { EntityRows } from './entity-rows.ts';
import { SqliteEntityStore } from './entity-store.ts';
import { GeoIndex } from './geo-index.ts';
import { GroupCommit } from './group-commit.ts';
import { HistoryRows } from './history-rows.ts';
import { SqliteHistoryStore } from './history-store.ts';
import { IdCache } from './id-cache.ts';
import { readingFromDisk } from './reading-from-disk.ts';
import { ShapeCounts } from './shape-counts.ts';
import { openToRead, SeenOnDisk } from './shared-file.ts';

export interface ReaderSettings {
  /** Of a store that is open with `shared`. */
  readonly file: string;
  readonly clock: Clock;
  /** As in SqliteSettings. */
  readonly cacheBytes: number;
  readonly sortLimit?: number;
}

/** What the process that writes needs to know to make the right indexes, and to keep those that are used. */
export interface ReaderReport {
  readonly asked: readonly {
    readonly tenant: number;
    readonly query: EntityQuery;
    readonly candidates: number;
    readonly matches: number;
  }[];
  readonly used: readonly { readonly key: number; readonly uses: number; readonly saved: number; readonly lastUsed: Micros }[];
}

/**
 * The reading half of the store ports, on a file that another process of this broker writes. Its answers are those of the store that writes, as new as
 * the last {@link fresh}. What would write is refused (Unavailable).
 */
export interface SqliteReader {
  readonly entities: EntityStore;
  readonly history: HistoryStore;
  readonly documents: Pick<DocumentStore, 'get' | 'list'>;
  /** Everything that is read after this is at least as new as what was committed before it. */
  fresh(): void;
  /** Whether a tenant has documents of a kind. Costs one look-up as long as nothing is written. */
  hasAny(kind: DocumentKind, tenant: TenantId): boolean;
  /** Calls back when a stored @context was replaced or deleted. */
  onContexts(listener: () => void): void;
  /** What was found out since the last time; undefined: nothing. */
  report(): ReaderReport | undefined;
  close(): void;
}

/** A candidate that was looked at in vain counts as demand for an index; so many queries are reported at a time. */
const ASKED_AT_ONCE = 1_000;
const ANY = 'SELECT 1 FROM document WHERE kind = ? AND tenant = ? LIMIT 1';

/** @throws Error with one line saying why the file cannot be read */
export function openSqliteReader({ file, clock, cacheBytes, sortLimit = 20_000 }: ReaderSettings): SqliteReader {
  const { database, watch } = openToRead(file);
  const commits = new GroupCommit(database, 0, 1);
  commits.close();
  const dictionary = new Dictionary(database, commits);
  const codec = new Codec(dictionary);
  const cache = new EntityCache(cacheBytes);
  const log = new ChangeLog(database, dictionary, commits, codec, 0);
  const shapes = new ShapeCounts(database, dictionary, commits, true);
  const history = new HistoryRows(database, dictionary, commits);
  const indexes = new AttributeIndexes(database, commits);
  const ids = new IdCache(cacheBytes / 8);
  const geo = new GeoIndex(database, dictionary, true);
  const pages = new AnsweredPages(cacheBytes / 4);
  const parts = { database, dictionary, commits, codec, cache, ids, log, history, geo, indexes, pages, shapes };
  // Temporal provision changes rows without a change in the log.
  const uncached = { ...parts, cache: new NoEntityCache() };
  const seen = new SeenOnDisk(file);
  const catchUp = new CatchUp(parts, watch, seen);
  let asked: ReaderReport['asked'][number][] = [];
  const demand = {
    looked(tenant: number, query: EntityQuery, candidates: number, matches: number) {
      if (query.where && candidates > matches && asked.length < ASKED_AT_ONCE)
        asked.push({ tenant, query, candidates, matches });
    },
  };
  const known = new Map<string, boolean>();
  catchUp.onCommit = () => known.clear();
  const documents = readingFromDisk(seen, new SqliteDocumentStore(database, dictionary, commits), ['get', 'list']);
  const rows = new EntityRows(parts);
  const queries = new EntityQueries(parts, rows, clock, demand, sortLimit);
  const entities = new SqliteEntityStore(parts, rows, clock, queries);
  const past = new SqliteHistoryStore(uncached, new EntityRows(uncached), clock);
  return {
    entities: readingFromDisk(seen, entities, ['get', 'query', 'numbered', 'walk', 'typeCounts', 'expired']),
    history: readingFromDisk(seen, past, ['evolution', 'query', 'aggregate']),
    documents,
    fresh: () => catchUp.fresh(),
    hasAny(kind, tenant) {
      const name = `${kind} ${tenant}`;
      let any = known.get(name);
      if (any === undefined) {
        const key = dictionary.findTenant(tenant);
        any = key !== undefined && database.get(ANY, kind, key) !== undefined;
        known.set(name, any);
      }
      return any;
    },
    onContexts: (listener) => {
      catchUp.onContexts = listener;
    },
    report() {
      const used = indexes.list().flatMap((index) => {
        const { key, uses, saved, lastUsed } = index;
        if (uses === 0) return [];
        index.uses = 0;
        index.saved = 0;
        return [{ key, uses, saved, lastUsed }];
      });
      if (asked.length === 0 && used.length === 0) return undefined;
      const report = { asked, used };
      asked = [];
      return report;
    },
    close() {
      database.close();
      watch.close();
      seen.close();
    },
  };
}

/**
 * A document store that reads here and writes elsewhere.
 * @param onPut hears of everything that is on its way
 */
export function documentsWrittenBy(
  documents: Pick<DocumentStore, 'get' | 'list'>,
  writer: Pick<DocumentStore, 'put' | 'delete'>,
  onPut: (put: Promise<unknown>) => void,
): DocumentStore {
  return {
    get: (...of) => documents.get(...of),
    list: (...of) => documents.list(...of),
    put(...of) {
      const put = writer.put(...of);
      onPut(put);
      return put;
    },
    delete: (...of) => writer.delete(...of),
  };
}
