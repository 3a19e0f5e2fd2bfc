import type { AttributeInstance } from '../../domain/attribute.ts';
import type { EntityFragment } from '../../domain/entity.ts';
import { DomainError } from '../../domain/errors.ts';
import type { Iri, TenantId } from '../../domain/iri.ts';
import { fromStoredText, jsonEquals } from '../../domain/json.ts';
import { sameInstance } from '../../domain/patch.ts';
import { fromMicros, type Instant } from '../../domain/time.ts';
import type { Past } from '../past.ts';
import { SCOPE, tombstone } from '../tombstone.ts';
import { type HistoryDocument, keyOf } from './collections.ts';
import { EntityRow } from './entity-row.ts';
import { historyDocument } from './history-documents.ts';
import { sameMoment } from './history-lookups.ts';
import { type Instances, TESTED } from './instances.ts';
import { addClear, addHistory, carryOut, nothing, type Outbox, outboxText } from './outbox.ts';
import type { Parts } from './parts.ts';

type Which = { readonly datasetId?: Iri; readonly all?: boolean };

/**
 * Temporal provision (5.6.11 to 5.6.16): changes of history that leave the state alone. Each is an update of the entity's document that says what is to be
 * done, and then that is done. Called when nothing else writes.
 */
export class Provision {
  readonly #parts: Parts;
  readonly #instances: Instances;

  constructor(parts: Parts, instances: Instances) {
    this.#parts = parts;
    this.#instances = instances;
  }

  async append(tenant: TenantId, id: Iri, fragment: EntityFragment, at: Instant): Promise<'created' | 'updated'> {
    const stored = await this.#stored(tenant, id);
    const known = stored?.known.evolution ? stored.summary : undefined;
    const scopes = fragment.scopes === null ? undefined : (fragment.scopes ?? known?.scopes);
    const past: Past = {
      types: [...new Set([...(known?.types ?? []), ...(fragment.types ?? [])])],
      ...(scopes === undefined ? {} : { scopes }),
      createdAt: known?.createdAt ?? at,
      modifiedAt: at,
      ...(known?.deletedAt === undefined ? {} : { deletedAt: known.deletedAt }),
    };
    const row = stored ?? (await this.#unknown(tenant, id));
    const puts: HistoryDocument[] = [];
    if (!jsonEquals(scopes, known?.scopes)) {
      const instance = { type: 'Property', value: scopes ?? [], createdAt: at, modifiedAt: at, observedAt: at } as const;
      puts.push(await this.#fresh(row, SCOPE, instance, at));
    }
    for (const name in fragment.attributes) {
      for (const given of fragment.attributes[name as Iri] ?? []) {
        const { instanceId: _, stamp: __, ...instance } = given;
        const put = await this.#corrected(row, name as Iri, instance as AttributeInstance, at, puts);
        if (put) puts.push(put);
      }
    }
    await this.#write(stored, row, { evolution: true, past }, { puts });
    return known ? 'updated' : 'created';
  }

  /** An instance takes the place of the newest of its moment, if there is one. @returns undefined if that says the same already */
  async #corrected(
    row: EntityRow,
    name: Iri,
    instance: AttributeInstance,
    at: Instant,
    puts: HistoryDocument[],
  ): Promise<HistoryDocument | undefined> {
    const staged = { ...nothing(), fresh: puts };
    const same = instance.deletedAt === undefined ? await sameMoment(this.#parts, row, name, instance, staged) : [];
    const [old] = same;
    if (old === undefined) return this.#fresh(row, name, { createdAt: at, modifiedAt: at, ...instance }, at);
    const before = { ...(fromStoredText(old.i) as AttributeInstance), observedAt: instance.observedAt };
    if (sameInstance(before as AttributeInstance, instance)) return undefined;
    const corrected = { ...instance, createdAt: fromMicros(old.c), modifiedAt: at };
    const own = puts.indexOf(old);
    if (own >= 0) puts.splice(own, 1);
    return historyDocument(whose(row), old._id, name, corrected, at);
  }

  async deleteEvolution(tenant: TenantId, id: Iri): Promise<boolean> {
    const row = await this.#known(tenant, id);
    if (!row) return false;
    await this.#write(row, row, { evolution: false, past: undefined }, { clear: {} });
    return true;
  }

  async endAttribute(tenant: TenantId, id: Iri, name: Iri, { datasetId, all }: Which, at: Instant): Promise<boolean> {
    const row = await this.#known(tenant, id);
    const past = row?.known.past;
    if (row === undefined || row.exists || past === undefined || past.deletedAt !== undefined) return false;
    const { scopes, ...known } = past;
    if (name === SCOPE) {
      if (scopes === undefined || scopes.length === 0) return false;
      const gone = { type: 'Property', value: [], createdAt: at, modifiedAt: at, deletedAt: at } as const;
      const puts = [await this.#fresh(row, SCOPE, gone, at)];
      await this.#write(row, row, { evolution: true, past: { ...known, modifiedAt: at } }, { puts });
      return true;
    }
    const last = new Map<Iri | undefined, AttributeInstance>();
    const everything = { filter: { property: 'modifiedAt' } } as const;
    for (const { instance } of await this.#instances.read(row, name, everything, TESTED, true, true)) {
      last.set(instance.datasetId, instance);
    }
    const ending = [...last.values()].filter(
      (instance) => instance.deletedAt === undefined && (all === true || instance.datasetId === datasetId),
    );
    if (ending.length === 0) return false;
    const puts: HistoryDocument[] = [];
    for (const instance of ending) puts.push(await this.#fresh(row, name, tombstone(instance, at), at));
    await this.#write(row, row, { evolution: true, past: { ...past, modifiedAt: at } }, { puts });
    return true;
  }

  async deleteAttribute(tenant: TenantId, id: Iri, name: Iri, which: Which): Promise<boolean> {
    const row = await this.#known(tenant, id);
    if (!row) return false;
    const clear = which.all ? { a: name } : { a: name, d: which.datasetId ?? null };
    const followUp = nothing();
    addClear(followUp, row.number, clear);
    const { history } = this.#parts.collections;
    if (!(await history.findOne(followUp.clear[0] as object, { projection: { _id: 1 } }))) return false;
    await this.#write(row, row, row.known, { clear });
    return true;
  }

  async modifyInstance(
    tenant: TenantId,
    id: Iri,
    name: Iri,
    instanceId: Iri,
    change: (old: AttributeInstance) => AttributeInstance,
  ): Promise<boolean> {
    const row = await this.#known(tenant, id);
    const document = row && (await this.#find(row, name, instanceId));
    if (!row || !document) return false;
    const old = this.#instances.instance(document);
    const { instanceId: _, ...changed } = change(old);
    // 5.6.14.4: createdAt stays, modifiedAt is that of the modification.
    const now = this.#parts.clock.now();
    const created = old.createdAt === undefined ? {} : { createdAt: old.createdAt };
    const instance = { ...changed, ...created, modifiedAt: changed.modifiedAt ?? now } as AttributeInstance;
    const puts = [historyDocument(whose(row), document._id, name, instance, now)];
    await this.#write(row, row, row.known, { puts });
    return true;
  }

  async deleteInstance(tenant: TenantId, id: Iri, name: Iri, instanceId: Iri): Promise<boolean> {
    const row = await this.#known(tenant, id);
    const document = row && (await this.#find(row, name, instanceId));
    if (!row || !document) return false;
    await this.#write(row, row, row.known, { drops: [document._id] });
    return true;
  }

  /** Removes instances whose time is over (4.22). */
  async deleteExpired(limit: number): Promise<number> {
    const { collections, clock, due } = this.#parts;
    const expired = { u: { $lte: clock.micros() } };
    const found = await collections.history
      .find(expired, { projection: { _id: 1 } })
      .sort({ u: 1 })
      .limit(Math.min(limit, 10_000))
      .toArray();
    const { deletedCount } = await collections.history.deleteMany({ _id: { $in: found.map(({ _id }) => _id) } });
    await due.instances.look();
    return deletedCount;
  }

  #stored(tenant: TenantId, id: Iri): Promise<EntityRow | undefined> {
    return this.#parts.rows.byId(tenant, id);
  }

  async #known(tenant: TenantId, id: Iri): Promise<EntityRow | undefined> {
    const row = await this.#stored(tenant, id);
    return row?.known.evolution ? row : undefined;
  }

  /** An entity that nothing is known of yet. */
  async #unknown(tenant: TenantId, id: Iri): Promise<EntityRow> {
    const { entities } = this.#parts.numbers;
    const number = entities.atHand(1) ?? (await entities.take(1));
    const none = { text: undefined, expires: undefined, shape: undefined, past: undefined };
    return new EntityRow({ tenant, id, number, version: 0, order: 0, evolution: false, rough: false, ...none });
  }

  async #fresh(row: EntityRow, name: Iri, instance: AttributeInstance, at: Instant): Promise<HistoryDocument> {
    const { instances } = this.#parts.numbers;
    return historyDocument(whose(row), instances.atHand(1) ?? (await instances.take(1)), name, instance, at);
  }

  async #find(row: EntityRow, name: Iri, instanceId: Iri): Promise<HistoryDocument | undefined> {
    const _id = this.#parts.ids.numberOf(instanceId);
    if (_id === undefined) return undefined;
    return (await this.#parts.collections.history.findOne({ _id, k: row.number, a: name })) ?? undefined;
  }

  /** The document of the entity, with what follows; and then what follows. @throws DomainError Unavailable if somebody else has written to it meanwhile */
  async #write(
    stored: EntityRow | undefined,
    row: EntityRow,
    { evolution, past }: { readonly evolution: boolean; readonly past: Past | undefined },
    outbox: Outbox,
  ): Promise<void> {
    const { collections, numbers, cache, tenants, feed, due } = this.#parts;
    const { tenant, id } = row.known;
    const order = numbers.positions.atHand(1) ?? (await numbers.positions.take(1));
    const next = new EntityRow({ ...row.known, order, evolution, past }, row.exists ? row.entity : undefined);
    const document = next.document(outboxText(outbox));
    await tenants.make([tenant]);
    if (stored) {
      const { matchedCount } = await collections.entities.replaceOne({ _id: document._id, o: stored.known.order }, document);
      if (matchedCount === 0) {
        cache.drop(keyOf(tenant, id));
        throw new DomainError('Unavailable', `Others are changing entity ${id}: try again.`);
      }
    } else await collections.entities.insertOne(document);
    const followUp = nothing();
    if (outbox.clear) addClear(followUp, row.number, outbox.clear);
    addHistory(followUp, { puts: outbox.puts ?? [], drops: outbox.drops ?? [] });
    await carryOut(collections, followUp, true);
    for (const { u } of outbox.puts ?? []) due.instances.add(u);
    cache.written(next);
    feed.publish([], order);
  }
}

const whose = ({ known, number }: EntityRow) => ({ tenant: known.tenant, number });
