import type { Entity } from '../../domain/entity.ts';
import type { Iri } from '../../domain/iri.ts';
import type { AnsweredPages } from '../answered-pages.ts';
import type { AttributeIndexes } from './attribute-indexes.ts';
import type { Codec } from './codec.ts';
import type { Database } from './database.ts';
import type { Dictionary } from './dictionary.ts';
import type { EntityCache } from './entity-cache.ts';
import type { HistoryRows } from './history-rows.ts';
import type { CommitWatch, SeenOnDisk } from './shared-file.ts';

/** More changes than this at once, and everything is forgotten: looking at each would take longer than reading again. */
const AT_ONCE = 500;

/** In one statement, because it is asked after every commit. */
const NEWS = `
  SELECT 'tenant', key, name FROM tenant WHERE key > ?
  UNION ALL SELECT 'name', key, iri FROM name WHERE key > ?
  UNION ALL SELECT 'shape', key, shape FROM shape WHERE key > ?
  UNION ALL SELECT 'layer', key, tenant || ' ' || name FROM layer WHERE key > ?
  UNION ALL SELECT 'index', key, state FROM value_index
  UNION ALL SELECT 'expiry', min(expires), NULL FROM transient
  UNION ALL SELECT key, value, NULL FROM memory WHERE key IN ('position', 'contexts')`;
const CHANGES =
  'SELECT c.position, c.entity, e.tenant, e.id, c.kind, iif(length(c.state) = 0, e.state, c.state) FROM change AS c CROSS JOIN entity AS e ON e.key = c.entity WHERE c.position > ? ORDER BY c.position LIMIT ?';
const HEAD =
  "SELECT max(coalesce((SELECT max(position) FROM change), 0), coalesce((SELECT value FROM memory WHERE key = 'position'), 0))";
const CREATED = 0;
const DELETED = 2;

/** What is kept in memory of the file. */
interface Remembered {
  readonly database: Database;
  readonly dictionary: Dictionary;
  readonly codec: Codec;
  readonly cache: EntityCache;
  readonly pages: AnsweredPages;
  readonly indexes: AttributeIndexes;
  readonly history: HistoryRows;
}

type Told = 'tenant' | 'name' | 'shape' | 'layer';

/**
 * Keeps what a process that only reads the file has in memory as new as its snapshot. Each snapshot asks whether anything was committed; if so, the
 * change log says which entities to forget. What the log does not tell of is small, and read again.
 */
export class CatchUp {
  readonly #parts: Remembered;
  readonly #watch: CommitWatch;
  readonly #seen: SeenOnDisk;
  #position: number;
  #contexts: number | undefined;
  /** What the watch said before the snapshot was opened. */
  #watched = -1;
  /** Of the last snapshot: data_version as the reading connection sees it. */
  #version = -1;
  /** Something was committed: what depends on anything in the file may be another. */
  onCommit: () => void = () => {};
  /** A stored @context was replaced or deleted. */
  onContexts: () => void = () => {};

  constructor(parts: Remembered, watch: CommitWatch, seen: SeenOnDisk) {
    this.#seen = seen;
    this.#parts = parts;
    this.#watch = watch;
    this.#position = Number(parts.database.get(HEAD)?.[0] ?? 0);
    parts.database.beforeSnapshot = () => {
      this.#watched = watch.version();
    };
    parts.database.onSnapshot = () => this.#snapshot();
    this.#hear();
  }

  /** What is read from here on is at least as new as all that was acknowledged until now. */
  fresh(): void {
    const { database } = this.#parts;
    if (database.reading && this.#watch.version() !== this.#watched) database.endSnapshot();
    if (!database.reading) database.get('SELECT 1');
  }

  #snapshot(): void {
    // Being the first to read, this is what opens the snapshot.
    const version = Number(this.#parts.database.get('PRAGMA data_version')?.[0]);
    if (version === this.#version) return;
    this.#version = version;
    this.#seen.seen();
    this.#hear();
  }

  #hear(): void {
    const { database, dictionary, history, indexes } = this.#parts;
    const states: (readonly [number, number])[] = [];
    for (const [what, key, value] of database.all(NEWS, ...dictionary.last) as [string, number, string & number][]) {
      if (what === 'index') states.push([key, value]);
      else if (what === 'expiry') history.heard(key);
      else if (what === 'contexts') {
        if (this.#contexts !== undefined && this.#contexts !== key) this.onContexts();
        this.#contexts = key;
      } else if (what === 'position') {
        // The log was trimmed beyond what was seen of it.
        if (key > this.#position) this.#trimmed = key;
      } else dictionary.learn(what as Told, key, value);
    }
    this.#contexts ??= 0;
    indexes.follow(states);
    this.#hearChanges();
    this.onCommit();
  }

  #trimmed = 0;

  #hearChanges(): void {
    const { cache, codec, database, dictionary, pages } = this.#parts;
    const changes = database.all(CHANGES, this.#position, AT_ONCE) as [number, number, number, Iri, number, string][];
    const last = changes.at(-1)?.[0] ?? this.#position;
    // Positions have no gaps: if some are missing, the log was trimmed.
    if (changes.length === AT_ONCE || last - this.#position !== changes.length || this.#trimmed > last) {
      cache.clear();
      pages.forget();
      this.#position = Number(database.get(HEAD)?.[0] ?? last);
      this.#trimmed = 0;
      return;
    }
    this.#position = last;
    const known = new Map<number, () => Entity | undefined | 'unknown'>();
    for (const [, key, tenant, id, kind, text] of changes) {
      const row = cache.byKey(key);
      if (row) cache.drop(row);
      const gone = () => undefined;
      const stored = once(() => codec.decode(text, id));
      const held = row && (row.text === undefined ? gone : () => row.entity);
      const before =
        known.get(key) ?? (kind === CREATED ? gone : kind === DELETED ? stored : (held ?? (() => 'unknown' as const)));
      const after = kind === DELETED ? gone : stored;
      known.set(key, after);
      pages.heard({
        tenant: dictionary.tenantName(tenant),
        id,
        get before() {
          return before();
        },
        get after() {
          return after();
        },
      });
    }
  }
}

function once<T>(make: () => T): () => T {
  let made: { readonly value: T } | undefined;
  return () => {
    made ??= { value: make() };
    return made.value;
  };
}
