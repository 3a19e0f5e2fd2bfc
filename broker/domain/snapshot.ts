import type { Entity } from './entity.ts';
import { badRequest } from './errors.ts';
import { type Iri, isIri, NGSILD_NULL, type TenantId } from './iri.ts';
import { isObject, type JsonObject, type JsonValue } from './json.ts';
import type { Context } from './jsonld/context.ts';
import { addPeriods, parsePeriod } from './period.ts';
import { compile, type Predicate } from './query/evaluate.ts';
import { parseQ } from './query/parse/q.ts';
import { pathsOf } from './query/too-wide.ts';
import { fromMicros, type Instant, type Micros, toMicros } from './time.ts';

/** What a client decides about a Snapshot (Table 5.2.41-1), apart from its queries. */
export interface SnapshotParams {
  /** ISO 8601, as asked for. */
  readonly snapshotLifetime?: string;
  /** 1 to 10: those with the least go first when room is needed (5.5.15). */
  readonly snapshotPriority: number;
  readonly endpoint?: string;
  /** {key, value} pairs (5.2.22). */
  readonly receiverInfo?: readonly { readonly key: string; readonly value: string }[];
}

/** A Snapshot (5.2.41): entities as they were when queries found them, kept apart under {@link snapshotTenant}. */
export interface Snapshot extends SnapshotParams {
  readonly id: Iri;
  /** As received; a clone has those of its original. */
  readonly snapshotQueries?: readonly JsonValue[];
  readonly snapshotTemporalQueries?: readonly JsonValue[];
  readonly snapshotStatus: 'preparing' | 'success' | 'partial' | 'empty' | 'failure';
  readonly snapshotQueriesDetails?: readonly ExecutionResultDetails[];
  readonly snapshotTemporalQueriesDetails?: readonly ExecutionResultDetails[];
  readonly createdAt: Instant;
  readonly modifiedAt: Instant;
  readonly expiresAt: Instant;
  readonly lastUsedAt: Instant;
  /** What its preparation begins with, in case it has to begin again: the @context of the queries, or the Snapshot that is copied. Nobody is shown it. */
  readonly preparation?: { readonly context: JsonValue } | { readonly cloneOf: Iri };
}

/** 5.2.42. */
export interface ExecutionResultDetails {
  readonly resultStatus: 'success' | 'failure' | 'empty';
  readonly problemDetails?: JsonObject;
}

/** What Snapshots may cost. */
export interface SnapshotLimits {
  /** Snapshots of one tenant. */
  readonly snapshots: number;
  /** Entities, and evolutions, in one of them. */
  readonly entities: number;
  readonly queries: number;
  readonly lifetimeS: number;
  readonly longestLifetimeS: number;
}

export const SNAPSHOT_LIMITS: SnapshotLimits = {
  snapshots: 20,
  entities: 100_000,
  queries: 50,
  lifetimeS: 3600,
  longestLifetimeS: 7 * 86_400,
};

// ---- where its entities are --------------------------------------------------------------------------------------------------------------

/** No tenant that a client can name has it (6.3.14). */
const SEPARATOR = '~';

/** The tenant that holds the entities of a Snapshot: in every store, one that no client can name. */
export function snapshotTenant(tenant: TenantId, id: Iri): TenantId {
  return `${tenant}${SEPARATOR}${id}` as TenantId;
}

export function isSnapshotTenant(tenant: TenantId): boolean {
  return tenant.includes(SEPARATOR);
}

/** The tenant and, if there is one, the Snapshot of it that a tenant stands for. */
export function tenantAndSnapshot(tenant: TenantId): { readonly tenant: TenantId; readonly snapshot?: Iri } {
  const at = tenant.indexOf(SEPARATOR);
  if (at < 0) return { tenant };
  return { tenant: tenant.slice(0, at) as TenantId, snapshot: tenant.slice(at + 1) as Iri };
}

// ---- what clients say --------------------------------------------------------------------------------------------------------------------

/**
 * The members that clients decide, from the body of a creation, a cloning or an update; output-only members are ignored (Table 5.2.41-2).
 * @param before what stays as it is where the body says nothing; an NGSI-LD Null removes it (5.5.8)
 * @throws DomainError BadRequestData naming the member
 */
export function readSnapshotParams(body: JsonObject, before: SnapshotParams = { snapshotPriority: 5 }): SnapshotParams {
  const given = <T>(name: keyof SnapshotParams, read: (value: JsonValue) => T): T | undefined => {
    const value = body[name];
    if (value === undefined) return before[name] as T | undefined;
    return value === null || value === NGSILD_NULL ? undefined : read(value);
  };
  const lifetime = given('snapshotLifetime', (value) => {
    parsePeriod(value, 'snapshotLifetime');
    return value as string;
  });
  const endpoint = given('endpoint', readEndpoint);
  const receiverInfo = given('receiverInfo', readReceiverInfo);
  return {
    snapshotPriority: given('snapshotPriority', readPriority) ?? 5,
    ...(lifetime === undefined ? {} : { snapshotLifetime: lifetime }),
    ...(endpoint === undefined ? {} : { endpoint }),
    ...(receiverInfo === undefined ? {} : { receiverInfo }),
  };
}

/** @throws DomainError BadRequestData for another type */
export function refuseOtherType(body: JsonObject): void {
  const type = body['type'] ?? body['@type'];
  if (type !== 'Snapshot') throw badRequest(`The type of a Snapshot must be "Snapshot", not ${JSON.stringify(type)}`);
}

/** @throws DomainError BadRequestData if the body brings queries, which only a creation may (5.2.41) */
export function refuseQueries(body: JsonObject): void {
  for (const name of ['snapshotQueries', 'snapshotTemporalQueries']) {
    if (body[name] !== undefined) throw badRequest(`${name} can only be given when a Snapshot is created`);
  }
}

/** The id that the body gives. @throws DomainError BadRequestData */
export function snapshotId(body: JsonObject): Iri | undefined {
  const id = body['id'] ?? body['@id'];
  if (id === undefined || isIri(id)) return id;
  throw badRequest(`The id of a Snapshot must be a URI, not ${JSON.stringify(id)}`);
}

function readPriority(value: JsonValue): number {
  if (typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= 10) return value;
  throw badRequest(`snapshotPriority must be a whole number from 1 to 10, not ${JSON.stringify(value)}`);
}

function readEndpoint(value: JsonValue): string {
  if (typeof value === 'string' && URL.canParse(value) && /^(https?|mqtts?):$/.test(new URL(value).protocol)) return value;
  throw badRequest(`endpoint must be a URI that begins with http, https, mqtt or mqtts, not ${JSON.stringify(value)}`);
}

function readReceiverInfo(value: JsonValue): { key: string; value: string }[] {
  if (!Array.isArray(value)) throw badRequest('receiverInfo must be an array of {key, value} objects');
  return value.map((pair: JsonValue) => {
    const { key, value: text } = isObject(pair) ? pair : {};
    if (
      typeof key !== 'string' ||
      typeof text !== 'string' ||
      !/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(key) ||
      /[\r\n\0]/.test(text)
    ) {
      throw badRequest('receiverInfo must be an array of {key, value} objects that can be sent as headers');
    }
    return { key, value: text };
  });
}

/** When a Snapshot ends that was asked to live so long: never later than the limit (5.16.1.4). */
export function snapshotEnd(now: Micros, { snapshotLifetime }: SnapshotParams, limits: SnapshotLimits): Instant {
  const wanted =
    snapshotLifetime === undefined
      ? now + limits.lifetimeS * 1e6
      : addPeriods(now, parsePeriod(snapshotLifetime, 'snapshotLifetime'), 1);
  return fromMicros(Math.min(wanted, now + limits.longestLifetimeS * 1e6));
}

// ---- what became of it -------------------------------------------------------------------------------------------------------------------

/** 5.16.1.4: what the results of all queries mean together. */
export function statusOfResults(results: readonly ExecutionResultDetails[]): Snapshot['snapshotStatus'] {
  if (results.every(({ resultStatus }) => resultStatus === 'success')) return 'success';
  if (results.some(({ resultStatus }) => resultStatus === 'success')) return 'partial';
  return results.some(({ resultStatus }) => resultStatus === 'empty') ? 'empty' : 'failure';
}

/** As 5.2.41 shows it. */
export function snapshotBody({ id, preparation: _, ...rest }: Snapshot): JsonObject {
  return { id, type: 'Snapshot', ...rest } as unknown as JsonObject;
}

/** 5.3.4. @param gone the Snapshot has been deleted, which an end before the notification says */
export function snapshotNotification(snapshot: Snapshot, id: string, now: Instant, gone: boolean): JsonObject {
  const { snapshotQueriesDetails: details, snapshotTemporalQueriesDetails: temporalDetails } = snapshot;
  const end = gone && toMicros(snapshot.expiresAt) >= toMicros(now) ? fromMicros(toMicros(now) - 1) : snapshot.expiresAt;
  return {
    id,
    type: 'SnapshotNotification',
    snapshotId: snapshot.id,
    notifiedAt: now,
    expiresAt: end,
    snapshotPriority: snapshot.snapshotPriority,
    snapshotStatus: snapshot.snapshotStatus,
    ...(details === undefined ? {} : { snapshotQueriesDetails: details as unknown as JsonValue }),
    ...(temporalDetails === undefined ? {} : { temporalSnapshotQueriesDetails: temporalDetails as unknown as JsonValue }),
  };
}

const MEMBERS = [
  'snapshotLifetime', 'snapshotPriority', 'endpoint', 'snapshotStatus', 'createdAt', 'modifiedAt', 'expiresAt', 'lastUsedAt',
] as const; // biome-ignore format: a list to be read as one

/**
 * Which Snapshots a q means (5.16.7): it looks at members of the Snapshot data type, and at nothing else.
 * @throws DomainError BadRequestData
 */
export function snapshotTest(q: string, context: Context): (snapshot: Snapshot) => boolean {
  const where = parseQ(q, context);
  const names = new Map(MEMBERS.map((member) => [context.expand(member), member]));
  for (const { names: path, linked } of pathsOf(where)) {
    if (linked !== undefined || path.length > 1 || !names.has(path[0] as Iri)) {
      throw badRequest(`q may only look at members of a Snapshot here: ${MEMBERS.join(', ')}`);
    }
  }
  const test: Predicate = compile({ where });
  return (snapshot) => {
    const attributes: Record<Iri, Entity['attributes'][Iri]> = {};
    for (const [name, member] of names) {
      const value = snapshot[member];
      if (value !== undefined) attributes[name] = [{ type: 'Property', value }];
    }
    const { id, createdAt, modifiedAt } = snapshot;
    return test({ id, types: [], attributes, createdAt, modifiedAt, stamp: { at: 0, origin: '' } });
  };
}
