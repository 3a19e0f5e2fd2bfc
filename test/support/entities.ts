import type { Attributes } from '../../broker/domain/attribute.ts';
import type { Entity } from '../../broker/domain/entity.ts';
import type { Iri } from '../../broker/domain/iri.ts';
import { type Context, contextTable } from '../../broker/domain/jsonld/context.ts';
import type { Instant } from '../../broker/domain/time.ts';

export const CORE = 'https://uri.etsi.org/ngsi-ld/';
/** Where names go in {@link testContext}: the default vocabulary of NGSI-LD, so that `jsonld` with the core context agrees. */
export const VOCABULARY = `${CORE}default-context/`;

/** The IRI of a short name in {@link testContext}. */
export const name = (term: string): Iri => testContext.expand(term);

const terms = ['createdAt', 'modifiedAt', 'observedAt', 'expiresAt', 'unitCode', 'datasetId', 'location', 'scope', 'lang'];

/** A @context of the core terms that tests use; other names go to the default vocabulary. */
export const testContext: Context = contextTable({
  key: 'test',
  source: 'https://uri.etsi.org/ngsi-ld/v1/ngsi-ld-core-context-v1.8.jsonld',
  link: 'https://uri.etsi.org/ngsi-ld/v1/ngsi-ld-core-context-v1.8.jsonld',
  terms: new Map([
    ['id', { iri: '@id' }],
    ['type', { iri: '@type' }],
    ['objectType', { iri: `${CORE}hasObjectType`, coerced: true }],
    ['valueType', { iri: `${CORE}hasValueType`, coerced: true }],
    ...terms.map((term) => [term, { iri: `${CORE}${term}` }] as const),
  ]),
  vocabulary: VOCABULARY,
});

/** An entity of type Car by short names; an attribute is one instance or an array of them. */
export function entityOf(attributes: Readonly<Record<string, object | readonly object[]>>, more: Partial<Entity> = {}): Entity {
  return {
    id: 'urn:ngsi-ld:Car:1' as Iri,
    types: [name('Car')],
    attributes: attributesOf(attributes),
    createdAt: '2026-01-01T00:00:00Z' as Instant,
    modifiedAt: '2026-01-02T00:00:00.5Z' as Instant,
    stamp: { at: 0, origin: 'a' },
    ...more,
  };
}

export function attributesOf(attributes: Readonly<Record<string, object | readonly object[]>>): Attributes {
  return Object.fromEntries(
    Object.entries(attributes).map(([term, value]) => [name(term), Array.isArray(value) ? value : [value]]),
  ) as Attributes;
}
