import type { AttributeInstance, Attributes } from '../attribute.ts';
import type { ChangeDraft } from '../change.ts';
import type { Entity } from '../entity.ts';
import type { Iri } from '../iri.ts';
import { type Instant, type Micros, toMicros } from '../time.ts';
import { EntityEdit, type Moment } from './edit.ts';
import { deleteEntity } from './entity.ts';

/** When the first thing of this entity stops to exist (4.22): the entity itself, an instance, or something inside one. Infinity: never. */
export function nextExpiry(entity: Entity): Micros {
  return Math.min(endOf(entity.expiresAt), nextOf(entity.attributes));
}

function nextOf(attributes: Attributes): Micros {
  let next = Number.POSITIVE_INFINITY;
  for (const name in attributes) {
    for (const instance of attributes[name as Iri] as readonly AttributeInstance[]) {
      if (instance.expiresAt !== undefined) next = Math.min(next, toMicros(instance.expiresAt));
      if (instance.attributes !== undefined) next = Math.min(next, nextOf(instance.attributes));
    }
  }
  return next;
}

function endOf(expiresAt: Instant | undefined): Micros {
  return expiresAt === undefined ? Number.POSITIVE_INFINITY : toMicros(expiresAt);
}

/** What is left of an entity, and how many of its instances (those inside others counted alike) are not. */
export interface Remainder {
  readonly entity: Entity;
  readonly gone: number;
}

/** The entity as it is at a moment: without the instances whose time is over. @returns undefined if its own time is over */
export function withoutExpired(entity: Entity, now: Micros): Remainder | undefined {
  if (endOf(entity.expiresAt) <= now) return undefined;
  const left = liveAttributes(entity.attributes, now);
  return left.gone === 0 ? { entity, gone: 0 } : { entity: { ...entity, attributes: left.attributes }, gone: left.gone };
}

function liveAttributes(attributes: Attributes, now: Micros): { readonly attributes: Attributes; readonly gone: number } {
  const live: Record<Iri, readonly AttributeInstance[]> = {};
  let gone = 0;
  for (const key in attributes) {
    const name = key as Iri;
    const kept: AttributeInstance[] = [];
    for (const instance of attributes[name] ?? []) {
      const left = liveInstance(instance, now);
      gone += left.gone;
      if (left.instance) kept.push(left.instance);
    }
    if (kept.length > 0) live[name] = kept;
  }
  return gone === 0 ? { attributes, gone } : { attributes: live, gone };
}

/** An instance without what has expired inside it; its own end is for others to look at. */
export function withoutExpiredMembers(instance: AttributeInstance, now: Micros): AttributeInstance {
  const { expiresAt, ...rest } = instance;
  const left = liveInstance(rest as AttributeInstance, now);
  if (left.gone === 0) return instance;
  return { ...left.instance, ...(expiresAt === undefined ? {} : { expiresAt }) } as AttributeInstance;
}

function liveInstance(
  instance: AttributeInstance,
  now: Micros,
): { readonly instance?: AttributeInstance; readonly gone: number } {
  if (endOf(instance.expiresAt) <= now) return { gone: 1 };
  if (instance.attributes === undefined) return { instance, gone: 0 };
  const { attributes, gone } = liveAttributes(instance.attributes, now);
  if (gone === 0) return { instance, gone };
  const { attributes: _, ...rest } = instance;
  return { instance: (Object.keys(attributes).length > 0 ? { ...rest, attributes } : rest) as AttributeInstance, gone };
}

/** The end of what has expired (4.22), as a change like any other. @returns undefined if everything still exists */
export function expire(entity: Entity, now: Micros, moment: Moment): ChangeDraft | undefined {
  if (endOf(entity.expiresAt) <= now) return deleteEntity(entity, entity.id, moment);
  const edit = new EntityEdit(entity, moment);
  for (const name of edit.names) {
    for (const before of edit.instances(name)) {
      const { instance } = liveInstance(before, now);
      if (instance === undefined) edit.remove(name, before.datasetId);
      else if (instance !== before) edit.put(name, instance);
    }
  }
  return edit.draft(entity.id);
}
