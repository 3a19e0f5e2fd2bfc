import type { AttributeInstance } from '../../domain/attribute.ts';
import type { Iri, TenantId } from '../../domain/iri.ts';
import { fromStoredText, storedText } from '../../domain/json.ts';
import { withoutExpiredMembers } from '../../domain/patch.ts';
import { fromMicros, type Instant, type Micros, toMicros } from '../../domain/time.ts';
import type { HistoryDocument } from './collections.ts';

/** Whose history an instance is part of. */
export interface Whose {
  readonly tenant: TenantId;
  /** Number of the entity. */
  readonly number: number;
}

/** Names instances of history, so that they are not mistaken for those of another store. */
export class InstanceIds {
  readonly #prefix: string;

  constructor(store: string) {
    this.#prefix = `urn:ngsi-ld:Instance:${store}-`;
  }

  of(number: number): Iri {
    return `${this.#prefix}${number}` as Iri;
  }

  /** The number in an instanceId of this store; undefined: not one of ours. */
  numberOf(instanceId: Iri): number | undefined {
    if (!instanceId.startsWith(this.#prefix)) return undefined;
    const digits = instanceId.slice(this.#prefix.length);
    return /^[1-9]\d{0,15}$/.test(digits) ? Number(digits) : undefined;
  }
}

/** An instance as it is stored. @param at used for createdAt and modifiedAt where the instance has none */
export function historyDocument(
  { tenant, number }: Whose,
  _id: number,
  name: Iri,
  instance: AttributeInstance,
  at: Instant,
): HistoryDocument {
  const { observedAt, deletedAt, datasetId, expiresAt } = instance;
  const modified = toMicros(instance.modifiedAt ?? at);
  const value = instance.type === 'Property' ? instance.value : undefined;
  // What the members say is not said again, except a time that was not written in the shortest way (4.6.3). The stamp orders current
  // state only: history is not merged between brokers, but asked at its origin.
  const rest = {
    ...instance,
    createdAt: undefined,
    modifiedAt: undefined,
    observedAt: observedAt !== undefined && fromMicros(toMicros(observedAt)) === observedAt ? undefined : observedAt,
    deletedAt: undefined,
    stamp: undefined,
    instanceId: undefined,
  };
  return {
    _id,
    t: tenant,
    k: number,
    a: name,
    ...(datasetId === undefined ? {} : { d: datasetId }),
    at: observedAt === undefined ? modified : toMicros(observedAt),
    o: observedAt !== undefined,
    c: toMicros(instance.createdAt ?? at),
    m: modified,
    ...(deletedAt === undefined ? {} : { x: toMicros(deletedAt) }),
    ...(expiresAt === undefined ? {} : { u: toMicros(expiresAt) }),
    ...(typeof value === 'number' ? { v: value } : {}),
    i: storedText(rest),
  };
}

/** The instance that a document holds, without what has expired inside it (4.22). */
export function instanceIn(document: HistoryDocument, ids: InstanceIds, now: Micros): AttributeInstance {
  const instance = fromStoredText(document.i) as Record<string, unknown>;
  if (document.o) instance['observedAt'] ??= fromMicros(document.at);
  instance['createdAt'] = fromMicros(document.c);
  instance['modifiedAt'] = fromMicros(document.m);
  if (document.x !== undefined) instance['deletedAt'] = fromMicros(document.x);
  instance['instanceId'] = ids.of(document._id);
  const found = instance as unknown as AttributeInstance;
  return found.attributes !== undefined && document.i.includes('"expiresAt"') ? withoutExpiredMembers(found, now) : found;
}
