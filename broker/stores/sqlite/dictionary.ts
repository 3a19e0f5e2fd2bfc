import type { Iri, TenantId } from '../../domain/iri.ts';
import type { Database } from './database.ts';
import type { GroupCommit } from './group-commit.ts';

/** Texts that repeat in many rows, as small integers. All of them are held in memory: they are few. */
class Interned {
  readonly #keys = new Map<string, number>();
  readonly #texts: (string | undefined)[] = [];
  readonly #database: Database;
  readonly #commits: GroupCommit;
  readonly #insert: string;

  constructor(database: Database, commits: GroupCommit, table: string, column: string) {
    this.#database = database;
    this.#commits = commits;
    this.#insert = `INSERT INTO ${table} (key, ${column}) VALUES (?, ?)`;
    for (const [key, text] of database.all(`SELECT key, ${column} FROM ${table}`))
      this.#remember(key as number, text as string);
  }

  #remember(key: number, text: string): void {
    this.#keys.set(text, key);
    this.#texts[key] = text;
  }

  /** The largest key that is known. */
  get last(): number {
    return Math.max(0, this.#texts.length - 1);
  }

  /** Another process has added it. */
  learn(key: number, text: string): void {
    this.#remember(key, text);
  }

  find(text: string): number | undefined {
    return this.#keys.get(text);
  }

  /** Inside a transaction. */
  intern(text: string): number {
    const known = this.#keys.get(text);
    if (known !== undefined) return known;
    const key = this.#texts.length === 0 ? 1 : this.#texts.length;
    this.#database.run(this.#insert, key, text);
    this.#remember(key, text);
    this.#commits.onRollback(() => {
      this.#keys.delete(text);
      this.#texts.length = key;
    });
    return key;
  }

  text(key: number): string {
    return this.#texts[key] as string;
  }

  all(): [number, string][] {
    return [...this.#keys].map(([text, key]) => [key, text]);
  }
}

/** Tenants, names and shapes by number. `find…` never adds; the others run inside a transaction and may. */
export class Dictionary {
  readonly #tenants: Interned;
  readonly #names: Interned;
  readonly #shapes: Interned;
  readonly #layers = new Map<string, number>();
  readonly #database: Database;
  readonly #commits: GroupCommit;

  constructor(database: Database, commits: GroupCommit) {
    this.#database = database;
    this.#commits = commits;
    this.#tenants = new Interned(database, commits, 'tenant', 'name');
    this.#names = new Interned(database, commits, 'name', 'iri');
    this.#shapes = new Interned(database, commits, 'shape', 'shape');
    for (const [key, tenant, name] of database.all('SELECT key, tenant, name FROM layer')) {
      this.#layers.set(`${tenant} ${name}`, key as number);
    }
  }

  /** The largest keys that are known: of tenants, names, shapes and layers. */
  get last(): [tenant: number, name: number, shape: number, layer: number] {
    return [this.#tenants.last, this.#names.last, this.#shapes.last, this.#layers.size];
  }

  /** Another process has added a text: of a layer, its tenant and name. */
  learn(kind: 'tenant' | 'name' | 'shape' | 'layer', key: number, text: string): void {
    if (kind === 'tenant') this.#tenants.learn(key, text);
    else if (kind === 'name') this.#names.learn(key, text);
    else if (kind === 'shape') this.#shapes.learn(key, text);
    else this.#layers.set(text, key);
  }

  findTenant(tenant: TenantId): number | undefined {
    return this.#tenants.find(tenant);
  }
  tenant(tenant: TenantId): number {
    return this.#tenants.intern(tenant);
  }
  tenantName(key: number): TenantId {
    return this.#tenants.text(key) as TenantId;
  }
  tenants(): TenantId[] {
    return this.#tenants.all().map(([, name]) => name as TenantId);
  }

  findName(iri: Iri): number | undefined {
    return this.#names.find(iri);
  }
  name(iri: Iri): number {
    return this.#names.intern(iri);
  }
  iri(key: number): Iri {
    return this.#names.text(key) as Iri;
  }

  shape(text: string): number {
    return this.#shapes.intern(text);
  }
  shapeText(key: number): string {
    return this.#shapes.text(key);
  }

  findLayer(tenant: number, name: number): number | undefined {
    return this.#layers.get(`${tenant} ${name}`);
  }
  layer(tenant: number, name: number): number {
    const text = `${tenant} ${name}`;
    const known = this.#layers.get(text);
    if (known !== undefined) return known;
    const key = this.#layers.size + 1;
    this.#database.run('INSERT INTO layer (key, tenant, name) VALUES (?, ?, ?)', key, tenant, name);
    this.#layers.set(text, key);
    this.#commits.onRollback(() => this.#layers.delete(text));
    return key;
  }
}
