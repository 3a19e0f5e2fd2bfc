import type { AttributeInstance } from '../../domain/attribute.ts';
import type { Entity } from '../../domain/entity.ts';
import type { Iri } from '../../domain/iri.ts';
import { parseShape, type Shape, shapeOf } from '../shape.ts';
import type { Database } from './database.ts';
import type { Dictionary } from './dictionary.ts';
import type { GroupCommit } from './group-commit.ts';

const COUNTED = 'SELECT shape, entities FROM shape_count WHERE tenant = ? AND entities > 0';
const ADD =
  'INSERT INTO shape_count (tenant, shape, entities) VALUES (?, ?, ?) ON CONFLICT (tenant, shape) DO UPDATE SET entities = entities + excluded.entities';
const COUNTS = 'SELECT shape, count(*) FROM entity WHERE tenant = ? AND shape IS NOT NULL GROUP BY shape';
// Named, because the planner would walk the index of shapes and look at every entity.
const EXPIRED =
  'SELECT key, shape FROM entity INDEXED BY entity_by_expiry WHERE expires <= ? AND tenant = ? AND shape IS NOT NULL';

/** How many entities of each shape a tenant has: counted once, then kept up to date with every write. */
export class ShapeCounts {
  readonly #database: Database;
  readonly #dictionary: Dictionary;
  readonly #commits: GroupCommit;
  readonly #counts = new Map<number, Map<number, number>>();
  readonly #shapes = new Map<number, Shape>();
  /** Texts made before, by the words that they are made of, in the order in which an entity has them. */
  #made: Words = { next: new Map() };
  #words = 0;
  /** Where other processes find the counts: what this transaction adds to them, by tenant. undefined: the file is not shared. */
  #told: Map<number, Map<number, number>> | undefined;
  readonly #follows: boolean;

  /** @param follows another process writes the file, and the counts with it */
  constructor(database: Database, dictionary: Dictionary, commits: GroupCommit, follows = false) {
    this.#follows = follows;
    this.#database = database;
    this.#dictionary = dictionary;
    this.#commits = commits;
  }

  /** From here on the counts are in the file as well, for processes that read it. */
  share(): void {
    this.#database.begin();
    this.#database.exec(`
      DROP TABLE IF EXISTS shape_count;
      CREATE TABLE shape_count (tenant INTEGER NOT NULL, shape INTEGER NOT NULL, entities INTEGER NOT NULL, PRIMARY KEY (tenant, shape)) WITHOUT ROWID;
      INSERT INTO shape_count SELECT tenant, shape, count(*) FROM entity WHERE shape IS NOT NULL GROUP BY tenant, shape;
    `);
    this.#database.commit();
    this.#told = new Map();
    // Once for all writes of a transaction.
    this.#commits.atEnd(() => {
      for (const [tenant, counts] of this.#told ?? []) {
        for (const [shape, difference] of counts) if (difference !== 0) this.#database.run(ADD, tenant, shape, difference);
      }
      this.#told?.clear();
    });
  }

  /** Inside a transaction: the key of the entity's shape; null without an entity. */
  key(entity: Entity | undefined): number | null {
    return entity ? this.#dictionary.shape(this.#text(entity)) : null;
  }

  #text(entity: Entity): string {
    let at = this.#made;
    for (const type of entity.types) at = this.#after(at, type);
    for (const name in entity.attributes) {
      const instances = entity.attributes[name as Iri] as readonly AttributeInstance[];
      if (instances.length !== 1) return shapeOf(entity);
      at = this.#after(this.#after(at, name), (instances[0] as AttributeInstance).type);
    }
    at.text ??= shapeOf(entity);
    return at.text;
  }

  #after(at: Words, word: string): Words {
    let next = at.next.get(word);
    if (!next) {
      if (this.#words++ > MOST_WORDS) {
        this.#words = 0;
        this.#made = { next: new Map() };
      }
      next = { next: new Map() };
      at.next.set(word, next);
    }
    return next;
  }

  /** Inside a transaction: an entity has another shape now. null: it did not exist, or does not any more. */
  move(tenant: number, from: number | null, to: number | null): void {
    if (from === to) return;
    const counts = this.#counts.get(tenant);
    if (counts) this.#add(counts, from, to);
    if (!this.#told) return;
    let told = this.#told.get(tenant);
    if (!told) {
      told = new Map();
      this.#told.set(tenant, told);
    }
    this.#add(told, from, to);
  }

  #add(counts: Map<number, number>, from: number | null, to: number | null): void {
    add(counts, from, -1);
    add(counts, to, 1);
    this.#commits.onRollback(() => {
      add(counts, from, 1);
      add(counts, to, -1);
    });
  }

  /**
   * Shapes that occur, and how many entities have them; one may come twice.
   * @param now what has expired by then does not count
   * @param current what is left of an entity of which something has expired
   */
  *of(tenant: number, now: number, current: (key: number) => Entity | undefined): Generator<[Shape, number], void, undefined> {
    const counts = this.#countsOf(tenant);
    const expired = new Map<number, number>();
    for (const [key, shape] of this.#database.all(EXPIRED, now, tenant) as [number, number][]) {
      add(expired, shape, 1);
      const left = current(key);
      if (left) yield [parseShape(shapeOf(left)), 1];
    }
    for (const [key, count] of counts) {
      const left = count - (expired.get(key) ?? 0);
      if (left > 0) yield [this.shape(key), left];
    }
  }

  /** Entities of a tenant, those included that have expired and are still stored. */
  total(tenant: number): number {
    let total = 0;
    for (const count of this.#countsOf(tenant).values()) total += count;
    return total;
  }

  #countsOf(tenant: number): Map<number, number> {
    if (this.#follows) return new Map(this.#database.all(COUNTED, tenant) as [number, number][]);
    let counts = this.#counts.get(tenant);
    if (!counts) {
      counts = new Map(this.#database.all(COUNTS, tenant) as [number, number][]);
      this.#counts.set(tenant, counts);
    }
    return counts;
  }

  /** What a shape's number stands for. */
  shape(key: number): Shape {
    let shape = this.#shapes.get(key);
    if (!shape) {
      shape = parseShape(this.#dictionary.shapeText(key));
      this.#shapes.set(key, shape);
    }
    return shape;
  }
}

interface Words {
  readonly next: Map<string, Words>;
  text?: string;
}
const MOST_WORDS = 10_000;

function add(counts: Map<number, number>, shape: number | null, difference: number): void {
  if (shape !== null) counts.set(shape, (counts.get(shape) ?? 0) + difference);
}
