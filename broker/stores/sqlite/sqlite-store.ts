import type { Clock } from '../../ports/clock.ts';
import { AnsweredPages } from '../answered-pages.ts';
import type { Store } from '../store.ts';
import { AttributeIndexes } from './attribute-indexes.ts';
import { ChangeLog } from './change-log.ts';
import { Codec } from './codec.ts';
import { openDatabase } from './database.ts';
import { SqliteDeliveryStore } from './delivery-store.ts';
import { Dictionary } from './dictionary.ts';
import { SqliteDocumentStore } from './document-store.ts';
import { EntityCache } from './entity-cache.ts';
import { EntityQueries } from './entity-queries.ts';
import { EntityRows } from './entity-rows.ts';
import { SqliteEntityStore } from './entity-store.ts';
import { GeoIndex } from './geo-index.ts';
import { GroupCommit } from './group-commit.ts';
import { HistoryRows } from './history-rows.ts';
import { SqliteHistoryStore } from './history-store.ts';
import { IdCache } from './id-cache.ts';
import { IndexDemand } from './index-demand.ts';
import { type IndexDirectory, indexDirectory } from './index-directory.ts';
import { type IndexSettings, indexRules } from './index-rules.ts';
import { SqliteMessageStore } from './message-store.ts';
import { readingFromDisk } from './reading-from-disk.ts';
import { SqliteSeriesStore } from './series-store.ts';
import { ShapeCounts } from './shape-counts.ts';
import { keepLogShort, openSharedDatabase } from './shared-file.ts';
import type { ReaderReport } from './sqlite-reader.ts';

export interface SqliteSettings {
  /** A path whose directory exists, or ':memory:'. */
  readonly file: string;
  readonly clock: Clock;
  /** Writes that may wait for their transaction; beyond that new ones are refused (Unavailable). Default 20 000. */
  readonly maxWaitingWrites?: number;
  /** Memory for entities read or written lately. Default 64 MiB. */
  readonly cacheBytes?: number;
  /** Most writes that share one transaction and its fsync. Default 2 000. */
  readonly transactionWrites?: number;
  /** Changes that are kept in memory for the readers of the feed. Default 5 000. */
  readonly recentChanges?: number;
  /** The file does not grow beyond this: writes are refused (Unavailable) like on a full disk. Default: no limit. */
  readonly maxFileBytes?: number;
  /** How long a predecessor that is shutting down may keep the file locked. Default 2 s. */
  readonly waitMs?: number;
  /** Matches that a query may have that asks for an order other than that of the id. Default 20 000. */
  readonly sortLimit?: number;
  /** Indexes of attribute values: how many of one tenant may be made on demand, and paths (index-rules.ts) that always or never have one. */
  readonly indexes?: IndexSettings;
  /** Other processes of this broker read the file (sqlite-reader.ts). Default: nobody else may open it, which makes every read cheaper. */
  readonly shared?: boolean;
}

const DEFAULT_CACHE_BYTES = 64 * 1024 * 1024;
/** Ids are small, and what they spare is much: some tens of thousands are remembered whatever the setting. */
const LEAST_ID_BYTES = 16 * 1024 * 1024;

/** The store ports on one SQLite file. */
export interface SqliteStore extends Store {
  readonly indexes: IndexDirectory;
  /** What a process that reads the file has found out about queries and indexes. */
  heard(told: ReaderReport): void;
}

/**
 * Opens the file, or makes it. The clock hears of the highest stamp, so that stamps keep growing over restarts.
 * @throws Error with one line saying why the file cannot be used: another broker has it, a newer version wrote it, it is no database …
 */
export function openSqliteStore(settings: SqliteSettings): SqliteStore {
  const { file, clock } = settings;
  const database = settings.shared ? openSharedDatabase(file, settings) : openDatabase(file, settings);
  const commits = new GroupCommit(database, settings.maxWaitingWrites ?? 20_000, settings.transactionWrites ?? 2_000);
  const dictionary = new Dictionary(database, commits);
  const codec = new Codec(dictionary);
  const cacheBytes = settings.cacheBytes ?? DEFAULT_CACHE_BYTES;
  const cache = new EntityCache(cacheBytes);
  const ids = new IdCache(Math.max(cacheBytes / 8, LEAST_ID_BYTES));
  const log = new ChangeLog(database, dictionary, commits, codec, settings.recentChanges ?? 12_000);
  const shapes = new ShapeCounts(database, dictionary, commits);
  if (settings.shared) shapes.share();
  const history = new HistoryRows(database, dictionary, commits, settings.shared);
  const indexes = new AttributeIndexes(database, commits);
  const geo = new GeoIndex(database, dictionary);
  const pages = new AnsweredPages(cacheBytes / 4);
  const parts = { database, dictionary, commits, codec, cache, ids, log, history, geo, indexes, pages, shapes };
  const rows = new EntityRows(parts);
  const demand = new IndexDemand({
    database,
    commits,
    indexes,
    clock,
    rules: indexRules(settings.indexes ?? {}, dictionary),
    entities: (tenant) => shapes.total(tenant),
    has: (shape, name) => shapes.shape(shape).attributes.some((attribute) => attribute.name === name),
    rows: (keys) => rows.byKeys(keys, false),
  });
  if (log.highestStamp > 0) clock.saw({ at: log.highestStamp, origin: '' });
  let open = true;
  const queries = new EntityQueries(parts, rows, clock, demand, settings.sortLimit ?? 20_000);
  const entities = new SqliteEntityStore(parts, rows, clock, queries);
  const stopWatching = settings.shared ? keepLogShort(database, file) : undefined;
  return {
    entities: readingFromDisk(commits, entities, ['get', 'query', 'numbered', 'walk', 'typeCounts', 'expired']),
    history: readingFromDisk(commits, new SqliteHistoryStore(parts, rows, clock), ['evolution', 'query', 'aggregate']),
    series: readingFromDisk(commits, new SqliteSeriesStore(parts, rows, clock), [
      'read',
      'numbered',
      'walk',
      'count',
      'extent',
    ]),
    feed: log,
    documents: readingFromDisk(commits, new SqliteDocumentStore(database, dictionary, commits), ['get', 'list']),
    deliveries: new SqliteDeliveryStore(database, dictionary, commits),
    messages: new SqliteMessageStore(database, dictionary, commits),
    indexes: indexDirectory(indexes, demand, dictionary, commits),
    highestStamp: () => log.highestStamp,
    waitingWrites: () => commits.waiting,
    heard({ asked, used }) {
      for (const { tenant, query, candidates, matches } of asked) demand.looked(tenant, query, candidates, matches);
      for (const index of indexes.list()) {
        const of = used.find(({ key }) => key === index.key);
        if (!of) continue;
        index.uses += of.uses;
        index.saved += of.saved;
        index.lastUsed = Math.max(index.lastUsed, of.lastUsed);
      }
    },
    ready: () => open && commits.trustworthy && database.get('SELECT 1') !== undefined,
    close: async () => {
      if (!open) return;
      open = false;
      stopWatching?.();
      log.close();
      demand.close();
      await commits.close();
      database.close();
    },
  };
}
