import type { Collection, Db, Document } from 'mongodb';
import { isPassing } from './unavailable.ts';

/** A document that takes the place of what the filter finds. */
export interface Replacement {
  readonly q: Document;
  readonly u: Document;
}

/** What a server says of a write. */
interface Answer {
  readonly n: number;
  readonly writeErrors?: readonly unknown[];
  readonly writeConcernError?: unknown;
}

/** Characters of one command; each is three bytes at most, and a command may have 16 MB. */
const MOST_CHARS = 5_000_000;
/** Characters of a document beside its texts. */
const FRAME_CHARS = 1_000;
/** How much of a state's text may come again in what the entity is found by. */
const FACTS = 8;

/**
 * Writes many documents by one command. The driver's bulk writes serialize every document twice, once to know its size, and look after each by itself. Where
 * anything but success is answered the driver does it again, which waits for a server that is away, and says of each document what is wrong with it: so
 * whoever writes must be able to do the same twice.
 */
export class Writer {
  readonly #database: Db;
  readonly #options = { ignoreUndefined: true } as const;
  readonly #writeConcern: Document;

  constructor(database: Db) {
    this.#database = database;
    const { w, journal: j, wtimeoutMS: wtimeout } = database.writeConcern ?? {};
    this.#writeConcern = { w, j, wtimeout };
  }

  /** @returns true if all of them are there now that were not; false: do it in another way */
  insert<T extends Document>(of: Collection<T>, documents: readonly T[]): Promise<boolean> {
    return this.#all({ insert: of.collectionName, documents }, documents);
  }

  /** @returns true if each filter found a document, and what takes its place is there now; false: do it in another way */
  replace<T extends Document>(of: Collection<T>, updates: readonly Replacement[]): Promise<boolean> {
    return this.#all(
      { update: of.collectionName, updates },
      updates.map(({ u }) => u),
    );
  }

  async #all(command: Document, documents: readonly Document[]): Promise<boolean> {
    if (documents.length === 0) return true;
    if (charsOf(documents) > MOST_CHARS) return false;
    const whole = { ...command, ordered: false, writeConcern: this.#writeConcern };
    try {
      const { n, writeErrors, writeConcernError } = (await this.#database.command(whole, this.#options)) as unknown as Answer;
      return n === documents.length && writeErrors === undefined && writeConcernError === undefined;
    } catch (error) {
      if (!isPassing(error)) throw error;
      return false;
    }
  }
}

function charsOf(documents: readonly Document[]): number {
  let chars = documents.length * FRAME_CHARS;
  for (const one of documents) {
    for (const name of TEXTS) chars += lengthOf(one[name]);
    if (one['q'] !== undefined) chars += FACTS * lengthOf(one['e']);
  }
  return chars;
}

/** Members that may be long: states, records, outboxes, instances, types that only history knows. */
const TEXTS = ['e', 'r', 'c', 'i', 'p'] as const;

const lengthOf = (value: unknown): number => (typeof value === 'string' ? value.length : 0);
