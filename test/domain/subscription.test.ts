import { describe, expect, it } from 'vitest';
import type { AttributeChange, Change } from '../../broker/domain/change.ts';
import type { Entity } from '../../broker/domain/entity.ts';
import { DEFAULT_TENANT, type Iri, type TenantId } from '../../broker/domain/iri.ts';
import { compile } from '../../broker/domain/query/evaluate.ts';
import { concerns, DEFAULT_TRIGGERS, queriesOf, type Subscription, statusOf } from '../../broker/domain/subscription.ts';
import { SubscriptionIndex } from '../../broker/domain/subscription-index.ts';
import { fromMicros, type Instant, toMicros } from '../../broker/domain/time.ts';

const ID = 'urn:ngsi-ld:Room:1' as Iri;
const ROOM = 'https://example.org/Room' as Iri;
const OFFICE = 'https://example.org/Office' as Iri;
const TEMPERATURE = 'https://example.org/temperature' as Iri;
const HUMIDITY = 'https://example.org/humidity' as Iri;
const AT = '2026-03-01T07:00:00Z' as Instant;
const STAMP = { at: toMicros(AT), origin: 'test' };

function entity(values: Record<Iri, number>): Entity {
  const attributes = Object.fromEntries(
    Object.entries(values).map(([name, value]) => [name, [{ type: 'Property' as const, value }]]),
  );
  return { id: ID, types: [ROOM], attributes, createdAt: AT, modifiedAt: AT, stamp: STAMP };
}

function change(
  kind: Change['kind'],
  attributes: readonly AttributeChange[],
  after = entity({ [TEMPERATURE]: 20, [HUMIDITY]: 40 }),
): Change {
  return {
    position: 7,
    tenant: DEFAULT_TENANT,
    id: ID,
    kind,
    types: after.types,
    entity: after,
    attributes,
    at: AT,
    stamp: STAMP,
  };
}

const updated = (name: Iri): AttributeChange => ({ name, kind: 'updated' });
const deleted = (name: Iri): AttributeChange => ({ name, kind: 'deleted' });
const created = (name: Iri): AttributeChange => ({ name, kind: 'created' });

function subscription(parts: Partial<Subscription> = {}): Subscription {
  return {
    id: 'urn:ngsi-ld:Subscription:1' as Iri,
    triggers: DEFAULT_TRIGGERS,
    isActive: true,
    entities: [{ types: { kind: 'type', type: ROOM } }],
    ...parts,
  };
}

function heard(parts: Partial<Subscription>, what: Change): boolean {
  const subject = subscription(parts);
  const queries = queriesOf(subject);
  return concerns(
    subject,
    { selectors: queries.selectors.map((query) => compile(query)), conditions: compile(queries.conditions) },
    what,
  );
}

describe('which change notifies (5.8.6, 5.2.12)', () => {
  it('by default: created and updated attributes, and creating an entity creates its attributes', () => {
    expect(heard({}, change('updated', [updated(TEMPERATURE)]))).toBe(true);
    expect(heard({}, change('updated', [created(TEMPERATURE)]))).toBe(true);
    expect(heard({}, change('created', [created(TEMPERATURE)]))).toBe(true);
  });

  it('by default deletions do not notify', () => {
    expect(heard({}, change('updated', [deleted(TEMPERATURE)]))).toBe(false);
    expect(heard({}, change('deleted', [deleted(TEMPERATURE)]))).toBe(false);
  });

  it('only watched attributes count', () => {
    expect(heard({ watchedAttributes: [HUMIDITY] }, change('updated', [updated(TEMPERATURE)]))).toBe(false);
    expect(heard({ watchedAttributes: [HUMIDITY] }, change('updated', [updated(TEMPERATURE), updated(HUMIDITY)]))).toBe(true);
  });

  it('entityUpdated is the three attribute triggers together', () => {
    expect(heard({ triggers: ['entityUpdated'] }, change('updated', [deleted(TEMPERATURE)]))).toBe(true);
    expect(heard({ triggers: ['entityUpdated'] }, change('created', [created(TEMPERATURE)]))).toBe(true);
    expect(
      heard({ triggers: ['entityUpdated'], watchedAttributes: [HUMIDITY] }, change('updated', [updated(TEMPERATURE)])),
    ).toBe(false);
  });

  it('entityCreated and entityDeleted hear just that', () => {
    expect(heard({ triggers: ['entityCreated'] }, change('created', [created(TEMPERATURE)]))).toBe(true);
    expect(heard({ triggers: ['entityCreated'] }, change('updated', [created(TEMPERATURE)]))).toBe(false);
    expect(heard({ triggers: ['entityDeleted'] }, change('deleted', []))).toBe(true);
    expect(heard({ triggers: ['entityDeleted'] }, change('updated', [deleted(TEMPERATURE)]))).toBe(false);
  });

  it('with the entity its attributes are deleted, if a watched one was there', () => {
    expect(heard({ triggers: ['attributeDeleted'], watchedAttributes: [TEMPERATURE] }, change('deleted', []))).toBe(true);
    expect(
      heard({ triggers: ['attributeDeleted'], watchedAttributes: ['https://example.org/noise' as Iri] }, change('deleted', [])),
    ).toBe(false);
  });

  it('selectors choose by type, id and pattern, and one of several is enough', () => {
    const other = 'urn:ngsi-ld:Room:2' as Iri;
    expect(heard({ entities: [{ types: { kind: 'type', type: OFFICE } }] }, change('updated', [updated(TEMPERATURE)]))).toBe(
      false,
    );
    expect(heard({ entities: [{ ids: [other] }] }, change('updated', [updated(TEMPERATURE)]))).toBe(false);
    expect(heard({ entities: [{ idPattern: 'Room:[2-9]' }] }, change('updated', [updated(TEMPERATURE)]))).toBe(false);
    expect(heard({ entities: [{ ids: [other] }, { idPattern: ':1$' }] }, change('updated', [updated(TEMPERATURE)]))).toBe(true);
  });

  it('q is asked about the entity after the change', () => {
    const hot = {
      where: { kind: 'compare', path: { names: [TEMPERATURE] }, operator: '>', value: { kind: 'literal', value: 25 } },
    } as const;
    expect(heard(hot, change('updated', [updated(TEMPERATURE)], entity({ [TEMPERATURE]: 20 })))).toBe(false);
    expect(heard(hot, change('updated', [updated(TEMPERATURE)], entity({ [TEMPERATURE]: 30 })))).toBe(true);
  });

  it('status is derived: expired wins over paused (5.2.12)', () => {
    const now = toMicros(AT);
    expect(statusOf({ isActive: true }, now)).toBe('active');
    expect(statusOf({ isActive: false }, now)).toBe('paused');
    expect(statusOf({ isActive: false, expiresAt: AT }, now)).toBe('expired');
    expect(statusOf({ isActive: true, expiresAt: fromMicros(now + 1) }, now)).toBe('active');
  });
});

describe('the index of subscriptions', () => {
  const tenant = DEFAULT_TENANT;
  const entry = (parts: Partial<Subscription>, of: TenantId = tenant) => ({ tenant: of, subscription: subscription(parts) });
  const find = (index: SubscriptionIndex<ReturnType<typeof entry>>, what: Change) => [...index.candidates(what)];

  it('finds by type and attribute, by id, and those that watch an attribute of any type', () => {
    const index = new SubscriptionIndex<ReturnType<typeof entry>>();
    const byType = entry({});
    const byAttribute = entry({ watchedAttributes: [TEMPERATURE] });
    const byId = entry({ entities: [{ ids: [ID] }] });
    const anyType: ReturnType<typeof entry> = {
      tenant,
      subscription: { id: 'urn:x:2' as Iri, triggers: DEFAULT_TRIGGERS, isActive: true, watchedAttributes: [TEMPERATURE] },
    };
    for (const one of [byType, byAttribute, byId, anyType]) index.add(one);
    expect(new Set(find(index, change('updated', [updated(TEMPERATURE)])))).toEqual(
      new Set([byType, byAttribute, byId, anyType]),
    );
    expect(new Set(find(index, change('updated', [updated(HUMIDITY)])))).toEqual(new Set([byType, byId]));
  });

  it('never finds those of another tenant, another type or another id', () => {
    const index = new SubscriptionIndex<ReturnType<typeof entry>>();
    index.add(entry({}, 'other' as TenantId));
    index.add(entry({ entities: [{ types: { kind: 'type', type: OFFICE } }] }));
    index.add(entry({ entities: [{ ids: ['urn:ngsi-ld:Room:2' as Iri] }] }));
    expect(find(index, change('updated', [updated(TEMPERATURE)]))).toEqual([]);
  });

  it('forgets what is removed', () => {
    const index = new SubscriptionIndex<ReturnType<typeof entry>>();
    const one = entry({});
    index.add(one);
    index.remove(one);
    expect(find(index, change('updated', [updated(TEMPERATURE)]))).toEqual([]);
    expect(index.size).toBe(0);
  });

  it('a change looks at those it concerns, not at all there are', () => {
    const index = new SubscriptionIndex<ReturnType<typeof entry>>();
    for (let n = 0; n < 5000; n++)
      index.add(entry({ entities: [{ types: { kind: 'type', type: `https://example.org/T${n}` as Iri } }] }));
    const one = entry({});
    index.add(one);
    expect(find(index, change('updated', [updated(TEMPERATURE)]))).toEqual([one]);
  });

  it('whatever concerns a subscription is found: no candidate is missed', () => {
    const shapes: Partial<Subscription>[] = [
      {},
      { watchedAttributes: [HUMIDITY] },
      {
        entities: [
          {
            types: {
              kind: 'all',
              of: [
                { kind: 'type', type: ROOM },
                { kind: 'type', type: OFFICE },
              ],
            },
          },
        ],
      },
      {
        entities: [
          {
            types: {
              kind: 'any',
              of: [
                { kind: 'type', type: OFFICE },
                { kind: 'type', type: ROOM },
              ],
            },
          },
        ],
      },
      { entities: [{ idPattern: 'Room' }] },
      { entities: [{ ids: [ID], types: { kind: 'type', type: ROOM } }] },
      { triggers: ['entityDeleted', 'entityCreated'], watchedAttributes: [TEMPERATURE] },
    ];
    const both = { ...entity({ [TEMPERATURE]: 1, [HUMIDITY]: 2 }), types: [ROOM, OFFICE] };
    const changes = [
      change('created', [created(TEMPERATURE), created(HUMIDITY)], both),
      change('updated', [updated(HUMIDITY)], both),
      change('deleted', [], both),
    ];
    for (const shape of shapes) {
      const index = new SubscriptionIndex<ReturnType<typeof entry>>();
      index.add(entry(shape));
      for (const one of changes)
        if (heard(shape, one)) expect(find(index, one), JSON.stringify([shape, one.kind])).toHaveLength(1);
    }
  });
});
