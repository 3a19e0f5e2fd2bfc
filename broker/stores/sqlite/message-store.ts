import type { TenantId } from '../../domain/iri.ts';
import { fromStoredText, type JsonObject, storedText } from '../../domain/json.ts';
import type { ParkedDelivery } from '../../ports/delivery-store.ts';
import type { MessageStore, StoredMessage } from '../../ports/message-store.ts';
import type { Database } from './database.ts';
import type { Dictionary } from './dictionary.ts';
import type { GroupCommit } from './group-commit.ts';

const COLUMNS = 'position, tenant, subscription, endpoint, attempts, reason, dead, body';
const ADD = `INSERT INTO message (${COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`;
const PARK = 'UPDATE message SET attempts = ?, reason = ?, dead = ? WHERE position = ?';
const WAITING = `SELECT ${COLUMNS} FROM message WHERE dead = 0 AND endpoint = ? ORDER BY position LIMIT ?`;
const DEAD = `SELECT ${COLUMNS} FROM message WHERE dead = 1 ORDER BY position LIMIT ?`;

export class SqliteMessageStore implements MessageStore {
  readonly #database: Database;
  readonly #dictionary: Dictionary;
  readonly #commits: GroupCommit;

  constructor(database: Database, dictionary: Dictionary, commits: GroupCommit) {
    this.#database = database;
    this.#dictionary = dictionary;
    this.#commits = commits;
  }

  add(messages: readonly StoredMessage[]): Promise<void> {
    return this.#commits.submit(() => {
      for (const { position, tenant, subscription, endpoint, attempts, reason, dead, body } of messages) {
        const key = this.#dictionary.tenant(tenant);
        this.#database.run(ADD, position, key, subscription, endpoint, attempts, reason, dead ? 1 : 0, storedText(body));
      }
    }, messages.length);
  }

  park(messages: readonly ParkedDelivery[]): Promise<void> {
    return this.#commits.submit(() => {
      for (const { position, attempts, reason, dead } of messages) {
        this.#database.run(PARK, attempts, reason, dead ? 1 : 0, position);
      }
    }, messages.length);
  }

  async endpoints(): Promise<readonly { readonly endpoint: string; readonly waiting: number }[]> {
    return this.#database
      .all('SELECT endpoint, count(*) FROM message WHERE dead = 0 GROUP BY endpoint ORDER BY endpoint')
      .map(([endpoint, waiting]) => ({ endpoint: endpoint as string, waiting: waiting as number }));
  }

  async waiting(endpoint: string, limit: number): Promise<readonly StoredMessage[]> {
    return this.#database.all(WAITING, endpoint, limit).map((columns) => this.#message(columns));
  }

  async dead(limit: number): Promise<readonly StoredMessage[]> {
    return this.#database.all(DEAD, limit).map((columns) => this.#message(columns));
  }

  #message(columns: readonly unknown[]): StoredMessage {
    const [position, tenant, subscription, endpoint, attempts, reason, dead, body] = columns as [
      number,
      number,
      string,
      string,
      number,
      string,
      number,
      string,
    ];
    return {
      position,
      tenant: this.#dictionary.tenantName(tenant),
      subscription,
      endpoint,
      attempts,
      reason,
      dead: dead === 1,
      body: fromStoredText(body) as JsonObject,
    };
  }

  remove(messages: readonly { readonly position: number }[]): Promise<void> {
    return this.#commits.submit(() => {
      for (const { position } of messages) this.#database.run('DELETE FROM message WHERE position = ?', position);
    }, messages.length);
  }

  removeQueue(tenant: TenantId, endpoint: string): Promise<void> {
    return this.#commits.submit(() => {
      const key = this.#dictionary.findTenant(tenant);
      if (key !== undefined) this.#database.run('DELETE FROM message WHERE endpoint = ? AND tenant = ?', endpoint, key);
    });
  }

  async last(): Promise<number> {
    return Number(this.#database.get('SELECT max(position) FROM message')?.[0] ?? 0);
  }
}
