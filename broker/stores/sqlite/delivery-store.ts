import type { Position } from '../../domain/change.ts';
import type { TenantId } from '../../domain/iri.ts';
import type { DeliveryStore, ParkedDelivery } from '../../ports/delivery-store.ts';
import type { Database } from './database.ts';
import type { Dictionary } from './dictionary.ts';
import type { GroupCommit } from './group-commit.ts';

const COLUMNS = 'subscription, position, tenant, endpoint, attempts, reason, dead';
const PARK = `INSERT INTO delivery (${COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)
  ON CONFLICT (subscription, position) DO UPDATE SET attempts = excluded.attempts, reason = excluded.reason, dead = excluded.dead`;
const SUBSCRIPTION_ENDS = 'DELETE FROM delivery WHERE subscription = ? AND tenant = ?';

export class SqliteDeliveryStore implements DeliveryStore {
  readonly #database: Database;
  readonly #dictionary: Dictionary;
  readonly #commits: GroupCommit;

  constructor(database: Database, dictionary: Dictionary, commits: GroupCommit) {
    this.#database = database;
    this.#dictionary = dictionary;
    this.#commits = commits;
  }

  park(deliveries: readonly ParkedDelivery[]): Promise<void> {
    return this.#commits.submit(() => {
      for (const { subscription, position, tenant, endpoint, attempts, reason, dead } of deliveries) {
        const key = this.#dictionary.tenant(tenant);
        this.#database.run(PARK, subscription, position, key, endpoint, attempts, reason, dead ? 1 : 0);
      }
    }, deliveries.length);
  }

  async endpoints(): Promise<readonly { readonly endpoint: string; readonly waiting: number }[]> {
    return this.#database
      .all('SELECT endpoint, count(*) FROM delivery WHERE dead = 0 GROUP BY endpoint ORDER BY endpoint')
      .map(([endpoint, waiting]) => ({ endpoint: endpoint as string, waiting: waiting as number }));
  }

  async waiting(endpoint: string, limit: number): Promise<readonly ParkedDelivery[]> {
    const sql = `SELECT ${COLUMNS} FROM delivery WHERE dead = 0 AND endpoint = ? ORDER BY position, subscription LIMIT ?`;
    return this.#database.all(sql, endpoint, limit).map((columns) => this.#delivery(columns));
  }

  async dead(limit: number): Promise<readonly ParkedDelivery[]> {
    const sql = `SELECT ${COLUMNS} FROM delivery WHERE dead = 1 ORDER BY position, subscription LIMIT ?`;
    return this.#database.all(sql, limit).map((columns) => this.#delivery(columns));
  }

  #delivery(columns: readonly unknown[]): ParkedDelivery {
    const [subscription, position, tenant, endpoint, attempts, reason, dead] = columns as [
      string,
      number,
      number,
      string,
      number,
      string,
      number,
    ];
    return {
      tenant: this.#dictionary.tenantName(tenant),
      subscription,
      position,
      endpoint,
      attempts,
      reason,
      dead: dead === 1,
    };
  }

  remove(deliveries: readonly { readonly subscription: string; readonly position: Position }[]): Promise<void> {
    return this.#commits.submit(() => {
      for (const { subscription, position } of deliveries) {
        this.#database.run('DELETE FROM delivery WHERE subscription = ? AND position = ?', subscription, position);
      }
    }, deliveries.length);
  }

  removeSubscription(tenant: TenantId, subscription: string): Promise<void> {
    return this.#commits.submit(() => {
      // Nothing was ever stored of a tenant that has no key.
      const key = this.#dictionary.findTenant(tenant);
      if (key !== undefined) this.#database.run(SUBSCRIPTION_ENDS, subscription, key);
    });
  }

  async oldest(): Promise<Position | undefined> {
    return (this.#database.get('SELECT min(position) FROM delivery')?.[0] as number | null | undefined) ?? undefined;
  }
}
