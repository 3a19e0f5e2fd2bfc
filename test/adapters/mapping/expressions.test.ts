import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compileExpression } from '../../../adapters/mapping/expressions.ts';
import { PayloadError } from '../../../adapters/reading.ts';
import type { JsonValue } from '../../../broker/ports/ingest.ts';

const run = (text: string, context: Record<string, JsonValue> = {}) => compileExpression(text).evaluate(context);

describe('expressions in mappings (JEXL)', () => {
  it.each<[string, Record<string, JsonValue>, JsonValue | undefined]>([
    ['1 - d / 180', { d: 90 }, 0.5],
    ['raw|trim|parsefloat', { raw: ' 21.5 ' }, 21.5],
    ["{type: 'Point', coordinates: [lon, lat]}", { lon: 17.1, lat: 48.1 }, { type: 'Point', coordinates: [17.1, 48.1] }],
    ["level > 80 ? 'full' : 'ok'", { level: 81 }, 'full'],
    ["'A' + id", { id: 7 }, 'A7'],
    ['x|parsefloat', { x: 'abc' }, undefined],
    ['a.b.c', { a: {} }, undefined],
    ["s|split(' ')|slice(1)|joinarrtostr('-')", { s: 'a b c' }, 'b-c'],
    ['list[.v > 1]', { list: [{ v: 1 }, { v: 2 }] }, [{ v: 2 }]],
    ['code|mapper([0,1],["off","on"])', { code: 1 }, 'on'],
    ['t|toisodate', { t: 1772355600000 }, '2026-03-01T09:00:00.000Z'],
    ['bits|bitwisemask(7, "&", 0)', { bits: 13 }, 5],
  ])('%s of %j is %j', (text, context, expected) => expect(run(text, context)).toEqual(expected));

  it('knows which variables it needs', () => {
    expect([...compileExpression("a + b.c + ([1,2]|lengtharray) + (d ? 'e' : e)").variables].sort()).toEqual([
      'a',
      'b',
      'd',
      'e',
    ]);
  });

  it.each([
    '',
    '1 +',
    'a.constructor',
    "a['constructor']",
    'a.__proto__',
    '__proto__',
    'a|nothere',
    'a|constructor',
    'a|toString',
    'toString',
    'f(1)',
    'process.exit()',
    `${'('.repeat(60)}1${')'.repeat(60)} + ${'-'.repeat(1000)}1`,
    Array(300).fill('a').join('+'),
    'x[.y[.z > 1] > 1]',
  ])('refuses %j when it is provisioned', (text) => expect(() => compileExpression(text)).toThrow(PayloadError));

  it('does not reach functions by a computed name', () => {
    expect(run("a['con' + 'structor']", { a: {} })).toBeUndefined();
    expect(run("[a['con' + 'structor']]", { a: 'x' })).toEqual([null]);
    expect(run("a['__pro' + 'to__']", { a: {} })).not.toHaveProperty('constructor.call');
  });

  it('does not change what it is given', () => {
    const context = { list: [3, 1, 2], o: { a: 1 } };
    run('list|addset(9)|removeset(1)|concatarr([1])', context);
    expect(context).toEqual({ list: [3, 1, 2], o: { a: 1 } });
  });

  it('never throws while it is evaluated, whatever a device sends', () => {
    const expressions = [
      'a|trim|parsefloat',
      'a|split(b)|joinarrtostr(a)',
      'a.b.c + b',
      'a|thmapper([1,2],[3,4,5])',
      'a|replaceallstr(b, "x")',
      'a|jsonparse',
      'a|substr(b, 3)',
      'a|addreduce',
      'a|tofixed(b)',
      'a|toisodate',
      'a|urlencode',
      'a|valuePicker(b)',
    ].map(compileExpression);
    fc.assert(
      fc.property(fc.jsonValue(), fc.jsonValue(), fc.constantFrom(...expressions), (a, b, expression) => {
        expression.evaluate({ a: a as JsonValue, b: b as JsonValue });
        return true;
      }),
    );
  });
});
