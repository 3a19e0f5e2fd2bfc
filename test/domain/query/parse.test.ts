import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DomainError } from '../../../broker/domain/errors.ts';
import type { Iri } from '../../../broker/domain/iri.ts';
import type { Context } from '../../../broker/domain/jsonld/context.ts';
import { parseGeoQuery, parseGeorel, printGeorel } from '../../../broker/domain/query/parse/georel.ts';
import { parseOrder } from '../../../broker/domain/query/parse/order.ts';
import { parseQ, printQ } from '../../../broker/domain/query/parse/q.ts';
import { parseScopes, printScopes } from '../../../broker/domain/query/parse/scope.ts';
import { parseTypes, printTypes } from '../../../broker/domain/query/parse/types.ts';
import type { Condition, Operand, ScopeSelection, TypeSelection } from '../../../broker/domain/query/query.ts';

const VOCAB = 'https://vocab.example/';
const context: Context = {
  key: 'test',
  source: {},
  link: undefined,
  expand: (term) => (/^(urn|https?):/.test(term) ? term : `${VOCAB}${term}`) as Iri,
  expandTerm: (term) => (/^(urn|https?):/.test(term) ? term : `${VOCAB}${term}`) as Iri,
  compact: (iri) => (iri.startsWith(VOCAB) ? iri.slice(VOCAB.length) : iri),
};
const name = (term: string) => context.expand(term);
const short = (iri: string) => context.compact(iri as Iri);
const q = (text: string, options = {}) => parseQ(text, context, options);
const compare = (operator: string, value: Operand, ...names: string[]) =>
  ({ kind: 'compare', path: { names: names.map(name) }, operator, value }) as Condition;
const literal = (value: string | number | boolean): Operand => ({ kind: 'literal', value });

describe('4.9: reading q', () => {
  it.each<[string, Condition]>([
    ['temperature', { kind: 'exists', path: { names: [name('temperature')] } }],
    ['temperature==20', compare('==', literal(20), 'temperature')],
    ['brandName!="Mercedes"', compare('!=', literal('Mercedes'), 'brandName')],
    ['a=="say \\"hi\\"; or (not) | é"', compare('==', literal('say "hi"; or (not) | é'), 'a')],
    ['t>=-1.5e3', compare('>=', literal(-1500), 't')],
    ['open==true', compare('==', literal(true), 'open')],
    ['a==urn:ngsi-ld:X:1', compare('==', { kind: 'uri', value: 'urn:ngsi-ld:X:1' as Iri }, 'a')],
    ['a==commercial', compare('==', literal('commercial'), 'a')],
    ['a==10..20', compare('==', { kind: 'range', from: literal(10), to: literal(20) }, 'a')],
    ['a=="black", "red"', compare('==', { kind: 'list', of: [literal('black'), literal('red')] }, 'a')],
    [
      'a.observedAt>=2017-12-24T12:00:00Z',
      compare('>=', { kind: 'dateTime', value: '2017-12-24T12:00:00Z' }, 'a', 'observedAt'),
    ],
    [
      'a==2017-12-24T12:00:00Z..2017-12-25T12:00:00.5Z',
      compare(
        '==',
        {
          kind: 'range',
          from: { kind: 'dateTime', value: '2017-12-24T12:00:00Z' },
          to: { kind: 'dateTime', value: '2017-12-25T12:00:00.5Z' },
        },
        'a',
      ),
    ],
    ['a<2017-12-24', compare('<', { kind: 'date', value: '2017-12-24' }, 'a')],
    ['a<12:00:00Z', compare('<', { kind: 'time', value: '12:00:00Z' }, 'a')],
    ['a!~="^m"', compare('!~=', { kind: 'pattern', source: '^m' }, 'a')],
    [
      'a~=^(x|y);b',
      {
        kind: 'and',
        of: [compare('~=', { kind: 'pattern', source: '^(x|y)' }, 'a'), { kind: 'exists', path: { names: [name('b')] } }],
      },
    ],
    [
      'https://other.example/x==1',
      { kind: 'compare', path: { names: ['https://other.example/x' as Iri] }, operator: '==', value: literal(1) },
    ],
    [
      'sensor.rawdata[airquality.particulate]==40',
      {
        kind: 'compare',
        path: { names: [name('sensor'), name('rawdata')], inside: ['airquality', 'particulate'] },
        operator: '==',
        value: literal(40),
      },
    ],
    [
      'color[*]=="red"',
      { kind: 'compare', path: { names: [name('color')], inside: ['*'] }, operator: '==', value: literal('red') },
    ],
    [
      'sensor{Device,Gateway:maker{humidity.unit}}==40',
      {
        kind: 'compare',
        path: {
          names: [name('sensor')],
          linked: {
            types: [name('Device'), name('Gateway')],
            path: { names: [name('maker')], linked: { path: { names: [name('humidity'), name('unit')] } } },
          },
        },
        operator: '==',
        value: literal(40),
      },
    ],
  ])('%s', (text, expected) => {
    expect(q(text)).toEqual(expected);
  });

  it('binds and tighter than or, and parentheses tighter than both', () => {
    const e = (term: string): Condition => ({ kind: 'exists', path: { names: [name(term)] } });
    expect(q('a|b;c')).toEqual({ kind: 'or', of: [e('a'), { kind: 'and', of: [e('b'), e('c')] }] });
    expect(q('((a|b);c)')).toEqual({ kind: 'and', of: [{ kind: 'or', of: [e('a'), e('b')] }, e('c')] });
    expect(q('(a;b)|c')).toEqual({ kind: 'or', of: [{ kind: 'and', of: [e('a'), e('b')] }, e('c')] });
  });

  it('expands the values of the attributes in expandValues, and of no others', () => {
    expect(q('gender==Male;name==Male', { expandValues: ['gender'] })).toEqual({
      kind: 'and',
      of: [
        {
          kind: 'compare',
          path: { names: [name('gender')], expanded: { kind: 'uri', value: name('Male') } },
          operator: '==',
          value: literal('Male'),
        },
        compare('==', literal('Male'), 'name'),
      ],
    });
  });

  it.each([
    ['', /q: expected the name of an attribute at 0, where it ends/],
    ['temperature==', /q: expected a value after '==' at 13/],
    ['a>4..5', /a range goes with == and != only/],
    ['a>1,2', /a list goes with == and != only/],
    ['a>true', /a value that has an order/],
    ['a==1.."x"', /both ends of a range/],
    ['a=="x', /not closed by a quotation mark at 3/],
    ['a=="\\q"', /not a valid JSON string/],
    ['(a', /expected '\)' after a group at 2/],
    ['a)', /unexpected text at 1, before "\)"/],
    ['a;;b', /expected the name of an attribute at 2/],
    ['a[b][c]', /unexpected text/],
    ['a[]', /name of a member/],
    ['a{b', /expected '}'/],
    ['a~=', /expected a pattern/],
    ['a~="("', /not a regular expression/],
    ['a==2017-13-24T12:00:00Z', /no DateTime/],
    ['1a', /name of an attribute/],
    ['a=5', /unexpected text at 1/],
    [`${'('.repeat(10_000)}a${')'.repeat(6)}`, /more than 50 levels/],
    [`${'a{'.repeat(5000)}`, /more than 50 linked/],
    [`a${';a'.repeat(501)}`, /more than 500 conditions/],
    ['a'.repeat(20_000), /more than 16384/],
  ])('refuses %.40s', (text, message) => {
    expect(() => q(text)).toThrow(message);
    expect(() => q(text)).toThrow(DomainError);
  });
});

const term = fc.constantFrom('a', 'speed', 'name_2', 'ñandú');
const operand: fc.Arbitrary<Operand> = fc.oneof(
  fc
    .oneof(fc.string({ maxLength: 8 }), fc.double({ noNaN: true, noDefaultInfinity: true }), fc.integer(), fc.boolean())
    .map((v) => literal(Object.is(v, -0) ? 0 : v)),
  fc.constant<Operand>({ kind: 'dateTime', value: '2026-01-01T00:00:00.25Z' }),
  fc.constant<Operand>({ kind: 'date', value: '2026-01-01' }),
  fc.constant<Operand>({ kind: 'time', value: '12:30:00Z' }),
  fc.constant<Operand>({ kind: 'uri', value: 'urn:x:1' as Iri }),
);
const path = fc.oneof(
  fc.array(term, { minLength: 1, maxLength: 3 }).map((names) => ({ names: names.map(name) })),
  fc
    .tuple(term, fc.array(fc.constantFrom('en', '*', 'city', 'a-b', '@none'), { minLength: 1, maxLength: 3 }))
    .map(([n, inside]) => ({ names: [name(n)], inside })),
  fc.tuple(term, term).map(([n, m]) => ({ names: [name(n)], linked: { types: [name('T')], path: { names: [name(m)] } } })),
);
const leaf: fc.Arbitrary<Condition> = fc.oneof(
  path.map((p): Condition => ({ kind: 'exists', path: p })),
  fc
    .tuple(path, fc.constantFrom('==', '!='), operand)
    .map(([p, operator, value]) => ({ kind: 'compare', path: p, operator, value }) as Condition),
  fc
    .tuple(path, fc.constantFrom('>', '<='), fc.integer())
    .map(([p, operator, n]) => ({ kind: 'compare', path: p, operator, value: literal(n) }) as Condition),
  fc
    .tuple(path, fc.integer(), fc.integer())
    .map(
      ([p, a, b]) =>
        ({ kind: 'compare', path: p, operator: '==', value: { kind: 'range', from: literal(a), to: literal(b) } }) as Condition,
    ),
  fc
    .tuple(path, fc.array(operand, { minLength: 2, maxLength: 4 }))
    .map(([p, of]) => ({ kind: 'compare', path: p, operator: '!=', value: { kind: 'list', of } }) as Condition),
  fc
    .tuple(path, fc.constantFrom('^a', 'x"y', '[;|]+', '\\d{2}', 'a\\\\b'))
    .map(([p, source]) => ({ kind: 'compare', path: p, operator: '~=', value: { kind: 'pattern', source } }) as Condition),
);
const condition = fc.letrec<{ tree: Condition }>((tie) => ({
  tree: fc.oneof(
    { depthSize: 'small' },
    leaf,
    fc
      .tuple(fc.constantFrom('and', 'or'), fc.array(tie('tree'), { minLength: 2, maxLength: 3 }))
      .map(([kind, of]) => ({ kind, of }) as Condition),
  ),
})).tree;

describe('every parser', () => {
  it('reads what it prints', () => {
    fc.assert(fc.property(condition, (tree) => void expect(q(printQ(tree, short))).toEqual(tree)));
    const type: fc.Arbitrary<TypeSelection> = term.map((t) => ({ kind: 'type', type: name(t) }));
    const all = fc.oneof(
      type,
      fc.array(type, { minLength: 2, maxLength: 3 }).map((of): TypeSelection => ({ kind: 'all', of })),
    );
    const types = fc.oneof(
      all,
      fc.array(all, { minLength: 2, maxLength: 3 }).map((of): TypeSelection => ({ kind: 'any', of })),
    );
    fc.assert(fc.property(types, (tree) => void expect(parseTypes(printTypes(tree, short), context)).toEqual(tree)));
    const scope = fc
      .tuple(fc.array(fc.constantFrom('Madrid', '+', 'Žilina_1'), { minLength: 1, maxLength: 3 }), fc.boolean())
      .map(([levels, tree]): ScopeSelection => ({ kind: 'scope', levels: tree ? [...levels, '#'] : levels }));
    const scopes = fc.oneof(
      scope,
      fc.array(scope, { minLength: 2, maxLength: 3 }).map((of): ScopeSelection => ({ kind: 'any', of })),
    );
    fc.assert(fc.property(scopes, (tree) => void expect(parseScopes(printScopes(tree))).toEqual(tree)));
  });

  it('answers any text with a tree or a DomainError, quickly', () => {
    const pieces = fc
      .array(
        fc.constantFrom(
          'a',
          '(',
          ')',
          ';',
          '|',
          '==',
          '!=',
          '~=',
          '"',
          '[',
          ']',
          '{',
          '}',
          '.',
          '..',
          ',',
          '1',
          '\\',
          'T:',
          '/',
          '#',
          '+',
          '2026-01-01',
          'https://x/',
          ' ',
          'é',
          '\u0000',
        ),
      )
      .map((p) => p.join(''));
    const parsers = [
      (text: string) => q(text, { expandValues: ['a'] }),
      (text: string) => parseTypes(text, context),
      (text: string) => parseScopes(text),
      (text: string) => parseGeorel(text),
      (text: string) => parseOrder({ orderBy: text, orderFrom: text }, context),
      (text: string) => parseGeoQuery({ georel: 'within', geometry: text, coordinates: text }, context),
    ];
    fc.assert(
      fc.property(fc.oneof(pieces, fc.string(), fc.string({ unit: 'binary' })), (text) => {
        for (const parse of parsers) {
          try {
            parse(text);
          } catch (error) {
            expect(error).toBeInstanceOf(DomainError);
          }
        }
      }),
      { numRuns: 500 },
    );
  });
});

describe('4.17, 4.19, 4.10, 4.23', () => {
  it('reads type selections', () => {
    expect(parseTypes('*', context)).toBeUndefined();
    expect(parseTypes('(Home;Vehicle)|Motorhome', context)).toEqual({
      kind: 'any',
      of: [
        {
          kind: 'all',
          of: [
            { kind: 'type', type: name('Home') },
            { kind: 'type', type: name('Vehicle') },
          ],
        },
        { kind: 'type', type: name('Motorhome') },
      ],
    });
    expect(parseTypes('https://other.example/T', context)).toEqual({ kind: 'type', type: 'https://other.example/T' });
    expect(() => parseTypes('A;B', context)).toThrow(/unexpected text at 1/);
    expect(() => parseTypes('A,', context)).toThrow(/expected an entity type at 2/);
    expect(() => parseTypes('A$B', context)).toThrow(/no type name at 0/);
  });

  it('reads scope queries', () => {
    expect(parseScopes('/#')).toEqual({ kind: 'scope', levels: ['#'] });
    expect(parseScopes('(/Madrid/Districts;/CompanyA),CompanyB')).toEqual({
      kind: 'any',
      of: [
        {
          kind: 'all',
          of: [
            { kind: 'scope', levels: ['Madrid', 'Districts'] },
            { kind: 'scope', levels: ['CompanyA'] },
          ],
        },
        { kind: 'scope', levels: ['CompanyB'] },
      ],
    });
    expect(parseScopes('/A;/B')).toEqual(parseScopes('(/A;/B)'));
    expect(() => parseScopes('/a/#/b')).toThrow(/unexpected text/);
    expect(() => parseScopes('/1a')).toThrow(/scope level/);
  });

  it('reads georel, and refuses distances that are not positive numbers', () => {
    expect(parseGeorel('near;maxDistance==2000')).toEqual({ relation: 'near', maxDistanceM: 2000 });
    expect(printGeorel(parseGeorel('near;minDistance==1.5'))).toBe('near;minDistance==1.5');
    for (const text of [
      'near',
      'near;maxDistance==0',
      'near;maxDistance==-1',
      'near;maxDistance==1;minDistance==2',
      'near;maxDistance=5',
      'around',
      'near;maxDistance==1e999',
    ]) {
      expect(() => parseGeorel(text)).toThrow(/georel must be/);
    }
  });

  it('reads a geoquery as a whole or not at all', () => {
    expect(parseGeoQuery({}, context)).toBeUndefined();
    expect(parseGeoQuery({ georel: 'within', geometry: 'Point', coordinates: '[8,40]' }, context)).toEqual({
      kind: 'geo',
      property: 'https://uri.etsi.org/ngsi-ld/location',
      relation: 'within',
      geometry: { type: 'Point', coordinates: [8, 40] },
    });
    expect(() => parseGeoQuery({ georel: 'within', geometry: 'Point' }, context)).toThrow(/needs geometry and coordinates/);
    expect(() => parseGeoQuery({ geometry: 'Point', coordinates: '[8,40]' }, context)).toThrow(/need georel/);
    expect(() => parseGeoQuery({ georel: 'within', geometry: 'Point', coordinates: '[8,' }, context)).toThrow(/JSON array/);
    expect(() => parseGeoQuery({ georel: 'within', geometry: 'GeometryCollection', coordinates: '[]' }, context)).toThrow(
      /one of Point/,
    );
  });

  it('reads orderings', () => {
    expect(parseOrder({ orderBy: 'name,age;desc,id' }, context)).toEqual([
      { by: { names: [name('name')] }, direction: 'asc' },
      { by: { names: [name('age')] }, direction: 'desc' },
      { by: 'id', direction: 'asc' },
    ]);
    expect(parseOrder({ orderBy: 'place;dist-asc', orderFrom: '[8,40]' }, context)).toEqual([
      { by: { names: [name('place')] }, direction: 'dist-asc', from: { type: 'Point', coordinates: [8, 40] } },
    ]);
    expect(() => parseOrder({ orderBy: 'a;dist-asc' }, context)).toThrow(/needs orderFrom/);
    expect(() => parseOrder({ orderBy: 'a;up' }, context)).toThrow(/asc, desc/);
    expect(() => parseOrder({ orderBy: 'a', collation: '!!' }, context)).toThrow(/ICU collation/);
  });
});
