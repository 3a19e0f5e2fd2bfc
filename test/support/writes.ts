import type { AttributeInstance, Attributes } from '../../broker/domain/attribute.ts';
import type { AttributeChange, ChangeDraft } from '../../broker/domain/change.ts';
import type { Entity } from '../../broker/domain/entity.ts';
import { DEFAULT_TENANT, type Iri, type TenantId } from '../../broker/domain/iri.ts';
import type { JsonValue } from '../../broker/domain/json.ts';
import { fromMicros, type Instant } from '../../broker/domain/time.ts';
import type { Clock } from '../../broker/ports/clock.ts';
import type { Write } from '../../broker/ports/entity-store.ts';

export const iri = (name: string): Iri => `https://example.org/${name}` as Iri;
export const urn = (name: string): Iri => `urn:ngsi-ld:${name}` as Iri;
export const at = (text: string): Instant => text as Instant;

/** A clock that a test moves; every stamp is a microsecond later than the one before. */
export interface TestClock extends Clock {
  advance(seconds: number): void;
}

export function testClock(start = '2026-03-01T07:00:00Z', origin = 'here'): TestClock {
  let now = Date.parse(start) * 1000;
  let last = 0;
  return {
    now: () => fromMicros(now),
    micros: () => now,
    stamp: () => {
      last = Math.max(last + 1, now);
      return { at: last, origin };
    },
    saw: (stamp) => {
      last = Math.max(last, stamp.at);
    },
    advance: (seconds) => {
      now += seconds * 1_000_000;
    },
  };
}

export function property(value: JsonValue, more: Partial<AttributeInstance> = {}): AttributeInstance {
  return { type: 'Property', value, ...more } as AttributeInstance;
}

export function point(longitude: number, latitude: number): AttributeInstance {
  return { type: 'GeoProperty', value: { type: 'Point', coordinates: [longitude, latitude] } };
}

const TENANT = DEFAULT_TENANT;

function stamped(attributes: Attributes, clock: Clock): Attributes {
  const now = clock.now();
  const stamp = clock.stamp();
  const entries = Object.entries(attributes).map(([name, instances]) => [
    name,
    instances.map((instance) => ({ createdAt: now, modifiedAt: now, stamp, ...instance })),
  ]);
  return Object.fromEntries(entries) as Attributes;
}

/** Creates the entity; changes nothing if it exists. */
export function creation(
  clock: Clock,
  id: Iri,
  types: readonly Iri[],
  attributes: Attributes,
  more: Partial<Entity> & { tenant?: TenantId } = {},
): Write {
  const { tenant, ...members } = more;
  return {
    tenant: tenant ?? TENANT,
    id,
    decide: (current): ChangeDraft | undefined => {
      if (current) return undefined;
      const stamp = clock.stamp();
      const now = clock.now();
      const after: Entity = {
        id,
        types,
        attributes: stamped(attributes, clock),
        createdAt: now,
        modifiedAt: now,
        stamp,
        ...members,
      };
      const changes: AttributeChange[] = Object.entries(after.attributes).flatMap(([name, instances]) =>
        instances.map((instance) => ({
          name: name as Iri,
          ...(instance.datasetId ? { datasetId: instance.datasetId } : {}),
          kind: 'created' as const,
          after: instance,
        })),
      );
      return { kind: 'created', after, attributes: changes, at: now, stamp };
    },
  };
}

/** Sets the default instance of one attribute; changes nothing if the entity does not exist. */
export function setting(clock: Clock, id: Iri, name: Iri, instance: AttributeInstance, tenant: TenantId = TENANT): Write {
  return {
    tenant,
    id,
    decide: (before) => {
      if (!before) return undefined;
      const stamp = clock.stamp();
      const now = clock.now();
      const old = before.attributes[name]?.[0];
      const fresh = { createdAt: old?.createdAt ?? now, modifiedAt: now, stamp, ...instance } as AttributeInstance;
      const after: Entity = { ...before, attributes: { ...before.attributes, [name]: [fresh] }, modifiedAt: now };
      const change: AttributeChange = old
        ? { name, kind: 'updated', before: old, after: fresh }
        : { name, kind: 'created', after: fresh };
      return { kind: 'updated', before, after, attributes: [change], at: now, stamp };
    },
  };
}

/** Removes one attribute. */
export function removal(clock: Clock, id: Iri, name: Iri): Write {
  return {
    tenant: TENANT,
    id,
    decide: (before) => {
      const old = before?.attributes[name]?.[0];
      if (!before || !old) return undefined;
      const { [name]: _, ...attributes } = before.attributes;
      const now = clock.now();
      const after: Entity = { ...before, attributes, modifiedAt: now };
      return {
        kind: 'updated',
        before,
        after,
        attributes: [{ name, kind: 'deleted', before: old }],
        at: now,
        stamp: clock.stamp(),
      };
    },
  };
}

/** Deletes the entity; changes nothing if it does not exist. */
export function deletion(clock: Clock, id: Iri, tenant: TenantId = TENANT): Write {
  return {
    tenant,
    id,
    decide: (before) => {
      if (!before) return undefined;
      const attributes = Object.entries(before.attributes).flatMap(([name, instances]) =>
        instances.map((instance) => ({ name: name as Iri, kind: 'deleted' as const, before: instance })),
      );
      return { kind: 'deleted', before, attributes, at: clock.now(), stamp: clock.stamp() };
    },
  };
}
