import type { AttributeInstance, Attributes } from '../attribute.ts';
import type { AttributeChange, ChangeDraft, LateInstance } from '../change.ts';
import type { Entity } from '../entity.ts';
import type { Iri } from '../iri.ts';
import { isObject, jsonEquals } from '../json.ts';
import type { Stamp } from '../stamp.ts';
import { compareInstants, type Instant } from '../time.ts';

/** When and where a write is accepted. */
export interface Moment {
  readonly at: Instant;
  readonly stamp: Stamp;
}

/** What an attribute operation did, by attribute (5.2.18). */
export interface UpdateResult {
  readonly updated: readonly Iri[];
  readonly notUpdated: readonly { readonly attributeName: Iri; readonly reason: string }[];
}

/** A change, if there is one, and what it means for each attribute that was sent. */
export interface Patched {
  readonly draft: ChangeDraft | undefined;
  readonly result: UpdateResult;
}

/** Members that the broker writes: they never make two instances different. */
const WRITTEN_BY_US = new Set(['createdAt', 'modifiedAt', 'deletedAt', 'stamp', 'instanceId']);

/** True if two instances say the same: value, metadata and sub-attributes, whatever the times at which we stored them. */
export function sameInstance(a: AttributeInstance, b: AttributeInstance): boolean {
  const left = a as unknown as Record<string, unknown>;
  const right = b as unknown as Record<string, unknown>;
  for (const member in left) if (!WRITTEN_BY_US.has(member) && !sameMember(member, left[member], right[member])) return false;
  for (const member in right)
    if (!WRITTEN_BY_US.has(member) && left[member] === undefined && right[member] !== undefined) return false;
  return true;
}

function sameMember(member: string, a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (a === undefined || b === undefined) return false;
  // "00Z" and "00.0Z" are one moment.
  if (member === 'observedAt' || member === 'expiresAt') return compareInstants(a as Instant, b as Instant) === 0;
  if (member === 'attributes') return sameAttributes(a as Attributes, b as Attributes);
  return jsonEquals(a, b);
}

function sameAttributes(a: Attributes, b: Attributes): boolean {
  const names = Object.keys(a) as Iri[];
  if (names.length !== Object.keys(b).length) return false;
  return names.every((name) => {
    const left = a[name] ?? [];
    const right = b[name];
    if (right === undefined || right.length !== left.length) return false;
    return left.every((instance) => {
      const other = right.find(({ datasetId }) => datasetId === instance.datasetId);
      return other !== undefined && sameInstance(instance, other);
    });
  });
}

/** The instance without members that are absent, so that what is stored never holds `undefined`. */
function stamped(instance: AttributeInstance, before: AttributeInstance | undefined, { at, stamp }: Moment): AttributeInstance {
  return { ...instance, createdAt: before?.createdAt ?? at, modifiedAt: at, stamp };
}

/**
 * One entity being changed. Puts and removes instances, keeps what is equal untouched (with its modifiedAt and stamp), and in the end
 * knows what really changed: nothing, or a draft.
 */
export class EntityEdit {
  readonly #before: Entity | undefined;
  readonly #moment: Moment;
  readonly #attributes: Record<Iri, readonly AttributeInstance[]>;
  readonly #changes: AttributeChange[] = [];
  readonly #late: LateInstance[] = [];
  #types: readonly Iri[];
  #scopes: readonly string[] | undefined;
  #expiresAt: Instant | undefined;

  constructor(before: Entity | undefined, moment: Moment) {
    this.#before = before;
    this.#moment = moment;
    this.#attributes = { ...before?.attributes };
    this.#types = before?.types ?? [];
    this.#scopes = before?.scopes;
    this.#expiresAt = before?.expiresAt;
  }

  get(name: Iri, datasetId: Iri | undefined): AttributeInstance | undefined {
    return this.#attributes[name]?.find((instance) => instance.datasetId === datasetId);
  }

  instances(name: Iri): readonly AttributeInstance[] {
    return this.#attributes[name] ?? [];
  }

  get names(): readonly Iri[] {
    return Object.keys(this.#attributes) as Iri[];
  }

  get scopes(): readonly string[] | undefined {
    return this.#scopes;
  }

  /** Stores the instance in place of the one with the same datasetId. @returns false if that one says the same already */
  put(name: Iri, instance: AttributeInstance): boolean {
    const instances = this.#attributes[name];
    const before = instances?.find(({ datasetId }) => datasetId === instance.datasetId);
    if (before !== undefined && sameInstance(before, instance)) return false;
    const after = stamped(instance, before, this.#moment);
    this.#attributes[name] =
      instances === undefined
        ? [after]
        : before
          ? instances.map((old) => (old === before ? after : old))
          : [...instances, after];
    const common = { name, ...(instance.datasetId !== undefined && { datasetId: instance.datasetId }), after };
    this.#changes.push(before ? { ...common, kind: 'updated', before } : { ...common, kind: 'created' });
    return true;
  }

  /** @returns false if there is no such instance */
  remove(name: Iri, datasetId: Iri | undefined): boolean {
    const before = this.get(name, datasetId);
    if (before === undefined) return false;
    const rest = this.instances(name).filter((instance) => instance !== before);
    if (rest.length > 0) this.#attributes[name] = rest;
    else delete this.#attributes[name];
    this.#changes.push({ name, ...(datasetId !== undefined && { datasetId }), kind: 'deleted', before });
    return true;
  }

  /** Keeps a reading that is older than the current value: for history only. */
  late(name: Iri, instance: AttributeInstance): void {
    this.#late.push({ name, instance: stamped(instance, undefined, this.#moment) });
  }

  /** Adds types that the entity lacks. */
  addTypes(types: readonly Iri[] | undefined): void {
    const lacking = types?.filter((type) => !this.#types.includes(type)) ?? [];
    if (lacking.length > 0) this.#types = [...this.#types, ...lacking];
  }

  setTypes(types: readonly Iri[]): void {
    this.#types = types;
  }

  setScopes(scopes: readonly string[] | null | undefined): void {
    this.#scopes = scopes ?? undefined;
  }

  setExpiry(expiresAt: Instant | null | undefined): void {
    this.#expiresAt = expiresAt ?? undefined;
  }

  /** @returns undefined if nothing changed */
  draft(id: Iri): ChangeDraft | undefined {
    const before = this.#before;
    const { at, stamp } = this.#moment;
    const frameChanged =
      before === undefined ||
      (this.#types !== before.types && !jsonEquals([...before.types].sort(), [...this.#types].sort())) ||
      (this.#scopes !== before.scopes && !jsonEquals(before.scopes ?? null, this.#scopes ?? null)) ||
      !sameMember('expiresAt', before.expiresAt, this.#expiresAt);
    const changed = frameChanged || this.#changes.length > 0;
    if (!changed && this.#late.length === 0) return undefined;
    const after: Entity = changed
      ? {
          id,
          types: this.#types,
          ...(this.#scopes !== undefined && { scopes: this.#scopes }),
          attributes: this.#attributes,
          createdAt: before?.createdAt ?? at,
          modifiedAt: at,
          ...(this.#expiresAt !== undefined && { expiresAt: this.#expiresAt }),
          stamp: frameChanged ? stamp : (before as Entity).stamp,
        }
      : (before as Entity);
    return {
      kind: before === undefined ? 'created' : 'updated',
      ...(before !== undefined && { before }),
      after,
      attributes: this.#changes,
      ...(this.#late.length > 0 && { late: this.#late }),
      at,
      stamp,
    };
  }
}

/** True if the instance's value is the NGSI-LD Null: what it stands for shall be deleted (4.5.0). expand.ts writes it alike for every kind. */
export function asksForDeletion(instance: AttributeInstance): boolean {
  const members = instance as unknown as Record<string, unknown>;
  for (const member of ['value', 'object', 'languageMap', 'vocab', 'valueList', 'objectList', 'json']) {
    if (members[member] === 'urn:ngsi-ld:null') return true;
  }
  return false;
}

/**
 * The instance as it can be stored: what asks for a deletion inside it has nothing to delete, and is left out.
 * For instances that are stored whole (5.6.2, 5.6.3) and those that a merge adds.
 */
export function withoutNulls(instance: AttributeInstance): AttributeInstance {
  const clean: Record<string, unknown> = {};
  for (const [member, value] of Object.entries(instance)) {
    if (value === 'urn:ngsi-ld:null') continue;
    if (member === 'attributes') {
      const attributes = cleanAttributes(value as Attributes);
      if (Object.keys(attributes).length > 0) clean[member] = attributes;
    } else if (member === 'value' || member === 'languageMap') {
      clean[member] = isObject(value) ? dropNulls(value) : value;
    } else clean[member] = value;
  }
  return clean as unknown as AttributeInstance;
}

function cleanAttributes(attributes: Attributes): Attributes {
  const clean: Record<Iri, readonly AttributeInstance[]> = {};
  for (const [name, instances] of Object.entries(attributes)) {
    const kept = instances.filter((instance) => !asksForDeletion(instance)).map(withoutNulls);
    if (kept.length > 0) clean[name as Iri] = kept;
  }
  return clean;
}

/** Objects without the members that are NGSI-LD Nulls, however deep; arrays are values as they stand (RFC 7396). */
function dropNulls(value: Record<string, unknown>): Record<string, unknown> {
  const clean: Record<string, unknown> = {};
  for (const [key, member] of Object.entries(value)) {
    if (member !== 'urn:ngsi-ld:null') clean[key] = isObject(member) ? dropNulls(member) : member;
  }
  return clean;
}
