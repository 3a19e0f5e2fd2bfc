import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DomainError } from '../../../broker/domain/errors.ts';
import type { JsonValue } from '../../../broker/domain/json.ts';
import { applyJsonPatch } from '../../../broker/domain/json-patch.ts';
import { compileExpression, type Row } from '../../../broker/domain/sta/filter/evaluate.ts';
import { parseFilter } from '../../../broker/domain/sta/filter/parse.ts';
import { unitCodeOf, unitOfMeasurement } from '../../../broker/domain/sta/lens/units.ts';
import { SENSING, type SetName } from '../../../broker/domain/sta/model.ts';
import { parseOptions } from '../../../broker/domain/sta/options.ts';
import { parseResourcePath } from '../../../broker/domain/sta/resource-path.ts';
import { parseMoment, parseSpan, writeMoment, writeSpan } from '../../../broker/domain/sta/time.ts';

const row = (set: SetName, properties: Record<string, JsonValue>, links: Record<string, Row[]> = {}): Row => ({
  set,
  id: 7,
  property: (name) => properties[name],
  selfLink: () => `https://example.org/${set}(7)`,
  linked: (name) => links[name] ?? [],
});
const test = (filter: string, of: Row) =>
  compileExpression(parseFilter(filter), of.set, SENSING).test(of, { now: Date.parse('2026-03-01T00:00:00Z') * 1000 });

const observation = row('Observations', {
  result: 5,
  phenomenonTime: '2026-03-01T00:00:00.000Z/2026-03-02T00:00:00.000Z',
  resultTime: '2026-03-01T12:00:00.000Z',
  parameters: { text: 'abc', deep: [{ k: 1 }], 'has-dash': true, big: 12345678901234567890n },
});

describe('the grammar of $filter', () => {
  it('binds arithmetic closer than comparison, comparison than not, not than and, and than or', () => {
    expect(test('1 add 2 mul 3 eq 7', observation)).toBe(true);
    expect(test('(1 add 2) mul 3 eq 9', observation)).toBe(true);
    expect(test('not result lt 6', observation)).toBe(false);
    expect(test('not result lt 1 and not result ge 6', observation)).toBe(true);
    expect(test('true or false and false', observation)).toBe(true);
    expect(test('(true or false) and false', observation)).toBe(false);
    expect(test('result EQ 5 AND NOT FALSE', observation)).toBe(true);
    expect(test('10 sub 3 sub 2 eq 5 and 7 mod 4 eq 3 and 1 div 4 eq 0.25 and -2 lt -1.5e0', observation)).toBe(true);
  });

  it('compares what can be compared; what cannot is neither true nor false', () => {
    const table: readonly (readonly [string, boolean | null])[] = [
      ["result gt '3'", true],
      ["result gt '10'", true],
      ['parameters/text eq 5', null],
      ['not parameters/text eq 5', null],
      ["parameters/text eq 'abc'", true],
      ['parameters/missing eq null', true],
      ['parameters/missing ne null', false],
      ['parameters/missing eq 1', null],
      ['parameters/missing lt null', null],
      ['parameters/deep[0]/k eq 1', true],
      ['parameters/deep/0/k eq 1', true],
      ['parameters/has-dash', true],
      ['parameters/has-dash eq true', true],
      ['parameters/big gt 5', true],
      ['result div 0 eq 1', null],
      ['length(parameters/missing) eq 0', null],
      ["concat(parameters/text, 'd') eq 'abcd'", true],
      ["'é' gt 'z'", true],
      ["'it''s' eq 'it''s'", true],
    ];
    for (const [filter, answer] of table) expect([filter, test(filter, observation)]).toEqual([filter, answer]);
  });

  it('intervals are half-open: table of 13 relations, both ways round', () => {
    const day = (n: number) => `2026-03-${String(n).padStart(2, '0')}T00:00:00Z`;
    const at = (text: string) =>
      text
        .replace(/\[(\d+),(\d+)\)/g, (_, a, b) => `${day(+a)}/${day(+b)}`)
        .replace(/\b@(\d+)\b|@(\d+)/g, (_, a, b) => day(+(a ?? b)));
    const table: readonly (readonly [string, boolean])[] = [
      ['[1,2) lt [2,3)', true],
      ['[1,3) lt [2,4)', false],
      ['[2,3) gt [1,2)', true],
      ['@1 lt [2,3)', true],
      ['@2 lt [2,3)', false],
      ['@2 gt [1,2)', true],
      ['@1 gt [1,2)', false],
      ['[1,2) lt @2', true],
      ['[1,2) gt @1', false],
      ['[2,3) gt @1', true],
      ['[1,3) le [2,4)', true],
      ['[1,4) le [2,3)', false],
      ['[2,4) ge [1,3)', true],
      ['[1,2) eq [1,2)', true],
      ['[1,2) ne [1,3)', true],
      ['@1 eq @1', true],
      ['before([1,2), [2,3))', true],
      ['after(@2, [1,2))', true],
      ['meets([1,2), [2,3))', true],
      ['meets(@2, [1,2))', true],
      ['meets([1,2), [3,4))', false],
      ['during([2,3), [1,3))', true],
      ['during(@3, [1,3))', false],
      ['during(@1, [1,3))', true],
      ['overlaps([1,3), [2,4))', true],
      ['overlaps([1,2), [2,3))', false],
      ['overlaps(@1, [1,2))', true],
      ['overlaps([1,2), @2)', false],
      ['starts([1,2), [1,5))', true],
      ['finishes([3,5), [1,5))', true],
      ['finishes(@5, [1,5))', true],
      ["[1,2) add duration'P1D' eq [2,3)", true],
      ["@3 sub @1 eq duration'PT48H'", true],
      ["duration'P1D' mul 2 eq duration'P2D'", true],
      ["@1 sub duration'PT1S' lt @1", true],
    ];
    for (const [filter, answer] of table) expect([filter, test(at(filter), observation)]).toEqual([filter, answer]);
    expect(test(`phenomenonTime eq ${day(1)}/${day(2)} and phenomenonTime eq ${day(1)}/P1D`, observation)).toBe(true);
    expect(
      test(
        'now() eq 2026-03-01T01:00:00+01:00 and time(resultTime) eq 12:00:00 and fractionalseconds(now()) eq 0',
        observation,
      ),
    ).toBe(true);
  });

  it('the same path means the same related entity, any() another one each', () => {
    const of = (name: string) => row('Datastreams', { name });
    const thing = row('Things', { name: 't' }, { Datastreams: [of('a'), of('b')] });
    expect(test("Datastreams/name eq 'a' and Datastreams/name eq 'b'", thing)).toBe(false);
    expect(test("Datastreams/name eq 'a' or Datastreams/name eq 'c'", thing)).toBe(true);
    expect(test("Datastreams/any(d: d/name eq 'a') and Datastreams/any(d: d/name eq 'b')", thing)).toBe(true);
    expect(test("Datastreams/any(d: d/name eq 'a' and name eq 't')", thing)).toBe(true);
    expect(test("Datastreams/all(d: d/name eq 'a')", thing)).toBe(false);
    expect(test('Datastreams/id eq null', row('Things', {}))).toBe(true);
    expect(test("not Datastreams/any(d: d/name eq 'z')", thing)).toBe(true);
  });
});

describe('whatever is sent', () => {
  /** Texts that are nearly filters: tokens in random order. */
  const tokens = fc.array(
    fc.constantFrom(
      'name',
      'result',
      'Datastream',
      'phenomenonTime',
      '/',
      '(',
      ')',
      ',',
      "'x'",
      "'",
      '1',
      '-2.5',
      'and',
      'or',
      'not',
      'eq',
      'gt',
      'in',
      'add',
      'mod',
      'any(',
      'd:',
      'd/name',
      'startswith(',
      'st_within(',
      "geography'POINT(1 2)'",
      "geography'POLYGON((0 0,1 1))'",
      'now()',
      '2026-03-01T00:00:00Z',
      '2026-03-01T00:00:00Z/2026-03-02T00:00:00Z',
      "duration'P1D'",
      'null',
      'true',
      '[0]',
      '[',
      '@iot.id',
      '$',
      '%',
      '\u0000',
      'é',
    ),
    { maxLength: 14 },
  );

  it('a filter is read and evaluated, or refused with a sentence', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          tokens.map((list) => list.join(' ')),
          fc.string(),
        ),
        (text) => {
          try {
            const answer = test(text, observation);
            expect([true, false, null]).toContain(answer);
          } catch (error) {
            expect(error).toBeInstanceOf(DomainError);
            expect((error as DomainError).message.length).toBeGreaterThan(10);
          }
        },
      ),
      { numRuns: 3000 },
    );
  });

  it('options and paths are read, or refused with a sentence', () => {
    const piece = fc.constantFrom(
      'Things',
      '(1)',
      "('a')",
      '/',
      'Datastreams',
      '$ref',
      '$value',
      'name',
      'properties',
      '?',
      '$filter=',
      '$expand=',
      '$select=',
      '$top=',
      '&',
      ';',
      '(',
      ')',
      ',',
      '%',
      '%41',
      '=',
      '9',
      '$orderby=',
      ' desc',
      'Observations',
      '..',
      "'",
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
        const [path = '', query = ''] = pieces.join('').split('?');
        for (const read of [() => parseResourcePath(path, SENSING), () => parseOptions(query, 'Things', SENSING)]) {
          try {
            read();
          } catch (error) {
            expect(error).toBeInstanceOf(DomainError);
          }
        }
      }),
      { numRuns: 3000 },
    );
  });

  it('a JSON Patch gives a document or a refusal, and leaves the original alone', () => {
    const pointer = fc.constantFrom(
      '',
      '/a',
      '/a/0',
      '/a/-',
      '/b',
      '/b/c',
      '/b~1c',
      'x',
      '/a/9',
      '/__proto__/x',
      '/b/__proto__',
    );
    const operation = fc.record(
      {
        op: fc.constantFrom('add', 'remove', 'replace', 'move', 'copy', 'test', 'x'),
        path: pointer,
        from: pointer,
        value: fc.jsonValue() as fc.Arbitrary<JsonValue>,
      },
      { requiredKeys: ['op'] },
    );
    const document = { a: [1, 2], b: { c: 'd' } };
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 5 }), (patch) => {
        try {
          applyJsonPatch(document, patch as JsonValue);
        } catch (error) {
          expect(error).toBeInstanceOf(DomainError);
        }
        expect(document).toEqual({ a: [1, 2], b: { c: 'd' } });
        expect(({} as Record<string, unknown>)['x']).toBeUndefined();
      }),
      { numRuns: 1000 },
    );
  });
});

describe('times', () => {
  it('reads ISO 8601 with any zone, and writes UTC with milliseconds', () => {
    for (const [text, written] of [
      ['2026-03-01T01:00:00+01:00', '2026-03-01T00:00:00.000Z'],
      ['2026-03-01T01:00+0100', '2026-03-01T00:00:00.000Z'],
      ['2026-03-01T00:00:00.123456Z', '2026-03-01T00:00:00.123456Z'],
      ['2028-02-29T23:59:59.9-00:30', '2028-03-01T00:29:59.900Z'],
      ['1850-01-01T00:00:00Z', '1850-01-01T00:00:00.000Z'],
    ] as const)
      expect(writeMoment(parseMoment(text) ?? Number.NaN)).toBe(written);
    for (const text of [
      '2026-02-29T00:00:00Z',
      '2026-03-01',
      '2026-03-01T00:00:00',
      '2026-13-01T00:00:00Z',
      '2026-03-01T24:00:00Z',
      '',
    ]) {
      expect(parseMoment(text)).toBeUndefined();
    }
    expect(parseSpan('2026-03-02T00:00:00Z/2026-03-01T00:00:00Z')).toBeUndefined();
    expect(writeSpan(parseSpan('2026-03-01T00:00:00Z/2026-03-01T00:00:00Z') ?? { from: 0 })).toBe(
      '2026-03-01T00:00:00.000Z/2026-03-01T00:00:00.000Z',
    );
  });
});

describe('units', () => {
  it('UN/CEFACT codes become UCUM and come back', () => {
    for (const code of ['CEL', 'GQ', 'P1', 'KNT', 'MQH', 'HPA', 'A97', 'KWH', 'LUX', '59', '2N', 'MTS']) {
      const unit = unitOfMeasurement(code);
      expect([code, unitCodeOf(unit) ?? (unit['definition'] === null ? code : undefined)]).toEqual([code, code]);
    }
    expect(unitOfMeasurement(undefined)).toEqual({ name: null, symbol: null, definition: null });
  });

  it('finds the code by definition, symbol or name, and nothing where it does not know', () => {
    for (const [unit, code] of [
      [{ definition: 'http://www.opengis.net/def/uom/UCUM/0/Cel' }, 'CEL'],
      [{ definition: 'ucum:m/s' }, 'MTS'],
      [{ definition: 'http://unitsofmeasure.org/ucum/ug%2Fm3' }, 'GQ'],
      [{ symbol: 'degC', definition: 'http://qudt.org/vocab/unit#DegreeCelsius' }, 'CEL'],
      [{ name: 'Percent', symbol: 'pct' }, 'P1'],
      [{ name: 'furlong', symbol: 'fur', definition: 'x' }, undefined],
      ['CEL', undefined],
    ] as const)
      expect(unitCodeOf(unit as JsonValue)).toBe(code);
  });
});
