import { type Collection, type Db, type Document, type Filter, Long, type Sort } from 'mongodb';
import { isPassing } from './unavailable.ts';

/** What is read of a collection, at most `limit` documents. */
export interface Asked {
  readonly limit: number;
  readonly projection?: Readonly<Record<string, 0 | 1>>;
  readonly sort?: Sort;
  readonly skip?: number;
}

/** More are read as the driver does it, in several answers. */
const MOST_AT_ONCE = 50_000;

/** The batch of documents that a server answers `find` with. `id` not 0: it has more. */
interface Answer {
  readonly cursor: { readonly id: number | Long; readonly firstBatch: readonly Document[] };
}

/**
 * Reads as many documents as one answer holds by one command. The driver's own `find` makes a cursor and looks after it, which costs the processor as much
 * again as everything else of a read; it is used where the command fails because the server is away, because it waits for one and asks again, and for
 * answers of more than 16 MB.
 */
export class Reader {
  readonly #database: Db;
  readonly #options = { ignoreUndefined: true, enableUtf8Validation: false } as const;

  constructor(database: Db) {
    this.#database = database;
  }

  async some<T extends Document>(of: Collection<T>, filter: Filter<T>, asked: Asked): Promise<readonly T[]> {
    const { limit, skip = 0, ...rest } = asked;
    if (limit > MOST_AT_ONCE) return all(of, filter, asked);
    const command = {
      find: of.collectionName,
      filter,
      ...rest,
      ...(skip > 0 ? { skip } : {}),
      limit,
      // One more than there can be: the server sees that this is all.
      batchSize: limit + 1,
      readConcern: { level: this.#database.readConcern?.level ?? 'local' },
    };
    try {
      const { cursor } = (await this.#database.command(command, this.#options)) as unknown as Answer;
      if (Number(cursor.id) === 0) return cursor.firstBatch as readonly T[];
      this.#forget(of.collectionName, cursor.id);
    } catch (error) {
      if (!isPassing(error)) throw error;
    }
    return all(of, filter, asked);
  }

  async one<T extends Document>(
    of: Collection<T>,
    filter: Filter<T>,
    asked: Omit<Asked, 'limit'> = {},
  ): Promise<T | undefined> {
    return (await this.some(of, filter, { ...asked, limit: 1 }))[0];
  }

  /** What the server keeps for us is not asked for. */
  #forget(name: string, id: number | Long): void {
    const cursors = [typeof id === 'number' ? Long.fromNumber(id) : id];
    this.#database.command({ killCursors: name, cursors }).catch(() => {});
  }
}

const all = <T extends Document>(of: Collection<T>, filter: Filter<T>, asked: Asked): Promise<readonly T[]> =>
  of.find(filter, asked as object).toArray() as Promise<unknown> as Promise<readonly T[]>;
