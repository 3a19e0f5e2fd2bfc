import type { TenantId } from '../../domain/iri.ts';
import type { JsonObject } from '../../domain/json.ts';
import type { DocumentKind, DocumentStore, StoredDocument } from '../../ports/document-store.ts';
import type { Database } from './database.ts';
import type { Dictionary } from './dictionary.ts';
import type { GroupCommit } from './group-commit.ts';

const PUT =
  'INSERT INTO document (kind, tenant, id, version, body) VALUES (?, ?, ?, ?, ?) ON CONFLICT (kind, tenant, id) DO UPDATE SET version = excluded.version, body = excluded.body';

/**
 * Counts replaced and deleted @contexts: who keeps what they said must look again. Others need no such thing, because nobody keeps them who is not
 * told otherwise.
 */
const CONTEXT_CHANGED =
  "INSERT INTO memory (key, value) VALUES ('contexts', 1) ON CONFLICT (key) DO UPDATE SET value = value + 1";
const isContext = (kind: DocumentKind): boolean => kind === 'context' || kind === 'context-cache';

export class SqliteDocumentStore implements DocumentStore {
  readonly #database: Database;
  readonly #dictionary: Dictionary;
  readonly #commits: GroupCommit;

  constructor(database: Database, dictionary: Dictionary, commits: GroupCommit) {
    this.#database = database;
    this.#dictionary = dictionary;
    this.#commits = commits;
  }

  async get(kind: DocumentKind, tenant: TenantId, id: string): Promise<StoredDocument | undefined> {
    const key = this.#dictionary.findTenant(tenant);
    if (key === undefined) return undefined;
    const row = this.#database.get(
      'SELECT version, body FROM document WHERE kind = ? AND tenant = ? AND id = ?',
      kind,
      key,
      id,
    );
    return row && { kind, tenant, id, version: row[0] as number, body: JSON.parse(row[1] as string) as JsonObject };
  }

  async list(kind: DocumentKind, tenant: TenantId | undefined): Promise<readonly StoredDocument[]> {
    const key = tenant === undefined ? undefined : this.#dictionary.findTenant(tenant);
    if (tenant !== undefined && key === undefined) return [];
    const columns = 'SELECT tenant, id, version, body FROM document WHERE kind = ?';
    const rows =
      key === undefined
        ? this.#database.all(`${columns} ORDER BY tenant, id`, kind)
        : this.#database.all(`${columns} AND tenant = ? ORDER BY id`, kind, key);
    return rows.map(([of, id, version, body]) => ({
      kind,
      tenant: this.#dictionary.tenantName(of as number),
      id: id as string,
      version: version as number,
      body: JSON.parse(body as string) as JsonObject,
    }));
  }

  put(kind: DocumentKind, tenant: TenantId, id: string, body: JsonObject, expect?: number): Promise<number | undefined> {
    const text = JSON.stringify(body);
    return this.#commits.submit(() => {
      const known = this.#dictionary.findTenant(tenant);
      const version = known === undefined ? 0 : this.#version(kind, known, id);
      if (expect !== undefined && expect !== version) return undefined;
      if (version > 0 && isContext(kind)) this.#database.run(CONTEXT_CHANGED);
      this.#database.run(PUT, kind, known ?? this.#dictionary.tenant(tenant), id, version + 1, text);
      return version + 1;
    });
  }

  #version(kind: DocumentKind, tenant: number, id: string): number {
    const row = this.#database.get('SELECT version FROM document WHERE kind = ? AND tenant = ? AND id = ?', kind, tenant, id);
    return Number(row?.[0] ?? 0);
  }

  delete(kind: DocumentKind, tenant: TenantId, id: string): Promise<boolean> {
    return this.#commits.submit(() => {
      const key = this.#dictionary.findTenant(tenant);
      if (key === undefined) return false;
      if (isContext(kind)) this.#database.run(CONTEXT_CHANGED);
      return this.#database.run('DELETE FROM document WHERE kind = ? AND tenant = ? AND id = ?', kind, key, id) > 0;
    });
  }
}
