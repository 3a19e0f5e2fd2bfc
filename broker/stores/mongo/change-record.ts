import type { AttributeInstance } from '../../domain/attribute.ts';
import type { AttributeChange, Change, ChangeDraft, LateInstance, Position } from '../../domain/change.ts';
import type { Entity } from '../../domain/entity.ts';
import type { Iri, TenantId } from '../../domain/iri.ts';
import { fromStoredText, jsonEquals, storedText } from '../../domain/json.ts';
import type { Instant, Micros } from '../../domain/time.ts';
import { allAttributes, uniteTypes } from '../changes.ts';
import { SCOPE, tombstone } from '../tombstone.ts';
import type { HistoryDocument } from './collections.ts';
import { historyDocument, type InstanceIds, type Whose } from './history-documents.ts';
import { fromStateText } from './state-text.ts';

const KINDS = ['created', 'updated', 'deleted'] as const;

/** An attribute's change: `after` is in the state unless it is here. 0: there is none. */
type Row = readonly [
  name: Iri,
  datasetId: Iri | 0,
  kind: number,
  before: AttributeInstance | 0,
  amends?: 0 | 1,
  after?: AttributeInstance,
];

/** What a change says beyond the state after it: from both, everything follows that is stored of it anywhere. */
export interface ChangeRecord {
  /** Position. */
  readonly p: Position;
  readonly k: number;
  readonly at: Instant;
  readonly s: readonly [at: Micros, origin: string];
  /** The largest stamp known at this change. */
  readonly h: Micros;
  /** Types before and after; absent: those of the state. */
  readonly y?: readonly Iri[];
  /** Absent: everything in the state was created or deleted like it. */
  readonly a?: readonly Row[];
  readonly l?: readonly LateInstance[];
  /** The first of the numbers that history gives its instances. */
  readonly f: number;
  /** Deleted instances that leave nothing in history that could have ended (4.22). */
  readonly g?: readonly (readonly [Iri, Iri | 0])[];
  /** The scopes after it, if it changed them. */
  readonly c?: readonly string[];
}

/** @param missed deleted instances of which history has nothing left, or had nothing for good */
export function recordOf(
  draft: ChangeDraft,
  position: Position,
  clock: Micros,
  first: number,
  missed: readonly (readonly [Iri, Iri | 0])[],
): ChangeRecord {
  const { kind, at, stamp, late, before, after } = draft;
  const entity = (after ?? before) as Entity;
  const types = uniteTypes(before?.types, entity.types);
  const plain = kind !== 'updated' && isWhole(draft, entity);
  const scoped = !jsonEquals(before?.scopes ?? [], after?.scopes ?? []);
  return {
    p: position,
    k: KINDS.indexOf(kind),
    at,
    s: [stamp.at, stamp.origin],
    h: clock,
    ...(types === entity.types ? {} : { y: types }),
    ...(plain ? {} : { a: draft.attributes.map((change) => rowOf(change, entity)) }),
    ...(late && late.length > 0 ? { l: late } : {}),
    f: first,
    ...(missed.length > 0 ? { g: missed } : {}),
    ...(scoped ? { c: after?.scopes ?? [] } : {}),
  };
}

/** True of a creation or deletion that lists every instance, or none, and amends nothing. */
function isWhole({ attributes }: ChangeDraft, entity: Entity): boolean {
  if (attributes.length === 0) return true;
  let instances = 0;
  for (const name in entity.attributes) instances += entity.attributes[name as Iri]?.length ?? 0;
  return attributes.length === instances && !attributes.some(({ amends }) => amends);
}

function rowOf({ name, datasetId, kind, before, after, amends }: AttributeChange, entity: Entity): Row {
  const row = [name, datasetId ?? 0, KINDS.indexOf(kind), before ?? 0] as const;
  const stored = after === undefined || (entity.attributes[name]?.includes(after) ?? false);
  if (stored) return amends ? [...row, 1] : row;
  return [...row, amends ? 1 : 0, after];
}

const changesIn = (record: ChangeRecord, entity: Entity): readonly AttributeChange[] =>
  record.a?.map((row) => changeIn(row, entity)) ?? allAttributes(KINDS[record.k] as Change['kind'], entity);

function changeIn([name, datasetId, kindNumber, before, amends, given]: Row, entity: Entity): AttributeChange {
  const kind = KINDS[kindNumber] as AttributeChange['kind'];
  const dataset = datasetId === 0 ? undefined : datasetId;
  const after =
    kind === 'deleted' ? undefined : (given ?? entity.attributes[name]?.find((instance) => instance.datasetId === dataset));
  return {
    name,
    ...(dataset === undefined ? {} : { datasetId: dataset }),
    kind,
    ...(after ? { after } : {}),
    ...(before === 0 ? {} : { before }),
    ...(amends === 1 ? { amends: true } : {}),
  };
}

/** What the feed tells of a change. @param attributes what it did, if that is at hand */
export function changeOf(
  record: ChangeRecord,
  tenant: TenantId,
  entity: Entity,
  attributes?: readonly AttributeChange[],
): Change {
  const kind = KINDS[record.k] as Change['kind'];
  return {
    position: record.p,
    tenant,
    id: entity.id,
    kind,
    types: record.y ?? entity.types,
    entity,
    attributes: kind === 'updated' ? (attributes ?? changesIn(record, entity).map(told)) : allAttributes(kind, entity),
    ...(record.l ? { late: record.l } : {}),
    at: record.at,
    stamp: { at: record.s[0], origin: record.s[1] },
  };
}

/** Readers hear what is now, not how history took it. */
const told = ({ amends: _, ...change }: AttributeChange): AttributeChange => change;

/** A change as text, without the state. */
export const recordText = (record: ChangeRecord): string => storedText(record);

/** Reads a change of the feed. */
export function changeFrom(text: string, tenant: TenantId, id: Iri, state: string): Change {
  return changeOf(fromStoredText(text) as ChangeRecord, tenant, fromStateText(state, id));
}

/** What a change does to history. */
export interface HistoryChange {
  /** With numbers that nobody had before. */
  readonly fresh: readonly HistoryDocument[];
  /** With numbers that their instances brought along. */
  readonly puts: readonly HistoryDocument[];
  /** Numbers of instances that are taken away, unless they are put again. */
  readonly drops: readonly number[];
}

/** How many numbers {@link historyOf} may need. */
export function numbersOf({ attributes, late, kind, before, after }: ChangeDraft): number {
  let count = 1 + attributes.length + (late?.length ?? 0);
  if (kind === 'updated') return count;
  const entity = after ?? before;
  for (const name in entity?.attributes) count += entity?.attributes[name as Iri]?.length ?? 0;
  return count;
}

/**
 * What a change adds to the evolution of its entity. Made again from the same record and state it is the same.
 * @param entity after the change, or before a deletion
 */
export function historyOf(record: ChangeRecord, entity: Entity, whose: Whose, ids: InstanceIds): HistoryChange {
  const { at } = record;
  const fresh: HistoryDocument[] = [];
  const puts: HistoryDocument[] = [];
  const drops: number[] = [];
  let next = record.f;
  const put = (name: Iri, instance: AttributeInstance): void => {
    const own = instance.instanceId === undefined ? undefined : ids.numberOf(instance.instanceId);
    if (own === undefined) fresh.push(historyDocument(whose, next++, name, instance, at));
    else puts.push(historyDocument(whose, own, name, instance, at));
  };
  const drop = (instance: AttributeInstance | undefined): void => {
    const number = instance?.instanceId === undefined ? undefined : ids.numberOf(instance.instanceId);
    if (number !== undefined) drops.push(number);
  };
  const isMissed = (name: Iri, { datasetId }: AttributeInstance): boolean =>
    record.g?.some(([of, dataset]) => of === name && dataset === (datasetId ?? 0)) !== true;
  for (const { name, kind, after, before, amends } of changesIn(record, entity)) {
    if (amends) drop(after ?? before);
    if (kind !== 'deleted' && after) put(name, after);
    else if (!amends && kind === 'deleted' && before && isMissed(name, before)) put(name, tombstone(before, at));
  }
  for (const { name, instance, amends } of record.l ?? []) {
    if (amends) drop(instance);
    if (amends !== 'forgotten') put(name, instance);
  }
  if (record.c) {
    // 4.5.6: observedAt is a copy of modifiedAt; a deletion has only deletedAt beside it.
    const times = record.c.length === 0 ? { deletedAt: at } : { observedAt: at };
    put(SCOPE, { type: 'Property', value: record.c, createdAt: at, modifiedAt: at, ...times });
  }
  return { fresh, puts, drops };
}
