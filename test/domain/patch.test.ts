import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { AttributeInstance } from '../../broker/domain/attribute.ts';
import type { ChangeDraft } from '../../broker/domain/change.ts';
import type { Entity } from '../../broker/domain/entity.ts';
import { DomainError } from '../../broker/domain/errors.ts';
import type { Iri } from '../../broker/domain/iri.ts';
import type { JsonObject, JsonValue } from '../../broker/domain/json.ts';
import {
  type ExpandOptions,
  expandAttributeBody,
  expandEntity,
  requireWhole,
  type WholeEntity,
} from '../../broker/domain/jsonld/expand.ts';
import {
  appendAttributes,
  createEntity,
  createOrReplaceEntity,
  deleteAttribute,
  deleteEntity,
  ingestFragment,
  type MergeOptions,
  type Moment,
  mergeEntity,
  partialUpdate,
  replaceAttribute,
  replaceEntity,
  updateAttributes,
} from '../../broker/domain/patch.ts';
import type { Instant } from '../../broker/domain/time.ts';
import { DEFAULT_VOCABULARY as D, offlineContexts } from '../support/contexts.ts';

const { core } = await offlineContexts();
const NULL = 'urn:ngsi-ld:null';
const ID = 'urn:a:1' as Iri;
const moment = (minute: number): Moment => ({
  at: `2026-01-01T00:${String(minute).padStart(2, '0')}:00Z` as Instant,
  stamp: { at: minute, origin: 'here' },
});
const THEN = moment(0);
const NOW = moment(10);
const iri = (name: string) => (D + name) as Iri;

function whole(body: JsonObject): WholeEntity {
  const fragment = expandEntity({ id: ID, type: 'A', ...body }, core);
  requireWhole(fragment);
  return fragment;
}
const stored = (body: JsonObject): Entity => createEntity(undefined, whole(body), THEN)?.after as Entity;
const fragmentOf = (body: JsonObject, options: ExpandOptions = { nulls: 'members' }) => expandEntity(body, core, options);

/** What is stored for attribute `a` afterwards, without what the broker writes. */
function a(draft: ChangeDraft | undefined, before?: Entity): unknown {
  const instances = (draft ? draft.after : before)?.attributes[iri('a')] ?? [];
  const clean = instances.map((instance) =>
    JSON.parse(JSON.stringify(instance, (key, value) => (WRITTEN.has(key) ? undefined : value))),
  );
  return clean.length === 1 ? clean[0] : clean;
}
const WRITTEN = new Set(['createdAt', 'modifiedAt', 'stamp']);

const kinds = (draft: ChangeDraft | undefined) => draft?.attributes.map(({ name, kind }) => [name.slice(D.length), kind]);
const refusal = (work: () => unknown): string => {
  try {
    work();
  } catch (error) {
    return error instanceof DomainError ? error.type : String(error);
  }
  return 'nothing refused';
};

describe('create, replace, delete (5.6.1, 5.6.18, 5.6.6)', () => {
  it('creates with every instance stamped', () => {
    const draft = createEntity(undefined, whole({ a: 1, scope: '/X' }), THEN);
    expect(draft).toMatchObject({
      kind: 'created',
      after: { createdAt: THEN.at, modifiedAt: THEN.at, scopes: ['/X'], stamp: THEN.stamp },
    });
    expect(draft?.before).toBeUndefined();
    expect(draft?.after?.attributes[iri('a')]).toEqual([
      { type: 'Property', value: 1, createdAt: THEN.at, modifiedAt: THEN.at, stamp: THEN.stamp },
    ]);
    expect(refusal(() => createEntity(stored({}), whole({}), NOW))).toBe('AlreadyExists');
  });

  it('replaces everything but createdAt, and says what changed', () => {
    const before = stored({
      a: 1,
      b: 2,
      c: { value: 3, datasetId: 'urn:d:1' },
      scope: '/X',
      expiresAt: '2030-01-01T00:00:00Z',
    });
    const draft = replaceEntity(before, whole({ type: 'B', b: 2, c: 3 }), NOW);
    expect(draft?.after).toMatchObject({ types: [iri('B')], createdAt: THEN.at, modifiedAt: NOW.at, stamp: NOW.stamp });
    expect(draft?.after?.scopes).toBeUndefined();
    expect(draft?.after?.expiresAt).toBeUndefined();
    expect(Object.keys(draft?.after?.attributes ?? {}).sort()).toEqual([iri('b'), iri('c')]);
    expect(kinds(draft)).toEqual([
      ['a', 'deleted'],
      ['c', 'deleted'],
      ['c', 'created'],
    ]);
    // What is equal keeps the time at which it was written.
    expect(draft?.after?.attributes[iri('b')]?.[0]).toMatchObject({ modifiedAt: THEN.at, stamp: THEN.stamp });
    expect(refusal(() => replaceEntity(undefined, whole({}), NOW))).toBe('ResourceNotFound');
  });

  it('deletes with all instances', () => {
    const draft = deleteEntity(stored({ a: 1, b: 2 }), ID, NOW);
    expect(kinds(draft)).toEqual([
      ['a', 'deleted'],
      ['b', 'deleted'],
    ]);
    expect(draft.after).toBeUndefined();
    expect(refusal(() => deleteEntity(undefined, ID, NOW))).toBe('ResourceNotFound');
  });

  it('upserts', () => {
    expect(createOrReplaceEntity(undefined, whole({ a: 1 }), NOW)?.kind).toBe('created');
    expect(createOrReplaceEntity(stored({ a: 1 }), whole({ a: 2 }), NOW)?.kind).toBe('updated');
  });
});

describe('three depths (5.5.8, 5.5.12)', () => {
  const before = stored({ a: { value: { x: 1, y: { z: 2 } }, unitCode: 'CEL', observedAt: '2026-01-01T00:00:00Z', note: 1 } });
  const body = { type: 'Property', value: { x: 5, y: { w: 3 } }, observedAt: '2026-01-01T00:05:00Z' };

  it('update swaps the whole instance', () => {
    expect(a(updateAttributes(before, ID, fragmentOf({ a: body }), NOW).draft)).toEqual(body);
  });
  it('partial update replaces members', () => {
    const part = expandAttributeBody(body, 'a', core, { partial: true, nulls: 'members' });
    expect(a(partialUpdate(before, ID, iri('a'), part, NOW))).toEqual({
      ...body,
      unitCode: 'CEL',
      attributes: { [iri('note')]: [{ type: 'Property', value: 1 }] },
    });
  });
  it('merge goes into the value', () => {
    const options = { partial: true, nulls: 'everywhere' } as const;
    expect(a(mergeEntity(before, ID, fragmentOf({ a: body }, options), {}, NOW))).toEqual({
      ...body,
      value: { x: 5, y: { z: 2, w: 3 } },
      unitCode: 'CEL',
      attributes: { [iri('note')]: [{ type: 'Property', value: 1 }] },
    });
  });
});

describe('Update Attributes (5.6.2)', () => {
  const before = stored({ a: [{ value: 1 }, { value: 2, datasetId: 'urn:d:1' }], b: 7 });
  const update = (body: JsonObject) => updateAttributes(before, ID, fragmentOf(body), NOW).draft;

  it('targets the default instance or that of the datasetId, and adds what is not there', () => {
    expect(a(update({ a: 5 }))).toEqual([
      { type: 'Property', value: 5 },
      { type: 'Property', value: 2, datasetId: 'urn:d:1' },
    ]);
    expect(a(update({ a: { value: 5, datasetId: 'urn:d:1' } }))).toEqual([
      { type: 'Property', value: 1 },
      { type: 'Property', value: 5, datasetId: 'urn:d:1' },
    ]);
    expect(kinds(update({ a: { value: 5, datasetId: 'urn:d:2' }, c: 1 }))).toEqual([
      ['a', 'created'],
      ['c', 'created'],
    ]);
  });

  it('keeps createdAt, and touches nothing else', () => {
    const after = update({ a: 5 })?.after;
    expect(after?.attributes[iri('a')]?.[0]).toMatchObject({ createdAt: THEN.at, modifiedAt: NOW.at, stamp: NOW.stamp });
    expect(after?.attributes[iri('a')]?.[1]).toMatchObject({ modifiedAt: THEN.at });
    expect(after).toMatchObject({ createdAt: THEN.at, modifiedAt: NOW.at, stamp: THEN.stamp });
  });

  it('deletes one instance by NGSI-LD Null, and the name with the last', () => {
    expect(a(update({ a: NULL }))).toEqual({ type: 'Property', value: 2, datasetId: 'urn:d:1' });
    expect(update({ b: { type: 'Relationship', object: NULL } })?.after?.attributes).not.toHaveProperty([iri('b')]);
    expect(update({ nothere: NULL })).toBeUndefined();
  });

  it('adds types, and replaces a scope only if there is one', () => {
    expect(update({ type: ['B', 'A'] })?.after?.types).toEqual([iri('A'), iri('B')]);
    expect(update({ scope: '/X' })).toBeUndefined();
    const scoped = stored({ scope: '/X' });
    expect(updateAttributes(scoped, ID, fragmentOf({ scope: '/Y' }), NOW).draft?.after?.scopes).toEqual(['/Y']);
    expect(updateAttributes(scoped, ID, fragmentOf({ scope: NULL }), NOW).draft?.after).not.toHaveProperty('scopes');
  });

  it('is no change if everything is equal, however it is written', () => {
    const exact = stored({ a: { value: { x: 1, y: 2 }, observedAt: '2026-01-01T00:00:00Z' } });
    const same = { a: { observedAt: '2026-01-01T00:00:00.000Z', value: { y: 2, x: 1 } }, type: 'A' };
    expect(updateAttributes(exact, ID, fragmentOf(same), NOW).draft).toBeUndefined();
    const later = { a: { value: { x: 1, y: 2 }, observedAt: '2026-01-01T00:00:01Z' } };
    expect(kinds(updateAttributes(exact, ID, fragmentOf(later), NOW).draft)).toEqual([['a', 'updated']]);
  });
});

describe('Append Attributes (5.6.3)', () => {
  const before = stored({ a: 1, scope: '/X' });
  const append = (body: JsonObject, overwrite: boolean) =>
    appendAttributes(before, ID, fragmentOf(body, {}), { overwrite }, NOW);

  it('overwrites, or leaves alone and says so', () => {
    expect(a(append({ a: 2, b: 3 }, true).draft)).toEqual({ type: 'Property', value: 2 });
    const kept = append({ a: 2, b: 3 }, false);
    expect(a(kept.draft)).toEqual({ type: 'Property', value: 1 });
    expect(kept.result).toMatchObject({ updated: [iri('b')], notUpdated: [{ attributeName: iri('a') }] });
    expect(kinds(kept.draft)).toEqual([['b', 'created']]);
  });

  it('replaces the scope, or adds to it', () => {
    expect(append({ scope: '/Y' }, true).draft?.after?.scopes).toEqual(['/Y']);
    expect(append({ scope: ['/Y', '/X'] }, false).draft?.after?.scopes).toEqual(['/X', '/Y']);
  });
});

describe('Partial Attribute Update (5.6.4)', () => {
  const before = stored({ a: { value: 1, unitCode: 'CEL', p: 1, note: 2 } });
  const update = (body: JsonObject) =>
    partialUpdate(before, ID, iri('a'), expandAttributeBody(body, 'a', core, { partial: true, nulls: 'members' }), NOW);

  it('deletes members, sub-attributes and the instance by NGSI-LD Null', () => {
    expect(a(update({ unitCode: NULL, p: NULL }))).toEqual({
      type: 'Property',
      value: 1,
      attributes: { [iri('note')]: [{ type: 'Property', value: 2 }] },
    });
    expect(update({ value: NULL })?.after?.attributes).toEqual({});
    expect(a(update({ p: NULL, note: NULL }))).toEqual({ type: 'Property', value: 1, unitCode: 'CEL' });
  });

  it('cannot change the kind, nor touch an instance that is not there', () => {
    expect(refusal(() => update({ type: 'Relationship', object: 'urn:b:1' }))).toBe('BadRequestData');
    expect(refusal(() => update({ value: 1, datasetId: 'urn:d:1' }))).toBe('ResourceNotFound');
    const part = expandAttributeBody({ value: 1 }, 'b', core);
    expect(refusal(() => partialUpdate(before, ID, iri('b'), part, NOW))).toBe('ResourceNotFound');
    expect(refusal(() => partialUpdate(undefined, ID, iri('a'), part, NOW))).toBe('ResourceNotFound');
  });

  it('is no change if nothing differs', () => expect(update({ value: 1, unitCode: 'CEL', p: 1 })).toBeUndefined());
});

describe('Replace Attribute (5.6.19) and Delete Attribute (5.6.5)', () => {
  const before = stored({
    a: [
      { value: 1, unitCode: 'CEL' },
      { value: 2, datasetId: 'urn:d:1' },
    ],
    scope: '/X',
  });

  it('replaces one instance, of whatever kind', () => {
    const [relationship] = fragmentOf({ a: { object: 'urn:b:1' } }).attributes[iri('a')] as [AttributeInstance];
    const draft = replaceAttribute(before, ID, iri('a'), relationship, NOW);
    expect(a(draft)).toEqual([
      { type: 'Relationship', object: 'urn:b:1' },
      { type: 'Property', value: 2, datasetId: 'urn:d:1' },
    ]);
    expect(refusal(() => replaceAttribute(before, ID, iri('b'), relationship, NOW))).toBe('ResourceNotFound');
  });

  it('deletes the default instance, one, or all', () => {
    expect(a(deleteAttribute(before, ID, iri('a'), {}, NOW))).toMatchObject({ value: 2 });
    expect(a(deleteAttribute(before, ID, iri('a'), { datasetId: 'urn:d:1' as Iri }, NOW))).toMatchObject({ value: 1 });
    expect(deleteAttribute(before, ID, iri('a'), { deleteAll: true }, NOW)?.after?.attributes).toEqual({});
    expect(refusal(() => deleteAttribute(before, ID, iri('a'), { datasetId: 'urn:d:2' as Iri }, NOW))).toBe('ResourceNotFound');
    expect(refusal(() => deleteAttribute(before, ID, iri('b'), { deleteAll: true }, NOW))).toBe('ResourceNotFound');
  });

  it('deletes the scope', () => {
    const scope = 'https://uri.etsi.org/ngsi-ld/scope' as Iri;
    expect(deleteAttribute(before, ID, scope, {}, NOW)?.after).not.toHaveProperty('scopes');
  });
});

describe('Merge Entity (5.6.17)', () => {
  const merge = (before: JsonObject, body: JsonObject, options: MergeOptions = {}, simplified = false) =>
    mergeEntity(stored(before), ID, fragmentOf(body, { partial: true, nulls: 'everywhere', simplified }), options, NOW);

  it.each<[string, JsonValue, JsonValue, unknown]>([
    ['deletes inside a value', { value: { s: 1, c: 2 } }, { value: { s: 3, c: NULL } }, { type: 'Property', value: { s: 3 } }],
    ['replaces arrays', { value: { s: [1, 2] } }, { value: { s: [3] } }, { type: 'Property', value: { s: [3] } }],
    ['keeps metadata', { value: 1, unitCode: 'CEL' }, { value: 2 }, { type: 'Property', value: 2, unitCode: 'CEL' }],
    ['deletes metadata', { value: 1, unitCode: 'CEL' }, { unitCode: NULL }, { type: 'Property', value: 1 }],
    [
      'merges languages',
      { languageMap: { en: 'a', sk: 'b' } },
      { languageMap: { sk: NULL, de: 'c' } },
      { type: 'LanguageProperty', languageMap: { en: 'a', de: 'c' } },
    ],
    [
      'merges JSON',
      { json: { a: { b: 1 } } },
      { json: { a: { c: 2 } } },
      { type: 'JsonProperty', json: { a: { b: 1, c: 2 } } },
    ],
    [
      'replaces a geometry whole',
      { type: 'Point', coordinates: [1, 2] },
      { type: 'Point', coordinates: [3, 4] },
      { type: 'GeoProperty', value: { type: 'Point', coordinates: [3, 4] } },
    ],
    ['keeps the kind for a plain value', { object: 'urn:b:1' }, 'urn:b:2', { type: 'Relationship', object: 'urn:b:2' }],
    [
      'replaces a typed value whole',
      { value: { '@type': 'D', '@value': 'x' } },
      { value: { '@type': 'E', '@value': 'y' } },
      { type: 'Property', value: { '@type': 'E', '@value': 'y' } },
    ],
  ])('%s', (_what, before, body, after) => expect(a(merge({ a: before }, { a: body }))).toEqual(after));

  it('merges sub-attributes', () => {
    const draft = merge(
      { a: { value: 1, p: { value: 1, unitCode: 'P1' }, note: 2 } },
      { a: { value: 1, p: { value: 2 }, note: NULL, r: 3 } },
    );
    expect(a(draft)).toEqual({
      type: 'Property',
      value: 1,
      attributes: {
        [iri('p')]: [{ type: 'Property', value: 2, unitCode: 'P1' }],
        [iri('r')]: [{ type: 'Property', value: 3 }],
      },
    });
  });

  it('stores no NGSI-LD Null with what it adds', () => {
    const draft = merge({}, { a: { value: { s: 1, c: NULL }, unitCode: NULL, p: NULL }, b: NULL });
    expect(a(draft)).toEqual({ type: 'Property', value: { s: 1 } });
    expect(JSON.stringify(draft)).not.toContain(NULL);
  });

  it('writes text in the language asked for, and the others stay', () => {
    const draft = merge({ a: { languageMap: { en: 'a', sk: 'b' } } }, { a: 'c' }, { lang: 'sk' });
    expect(a(draft)).toEqual({ type: 'LanguageProperty', languageMap: { en: 'a', sk: 'c' } });
  });

  it('gives the common observedAt to instances that had one, unless they bring their own', () => {
    const observedAt = '2026-02-02T00:00:00Z' as Instant;
    const had = { value: 1, observedAt: '2026-01-01T00:00:00Z' };
    expect(a(merge({ a: had }, { a: 2 }, { observedAt }))).toMatchObject({ observedAt });
    expect(a(merge({ a: had }, { a: { value: 2, observedAt: '2026-03-03T00:00:00Z' } }, { observedAt }))).toMatchObject({
      observedAt: '2026-03-03T00:00:00Z',
    });
    expect(a(merge({ a: 1 }, { a: 2 }, { observedAt }))).not.toHaveProperty('observedAt');
  });

  it('refuses to change the kind, and a value that does not suit it', () => {
    expect(refusal(() => merge({ a: 1 }, { a: { object: 'urn:b:1' } }))).toBe('BadRequestData');
    expect(refusal(() => merge({ a: { object: 'urn:b:1' } }, { a: 'no iri' }))).toBe('BadRequestData');
    expect(refusal(() => merge({}, { a: { unitCode: 'CEL' } }))).toBe('BadRequestData');
  });

  it('takes plain values for what is there (simplified)', () => {
    const before = { a: { valueList: [1] }, b: { json: { x: 1 } }, c: { value: 1, unitCode: 'CEL' } };
    const draft = merge(before, { a: [2, 3], b: { y: 2 }, c: 5 }, {}, true);
    expect(draft?.after?.attributes).toMatchObject({
      [iri('a')]: [{ type: 'ListProperty', valueList: [2, 3] }],
      [iri('b')]: [{ type: 'JsonProperty', json: { x: 1, y: 2 } }],
      [iri('c')]: [{ type: 'Property', value: 5, unitCode: 'CEL' }],
    });
  });
});

describe('ingest (ports/ingest.ts)', () => {
  const reading = (value: number, minute: number) => ({
    value,
    observedAt: `2026-01-01T00:${String(minute).padStart(2, '0')}:00Z`,
  });
  const measured = (body: JsonObject, types: string[] = ['A']) => ({
    id: ID,
    types: types.map(iri),
    attributes: fragmentOf(body).attributes,
  });
  const before = stored({ a: reading(1, 5) });

  it('moves forward', () => {
    expect(a(ingestFragment(before, measured({ a: reading(2, 6) }), NOW))).toMatchObject(reading(2, 6));
    expect(ingestFragment(undefined, measured({ a: 1 }), NOW)?.kind).toBe('created');
  });

  it('keeps late readings for history, and changes nothing else', () => {
    const draft = ingestFragment(before, measured({ a: reading(9, 4) }), NOW);
    expect(draft).toMatchObject({ attributes: [], late: [{ name: iri('a'), instance: { value: 9 } }] });
    expect(draft?.after).toBe(before);
  });

  it('takes equal time and equal value for a duplicate, and equal time with another value for a correction', () => {
    expect(ingestFragment(before, measured({ a: reading(1, 5) }), NOW)).toBeUndefined();
    expect(a(ingestFragment(before, measured({ a: reading(2, 5) }), NOW))).toMatchObject({ value: 2 });
  });

  it('needs a type for a new entity, and adds those that lack', () => {
    expect(refusal(() => ingestFragment(undefined, measured({ a: 1 }, []), NOW))).toBe('BadRequestData');
    expect(ingestFragment(before, measured({}, ['B']), NOW)?.after?.types).toEqual([iri('A'), iri('B')]);
  });
});

describe('whatever is sent', () => {
  const value: fc.Arbitrary<JsonValue> = fc.oneof(
    fc.integer(),
    fc.string(),
    fc.dictionary(
      fc.constantFrom('x', 'y'),
      fc.oneof(
        fc.integer(),
        fc.constant(NULL),
        fc.dictionary(fc.constantFrom('x', 'z'), fc.oneof(fc.integer(), fc.constant(NULL))),
      ),
    ),
  );
  const attribute = fc.oneof(
    fc.record(
      {
        value,
        unitCode: fc.constantFrom('CEL', NULL),
        p: fc.oneof(fc.integer(), fc.constant(NULL)),
        datasetId: fc.constantFrom('@none', 'urn:d:1'),
      },
      { requiredKeys: ['value'] },
    ),
    fc.constant(NULL),
  );
  const body = fc.dictionary(fc.constantFrom('a', 'b', 'c'), attribute, { maxKeys: 3 }) as fc.Arbitrary<JsonObject>;
  const start = stored({ a: { value: { x: 1 }, p: 1 }, b: [{ value: 1 }, { value: 2, datasetId: 'urn:d:1' }] });

  it('merging the same again changes nothing, and no null is stored', () => {
    fc.assert(
      fc.property(body, (given) => {
        const fragment = fragmentOf(given, { partial: true, nulls: 'everywhere' });
        const after = mergeEntity(start, ID, fragment, {}, NOW)?.after ?? start;
        expect(mergeEntity(after, ID, fragment, {}, moment(20))).toBeUndefined();
        expect(JSON.stringify(after)).not.toContain(NULL);
      }),
      { numRuns: 500 },
    );
  });

  it('updating with the same again changes nothing, and what a change says is what differs', () => {
    const plainBody = fc.dictionary(fc.constantFrom('a', 'b', 'c'), fc.oneof(fc.integer({ max: 3 }), fc.constant(NULL)), {
      maxKeys: 3,
    });
    fc.assert(
      fc.property(plainBody as fc.Arbitrary<JsonObject>, (given) => {
        const { draft } = updateAttributes(start, ID, fragmentOf(given), NOW);
        const after = draft?.after ?? start;
        expect(updateAttributes(after, ID, fragmentOf(given), moment(20)).draft).toBeUndefined();
        for (const name of [iri('a'), iri('b'), iri('c')]) {
          const differs = JSON.stringify(start.attributes[name]) !== JSON.stringify(after.attributes[name]);
          expect(draft?.attributes.some((change) => change.name === name) ?? false).toBe(differs);
        }
      }),
      { numRuns: 500 },
    );
  });
});
