import { describe, expect, it } from 'vitest';
import type { Attributes } from '../../../broker/domain/attribute.ts';
import type { Entity } from '../../../broker/domain/entity.ts';
import type { Iri } from '../../../broker/domain/iri.ts';
import { compile, matches } from '../../../broker/domain/query/evaluate.ts';
import type { AttributePath, Comparison, EntityQuery, Operand } from '../../../broker/domain/query/query.ts';
import type { Instant } from '../../../broker/domain/time.ts';

const name = (term: string) => `https://vocab.example/${term}` as Iri;
const core = (term: string) => `https://uri.etsi.org/ngsi-ld/${term}` as Iri;
const entity = (attributes: Record<string, unknown>, more: Partial<Entity> = {}): Entity => ({
  id: 'urn:ngsi-ld:Car:1' as Iri,
  types: [name('Car')],
  attributes: Object.fromEntries(
    Object.entries(attributes).map(([term, value]) => [name(term), Array.isArray(value) ? value : [value]]),
  ) as Attributes,
  createdAt: '2026-01-01T00:00:00Z' as Instant,
  modifiedAt: '2026-01-02T00:00:00.5Z' as Instant,
  stamp: { at: 0, origin: 'a' },
  ...more,
});
const path = (...names: string[]): AttributePath => ({ names: names.map(name) });
const literal = (value: string | number | boolean): Operand => ({ kind: 'literal', value });
const list = (...values: (string | number)[]): Operand => ({ kind: 'list', of: values.map(literal) });
const range = (from: number, to: number): Operand => ({ kind: 'range', from: literal(from), to: literal(to) });
const compare = (on: AttributePath, operator: Comparison['operator'], value: Operand): EntityQuery => ({
  where: { kind: 'compare', path: on, operator, value },
});
const property = (value: unknown, more: object = {}) => ({ type: 'Property', value, ...more });

describe('4.9: comparing a target value', () => {
  const rows: [string, Comparison['operator'], Operand, unknown, boolean][] = [
    ['an equal string', '==', literal('red'), property('red'), true],
    ['another string', '==', literal('red'), property('black'), false],
    ['a member of an array', '==', literal('red'), property(['blue', 'red', 'green']), true],
    ['one of a list', '==', list('black', 'red'), property('red'), true],
    ['an array that holds one of a list', '==', list('black', 'red'), property(['red', 'blue']), true],
    ['an array that holds none of a list', '==', list('black', 'red'), property(['green', 'blue']), false],
    ['a value in a closed range', '==', range(10, 20), property(10), true],
    ['the upper end of a range', '==', range(10, 20), property(20), true],
    ['a value out of a range', '==', range(10, 20), property(20.1), false],
    ['a number written as text', '==', literal(5), property('5'), false],
    ['text for a number', '==', literal('5'), property(5), false],
    ['true', '==', literal(true), property(true), true],
    ['false for true', '==', literal(true), property(false), false],
    ['the text "true" for true', '==', literal(true), property('true'), false],
    ['unequal, other value', '!=', literal('red'), property('black'), true],
    ['unequal, same value', '!=', literal('red'), property('red'), false],
    ['unequal, array without it', '!=', literal('red'), property(['blue', 'black']), true],
    ['unequal, array with it', '!=', literal('red'), property(['blue', 'red']), false],
    ['unequal, in a range', '!=', range(10, 20), property(15), false],
    ['unequal, out of a range', '!=', range(10, 20), property(9), true],
    ['unequal, in a list', '!=', list('black', 'red'), property('red'), false],
    ['unequal, different data types', '!=', literal(5), property('5'), true],
    ['greater', '>', literal(5), property(5.1), true],
    ['not strictly greater', '>', literal(5), property(5), false],
    ['greater or equal', '>=', literal(5), property(5), true],
    ['less, different data types', '<', literal(5), property('4'), false],
    ['greater, an array is not a number', '>', literal(5), property([6]), false],
    ['less, text', '<', literal('b'), property('a'), true],
    ['pattern', '~=', { kind: 'pattern', source: '^Eif' }, property('Eiffel Tower'), true],
    ['pattern in the middle', '~=', { kind: 'pattern', source: 'fel' }, property('Eiffel Tower'), true],
    ['pattern on a number', '~=', { kind: 'pattern', source: '.*' }, property(5), false],
    ['no pattern', '!~=', { kind: 'pattern', source: '^Eif' }, property('Pisa'), true],
    ['no pattern on a number', '!~=', { kind: 'pattern', source: '^Eif' }, property(5), false],
    ['a POSIX class', '~=', { kind: 'pattern', source: '^[[:digit:]]{4}$' }, property('2026'), true],
    [
      'a moment written with another fraction',
      '==',
      { kind: 'dateTime', value: '2026-01-01T00:00:00.000Z' },
      property('2026-01-01T00:00:00Z'),
      true,
    ],
    [
      'moments in order of time, not of text',
      '>',
      { kind: 'dateTime', value: '2026-01-01T00:00:00Z' },
      property('2026-01-01T00:00:00.5Z'),
      true,
    ],
    ['a moment against other text', '<', { kind: 'dateTime', value: '2026-01-01T00:00:00Z' }, property('2025'), false],
    ['a typed value', '==', literal(5), property({ '@type': 'xsd:int', '@value': 5 }), true],
    ['a date', '>=', { kind: 'date', value: '2026-01-01' }, property('2026-01-02'), true],
    ['a date against a moment', '==', { kind: 'date', value: '2026-01-01' }, property('2026-01-01T00:00:00Z'), false],
    ['a time of day', '<', { kind: 'time', value: '08:00:00Z' }, property('07:59:59.9Z'), true],
    ['an object of a Relationship', '==', literal('urn:x:1'), { type: 'Relationship', object: 'urn:x:1' }, true],
    [
      'one of several objects',
      '==',
      { kind: 'uri', value: 'urn:x:2' as Iri },
      { type: 'Relationship', object: ['urn:x:1', 'urn:x:2'] },
      true,
    ],
    ['a Relationship has no order', '>', literal('a'), { type: 'Relationship', object: 'urn:x:1' }, false],
    ['nor patterns', '~=', { kind: 'pattern', source: 'urn' }, { type: 'Relationship', object: 'urn:x:1' }, false],
    ['nor the lack of one', '!~=', { kind: 'pattern', source: 'q' }, { type: 'Relationship', object: 'urn:x:1' }, false],
    ['a ListRelationship', '==', literal('urn:x:2'), { type: 'ListRelationship', objectList: ['urn:x:1', 'urn:x:2'] }, true],
    ['a ListProperty', '==', literal(3), { type: 'ListProperty', valueList: [1, 2, 3] }, true],
    ['a ListProperty without it', '!=', literal(4), { type: 'ListProperty', valueList: [1, 2, 3] }, true],
    ['any language', '==', literal('rouge'), { type: 'LanguageProperty', languageMap: { en: 'red', fr: 'rouge' } }, true],
    ['no language', '!=', literal('rouge'), { type: 'LanguageProperty', languageMap: { en: 'red', fr: 'rouge' } }, false],
    [
      'a text among several of a language',
      '==',
      literal('cat'),
      { type: 'LanguageProperty', languageMap: { en: ['red', 'cat'] } },
      true,
    ],
    [
      'a pattern in any language',
      '~=',
      { kind: 'pattern', source: '^ro' },
      { type: 'LanguageProperty', languageMap: { fr: 'rouge' } },
      true,
    ],
    [
      'the IRI of a VocabProperty',
      '==',
      { kind: 'uri', value: name('Male') },
      { type: 'VocabProperty', vocab: name('Male') },
      true,
    ],
    ['the unexpanded term of a VocabProperty', '==', literal('Male'), { type: 'VocabProperty', vocab: name('Male') }, false],
    ['any instance', '==', literal(2), [property(1), property(2, { datasetId: 'urn:d' })], true],
    ['unequal in any instance', '!=', literal(2), [property(1), property(2, { datasetId: 'urn:d' })], true],
  ];
  it.each(rows)('%s', (_, operator, operand, attribute, expected) => {
    expect(matches(compare(path('a'), operator, operand), entity({ a: attribute }))).toBe(expected);
  });

  it('compares a VocabProperty with the expanded operand where expandValues asks for it, and nothing else', () => {
    const expanded: AttributePath = { ...path('a'), expanded: { kind: 'uri', value: name('Male') } };
    const query = compare(expanded, '==', literal('Male'));
    expect(matches(query, entity({ a: { type: 'VocabProperty', vocab: name('Male') } }))).toBe(true);
    expect(matches(query, entity({ a: property('Male') }))).toBe(true);
    expect(matches(query, entity({ a: property(name('Male')) }))).toBe(false);
  });

  it.each(['==', '!=', '>', '<=', '~=', '!~='] as const)('never matches with %s where the attribute is absent', (operator) => {
    const value: Operand = operator.includes('~') ? { kind: 'pattern', source: 'x' } : literal(1);
    expect(matches(compare(path('b'), operator, value), entity({ a: property(2) }))).toBe(false);
  });
});

describe('4.9: paths', () => {
  it('reaches sub-attributes and their system members', () => {
    const speed = property(50, {
      observedAt: '2026-01-01T12:00:00Z',
      unitCode: 'KMH',
      attributes: { [name('accuracy')]: [property(0.9)] },
    });
    const car = entity({ speed });
    expect(matches(compare(path('speed', 'accuracy'), '>', literal(0.5)), car)).toBe(true);
    expect(matches(compare(path('accuracy'), '>', literal(0.5)), car)).toBe(false);
    const observed: AttributePath = { names: [name('speed'), core('observedAt')] };
    expect(matches(compare(observed, '>=', { kind: 'dateTime', value: '2026-01-01T12:00:00.000Z' }), car)).toBe(true);
    expect(matches(compare(observed, '>', literal('2026-01-01T12:00:00.0Z')), car)).toBe(false);
    expect(matches(compare({ names: [name('speed'), core('unitCode')] }, '==', literal('KMH')), car)).toBe(true);
    expect(
      matches(compare({ names: [core('modifiedAt')] }, '>', { kind: 'dateTime', value: '2026-01-02T00:00:00Z' }), car),
    ).toBe(true);
  });

  it('reaches members of a value, and treats what is not there as a missing target', () => {
    const car = entity({
      address: property({ city: 'Berlin', geo: { zip: 10115 } }),
      json: { type: 'JsonProperty', json: { value: 1 } },
    });
    const at = (term: string, ...inside: string[]): AttributePath => ({ names: [name(term)], inside });
    expect(matches(compare(at('address', 'city'), '==', literal('Berlin')), car)).toBe(true);
    expect(matches(compare(at('address', 'geo', 'zip'), '==', literal(10115)), car)).toBe(true);
    expect(matches(compare(at('address', 'street'), '!=', literal('x')), car)).toBe(false);
    expect(matches(compare(at('address', 'constructor'), '!=', literal('x')), car)).toBe(false);
    expect(matches(compare(at('json', 'value'), '==', literal(1)), car)).toBe(true);
    expect(matches({ where: { kind: 'exists', path: at('address', 'geo') } }, car)).toBe(true);
    expect(matches({ where: { kind: 'exists', path: at('address', 'toString') } }, car)).toBe(false);
  });

  it('selects a language, whatever its case, and not another one', () => {
    const car = entity({ color: { type: 'LanguageProperty', languageMap: { fr: 'rouge', EN: ['red', 'scarlet'] } } });
    const at = (tag: string): AttributePath => ({ names: [name('color')], inside: [tag] });
    expect(matches(compare(at('en'), '==', literal('scarlet')), car)).toBe(true);
    expect(matches(compare(at('en'), '==', literal('rouge')), car)).toBe(false);
    expect(matches(compare(at('*'), '==', literal('rouge')), car)).toBe(true);
    expect(matches(compare(at('de'), '!=', literal('rot')), car)).toBe(false);
  });

  it('follows a Relationship to entities of the hinted types only', () => {
    const device = entity({ humidity: property(40) }, { id: 'urn:x:d' as Iri, types: [name('Device')] });
    const station = entity({ sensor: { type: 'Relationship', object: ['urn:x:none', 'urn:x:d'] } });
    const follow = (id: Iri) => (id === device.id ? device : undefined);
    const linked = (types?: Iri[]): AttributePath => ({
      names: [name('sensor')],
      linked: { ...(types ? { types } : {}), path: path('humidity') },
    });
    expect(matches(compare(linked(), '==', literal(40)), station, follow)).toBe(true);
    expect(matches(compare(linked([name('Device')]), '==', literal(40)), station, follow)).toBe(true);
    expect(matches(compare(linked([name('Car')]), '==', literal(40)), station, follow)).toBe(false);
    expect(matches(compare(linked(), '==', literal(40)), station)).toBe(false);
  });
});

describe('an EntityQuery as a whole', () => {
  const park = entity(
    { a: [property(1, { datasetId: 'urn:d:1' }), property(2)] },
    { scopes: ['/Madrid/Gardens/ParqueNorte', 'CompanyA'] },
  );

  it('considers only the datasetIds it names (4.5.5)', () => {
    const one = compare(path('a'), '==', literal(1));
    expect(matches({ ...one, datasetIds: ['urn:d:1' as Iri] }, park)).toBe(true);
    expect(matches({ ...one, datasetIds: ['@none'] }, park)).toBe(false);
  });

  it.each([
    ['/Madrid', false],
    ['/Madrid/#', true],
    ['/Madrid/+/ParqueNorte', true],
    ['/Madrid/+', false],
    ['/+/+/+', true],
    ['/Madrid/Gardens/ParqueNorte/#', true],
    ['/CompanyA', true],
    ['/#', true],
  ])('4.19: scope %s → %s', (text, expected) => {
    expect(matches({ scopes: { kind: 'scope', levels: text.slice(1).split('/') } }, park)).toBe(expected);
  });

  it('4.19: no scope matches nothing, not even /#', () => {
    expect(matches({ scopes: { kind: 'scope', levels: ['#'] } }, entity({}))).toBe(false);
  });

  it('4.17: any and all of types', () => {
    const both = entity({}, { types: [name('Home'), name('Vehicle')] });
    const type = (term: string) => ({ kind: 'type', type: name(term) }) as const;
    expect(matches({ types: { kind: 'all', of: [type('Home'), type('Vehicle')] } }, both)).toBe(true);
    expect(matches({ types: { kind: 'all', of: [type('Home'), type('Car')] } }, both)).toBe(false);
    expect(matches({ types: { kind: 'any', of: [type('Car'), type('Home')] } }, both)).toBe(true);
    expect(matches({ types: type('Car') }, both)).toBe(false);
  });

  it('joins id, idPattern, attributes and conditions by and; an empty query matches', () => {
    const query: EntityQuery = {
      ids: ['urn:ngsi-ld:Car:1' as Iri],
      idPattern: 'Car:[0-9]$',
      anyAttribute: [name('z'), name('a')],
      where: {
        kind: 'or',
        of: [
          { kind: 'not', of: { kind: 'exists', path: path('a') } },
          { kind: 'exists', path: path('a') },
        ],
      },
    };
    expect(matches(query, park)).toBe(true);
    expect(matches({ ...query, idPattern: '^Car' }, park)).toBe(false);
    expect(matches({ ...query, ids: ['urn:x' as Iri] }, park)).toBe(false);
    expect(matches({ ...query, anyAttribute: [name('z')] }, park)).toBe(false);
    expect(matches({}, park)).toBe(true);
  });

  it('answers a hostile pattern in time that grows with the text only', () => {
    const test = compile(compare(path('a'), '~=', { kind: 'pattern', source: '(a+)+$' }));
    const started = performance.now();
    expect(test(entity({ a: property(`${'a'.repeat(50_000)}b`) }))).toBe(false);
    expect(performance.now() - started).toBeLessThan(500);
    expect(() => compile({ idPattern: '(' })).toThrow(/not a regular expression/);
    expect(() => compile({ idPattern: 'x'.repeat(1001) })).toThrow(/at most 1000/);
  });
});
