import { type AccessFunction, type Caller, demand } from '../domain/access.ts';
import { alreadyExists, DomainError, notFound } from '../domain/errors.ts';
import type { Iri, TenantId } from '../domain/iri.ts';
import type { JsonObject, JsonValue } from '../domain/json.ts';
import type { Context } from '../domain/jsonld/context.ts';
import {
  readSnapshotParams,
  refuseOtherType,
  refuseQueries,
  SNAPSHOT_LIMITS,
  type Snapshot,
  snapshotEnd,
  snapshotId,
  snapshotNotification,
  snapshotTenant,
} from '../domain/snapshot.ts';
import { compareInstants, type Instant, toMicros } from '../domain/time.ts';
import type { DocumentStore } from '../ports/document-store.ts';
import type { Notifier } from '../ports/notifier.ts';
import { type SnapshotContentDependencies, type SnapshotQueries, snapshotContent } from './snapshot-content.ts';

export type { Snapshot, SnapshotQueries };

/** What 5.16.7 leaves behind. */
export interface PurgeResult {
  readonly success: readonly Iri[];
  readonly errors: readonly { readonly entityId: Iri; readonly error: DomainError }[];
}

/** 5.16. All throw DomainError: Forbidden, BadRequestData, ResourceNotFound where there is no such Snapshot; others are named. */
export interface SnapshotOperations {
  /** 5.16.1: the queries are executed after the answer. @returns the id. @throws AlreadyExists, TooManyRequests */
  createSnapshot(caller: Caller, body: JsonObject, context: Context, queries: SnapshotQueries): Promise<Iri>;
  /** 5.16.2: the data is copied after the answer. @throws AlreadyExists, TooManyRequests */
  cloneSnapshot(caller: Caller, id: Iri, body: JsonObject): Promise<Iri>;
  /** 5.16.3. */
  retrieveSnapshot(caller: Caller, id: Iri): Promise<Snapshot>;
  /** 5.16.4. */
  updateSnapshot(caller: Caller, id: Iri, fragment: JsonObject): Promise<Snapshot>;
  /** 5.16.5. */
  deleteSnapshot(caller: Caller, id: Iri): Promise<void>;
  /** 5.16.7: those that the test picks. @throws ResourceNotFound if it picks none */
  purgeSnapshots(caller: Caller, picks: (snapshot: Snapshot) => boolean): Promise<PurgeResult>;
  /** 5.5.15: the same caller, who now only sees the Snapshot. */
  onSnapshot(caller: Caller, id: Iri): Promise<Caller>;
  /**
   * At start: what was being prepared when the broker ended is prepared again, from the beginning. Sources that want credentials of the request are asked
   * without them then.
   * @param read reads the queries, as when they came
   */
  resume(read: (body: JsonObject, context: Context) => SnapshotQueries): Promise<void>;
  /** Ends Snapshots whose time is over, and remembers when which was used. To be called every few seconds. */
  sweep(): Promise<void>;
  /** What is being prepared now is prepared again after the next start. To be called before other context sources are left. */
  stop(): void;
  /** Resolves when nothing is being filled or emptied. For tests and for draining. */
  idle(): Promise<void>;
}

/** Milliseconds before a notification that failed is sent again. */
const RETRIES_MS = [1000, 5000];

export interface SnapshotDependencies extends SnapshotContentDependencies {
  readonly documents: DocumentStore;
  readonly notifier: Notifier;
  readonly access: AccessFunction;
  readonly timeoutMs: number;
  readonly resolveContext: (source: JsonValue) => Promise<Context> | Context;
  readonly newId: (kind: 'Snapshot' | 'SnapshotNotification') => Iri;
}

export function snapshotOperations(dependencies: SnapshotDependencies): SnapshotOperations {
  const { documents, notifier, clock, access, newId, onError, limits = SNAPSHOT_LIMITS } = dependencies;
  const content = snapshotContent(dependencies);
  /** What is done to the data of a Snapshot, one thing after the other. */
  const underWay = new Map<TenantId, Promise<void>>();
  let stopping = false;
  /** Uses that are not on disk yet. */
  const used = new Map<TenantId, Instant>();

  async function find(tenant: TenantId, id: Iri): Promise<Snapshot | undefined> {
    const stored = await documents.get('snapshot', tenant, id);
    if (stored === undefined) return undefined;
    const snapshot = { ...(stored.body as unknown as Snapshot), id };
    if (toMicros(snapshot.expiresAt) <= clock.micros()) return undefined;
    return { ...snapshot, lastUsedAt: used.get(snapshotTenant(tenant, id)) ?? snapshot.lastUsedAt };
  }

  async function existing(tenant: TenantId, id: Iri): Promise<Snapshot> {
    const found = await find(tenant, id);
    if (found === undefined) throw notFound(`There is no Snapshot ${id}`);
    return found;
  }

  /** Changes what is stored, whatever it has become meanwhile. @returns undefined if it is gone */
  async function change(tenant: TenantId, id: Iri, to: (before: Snapshot) => Snapshot): Promise<Snapshot | undefined> {
    for (;;) {
      const stored = await documents.get('snapshot', tenant, id);
      if (stored === undefined) return undefined;
      const { id: _, ...body } = to({ ...(stored.body as unknown as Snapshot), id });
      if ((await documents.put('snapshot', tenant, id, body as unknown as JsonObject, stored.version)) !== undefined) {
        return { ...body, id };
      }
    }
  }

  function afterwards(tenant: TenantId, work: () => Promise<void>): Promise<void> {
    const done = (underWay.get(tenant) ?? Promise.resolve()).then(work).catch(onError);
    underWay.set(tenant, done);
    void done.then(() => {
      if (underWay.get(tenant) === done) underWay.delete(tenant);
    });
    return done;
  }

  /** 5.5.15: what matters least goes first, and of equals what was not used for longest. */
  async function makeRoom(tenant: TenantId, priority: number): Promise<void> {
    const all = (await documents.list('snapshot', tenant)).map(({ id, body }) => ({
      ...(body as unknown as Snapshot),
      id: id as Iri,
    }));
    const first = all.sort(
      (a, b) => a.snapshotPriority - b.snapshotPriority || toMicros(a.lastUsedAt) - toMicros(b.lastUsedAt),
    );
    for (const victim of first.slice(0, Math.max(0, all.length + 1 - limits.snapshots))) {
      if (victim.snapshotPriority > priority) {
        throw new DomainError(
          'TooManyRequests',
          `There are ${all.length} Snapshots already, none of a priority of ${priority} or less`,
        );
      }
      await end(tenant, victim);
      void notify(tenant, victim, true);
    }
  }

  async function store(
    tenant: TenantId,
    id: Iri | undefined,
    about: Omit<Snapshot, 'id' | 'createdAt' | 'modifiedAt' | 'expiresAt' | 'lastUsedAt'>,
  ): Promise<Iri> {
    const chosen = id ?? newId('Snapshot');
    if ((await find(tenant, chosen)) !== undefined) throw alreadyExists(`Snapshot ${chosen} already exists`);
    await makeRoom(tenant, about.snapshotPriority);
    const now = clock.now();
    const times = { createdAt: now, modifiedAt: now, lastUsedAt: now, expiresAt: snapshotEnd(clock.micros(), about, limits) };
    const body = { ...about, ...times } as unknown as JsonObject;
    // One of the same name that has expired may still be there.
    const old = await documents.get('snapshot', tenant, chosen);
    if (old !== undefined) await end(tenant, { ...(old.body as unknown as Snapshot), id: chosen });
    if ((await documents.put('snapshot', tenant, chosen, body, 0)) === undefined) {
      throw alreadyExists(`Snapshot ${chosen} already exists`);
    }
    return chosen;
  }

  /** Removes a Snapshot: at once for those who ask, its data after that. */
  async function end(tenant: TenantId, { id }: Snapshot): Promise<boolean> {
    const hidden = snapshotTenant(tenant, id);
    const was = await documents.delete('snapshot', tenant, id);
    used.delete(hidden);
    void afterwards(hidden, () => content.empty(hidden));
    return was;
  }

  async function prepare(caller: Caller, id: Iri, work: SnapshotQueries): Promise<void> {
    await finish(caller.tenant, id, await content.prepare(caller, snapshotTenant(caller.tenant, id), work));
  }

  async function copy(tenant: TenantId, from: Iri, to: Iri): Promise<void> {
    const source = snapshotTenant(tenant, from);
    // The original may still be on its way.
    await underWay.get(source);
    const copied = await content.copy(source, snapshotTenant(tenant, to));
    await finish(tenant, to, { snapshotStatus: copied ? 'success' : 'failure' });
  }

  async function finish(tenant: TenantId, id: Iri, what: Partial<Snapshot>): Promise<void> {
    // What was asked of others while the broker ends says nothing: it is asked again after the next start.
    if (stopping) return;
    const ready = await change(tenant, id, ({ preparation: _, ...before }) => ({
      ...before,
      ...what,
      modifiedAt: clock.now(),
    }));
    if (ready !== undefined) void notify(tenant, ready);
  }

  /** 5.16.6. An endpoint that does not answer is asked a few more times; the status can be retrieved anyway. */
  async function notify(tenant: TenantId, snapshot: Snapshot, gone = false): Promise<void> {
    const { endpoint, receiverInfo = [] } = snapshot;
    if (endpoint === undefined) return;
    const body = JSON.stringify(snapshotNotification(snapshot, newId('SnapshotNotification'), clock.now(), gone));
    const headers = {
      'Content-Type': 'application/json',
      ...(tenant === '' ? {} : { 'NGSILD-Tenant': tenant }),
      ...Object.fromEntries(receiverInfo.map(({ key, value }) => [key, value])),
    };
    for (const wait of [...RETRIES_MS, undefined]) {
      const { timeoutMs } = dependencies;
      if ((await notifier.deliver({ uri: endpoint, headers, body, notifierInfo: {}, timeoutMs })).delivered) return;
      if (wait !== undefined) await new Promise((wake) => setTimeout(wake, wait).unref());
    }
  }

  return {
    async createSnapshot(caller, body, context, work) {
      demand(access, caller, { operation: 'createSnapshot', effect: 'write' });
      refuseOtherType(body);
      const about = {
        ...readSnapshotParams(body),
        ...queriesOf(body, 'snapshotQueries'),
        ...queriesOf(body, 'snapshotTemporalQueries'),
        snapshotStatus: 'preparing',
        preparation: { context: context.source },
      } as const;
      const id = await store(caller.tenant, snapshotId(body), about);
      void afterwards(snapshotTenant(caller.tenant, id), () => prepare(caller, id, work));
      return id;
    },

    async cloneSnapshot(caller, id, body) {
      demand(access, caller, { operation: 'cloneSnapshot', effect: 'write', ids: [id] });
      refuseOtherType(body);
      refuseQueries(body);
      const params = readSnapshotParams(body);
      const { snapshotQueries, snapshotTemporalQueries } = await existing(caller.tenant, id);
      const clone = await store(caller.tenant, snapshotId(body), {
        ...params,
        ...(snapshotQueries === undefined ? {} : { snapshotQueries }),
        ...(snapshotTemporalQueries === undefined ? {} : { snapshotTemporalQueries }),
        snapshotStatus: 'preparing',
        preparation: { cloneOf: id },
      });
      void afterwards(snapshotTenant(caller.tenant, clone), () => copy(caller.tenant, id, clone));
      return clone;
    },

    async retrieveSnapshot(caller, id) {
      demand(access, caller, { operation: 'retrieveSnapshot', effect: 'read', ids: [id] });
      return existing(caller.tenant, id);
    },

    async updateSnapshot(caller, id, fragment) {
      demand(access, caller, { operation: 'updateSnapshot', effect: 'write', ids: [id] });
      if (fragment['type'] !== undefined) refuseOtherType(fragment);
      refuseQueries(fragment);
      const given = snapshotId(fragment);
      if (given !== undefined && given !== id)
        throw new DomainError('BadRequestData', 'The id of a Snapshot cannot be changed');
      await existing(caller.tenant, id);
      const changed = await change(caller.tenant, id, (before) => {
        const { snapshotLifetime: _l, endpoint: _e, receiverInfo: _r, snapshotPriority: _p, ...rest } = before;
        const params = readSnapshotParams(fragment, before);
        const renewed = fragment['snapshotLifetime'] !== undefined;
        return {
          ...rest,
          ...params,
          modifiedAt: clock.now(),
          expiresAt: renewed ? snapshotEnd(clock.micros(), params, limits) : before.expiresAt,
        };
      });
      if (changed === undefined) throw notFound(`There is no Snapshot ${id}`);
      void notify(caller.tenant, changed);
      return changed;
    },

    async deleteSnapshot(caller, id) {
      demand(access, caller, { operation: 'deleteSnapshot', effect: 'write', ids: [id] });
      await end(caller.tenant, await existing(caller.tenant, id));
    },

    async purgeSnapshots(caller, picks) {
      demand(access, caller, { operation: 'purgeSnapshots', effect: 'write' });
      const success: Iri[] = [];
      const errors: { entityId: Iri; error: DomainError }[] = [];
      for (const { id } of await documents.list('snapshot', caller.tenant)) {
        const snapshot = await find(caller.tenant, id as Iri);
        if (snapshot === undefined || !picks(snapshot)) continue;
        if (await end(caller.tenant, snapshot)) success.push(snapshot.id);
        else errors.push({ entityId: snapshot.id, error: notFound(`There is no Snapshot ${id}`) });
      }
      if (success.length + errors.length === 0) throw notFound('No Snapshot fits the query');
      return { success, errors };
    },

    async onSnapshot(caller, id) {
      await existing(caller.tenant, id);
      const tenant = snapshotTenant(caller.tenant, id);
      used.set(tenant, clock.now());
      return { ...caller, tenant, snapshot: id };
    },

    async resume(read) {
      const all = await documents.list('snapshot', undefined);
      // A clone waits for its original, which is older.
      const eldestFirst = [...all].sort((a, b) => compareInstants(createdAt(a), createdAt(b)));
      for (const { tenant, id, body } of eldestFirst) {
        const { snapshotStatus, preparation } = body as unknown as Snapshot;
        if (snapshotStatus !== 'preparing') continue;
        const hidden = snapshotTenant(tenant, id as Iri);
        void afterwards(hidden, async () => {
          try {
            await content.empty(hidden);
            if (preparation === undefined) throw new DomainError('InternalError', 'Its preparation cannot begin again');
            if ('cloneOf' in preparation) return await copy(tenant, preparation.cloneOf, id as Iri);
            const context = await dependencies.resolveContext(preparation.context);
            const asked = { context, via: [], headers: {}, method: 'POST', path: 'snapshots', query: {} };
            await prepare({ tenant, principal: { kind: 'system' }, onward: asked }, id as Iri, read(body, context));
          } catch (error) {
            onError(error);
            await finish(tenant, id as Iri, { snapshotStatus: 'failure' });
          }
        });
      }
    },

    async sweep() {
      for (const { tenant, id, body } of await documents.list('snapshot', undefined)) {
        const snapshot = { ...(body as unknown as Snapshot), id: id as Iri };
        if (toMicros(snapshot.expiresAt) <= clock.micros()) {
          await end(tenant, snapshot);
          void notify(tenant, snapshot, true);
          continue;
        }
        const hidden = snapshotTenant(tenant, snapshot.id);
        const lastUsedAt = used.get(hidden);
        if (lastUsedAt === undefined) continue;
        used.delete(hidden);
        await change(tenant, snapshot.id, (before) => ({ ...before, lastUsedAt }));
      }
    },

    stop() {
      stopping = true;
    },

    async idle() {
      while (underWay.size > 0) await Promise.all(underWay.values());
    },
  };
}

const createdAt = ({ body }: { readonly body: JsonObject }): Instant => body['createdAt'] as Instant;

function queriesOf(body: JsonObject, name: 'snapshotQueries' | 'snapshotTemporalQueries'): Partial<Snapshot> {
  return body[name] === undefined ? {} : { [name]: body[name] as readonly JsonValue[] };
}
