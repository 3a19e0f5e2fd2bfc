import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { JsonObject, JsonValue } from '../../../broker/domain/json.ts';
import { evaluateFormula, NoResult, parseFormula } from '../../../broker/domain/processing/formula.ts';
import { readVirtualSensor, renderSensor } from '../../../broker/domain/processing/virtual-sensor.ts';

const A = 'urn:ngsi-ld:Device:a';
const NOW = '2026-03-01T09:00:00Z';

function evaluate(text: string, values: Readonly<Record<string, JsonValue>> = {}): JsonValue {
  return evaluateFormula(parseFormula(text), (one) => {
    if (one.kind === 'timestamp') return NOW;
    const key = one.kind === 'variable' ? one.name : `${one.entity}>${one.path.join('.')}`;
    const value = values[key] ?? (one.kind === 'reference' ? one.fallback : undefined);
    if (value === undefined) throw new NoResult(`no ${key}`);
    return value;
  });
}

describe('a formula', () => {
  it.each([
    ['{timestamp}', NOW],
    [`{${A}>power.value}`, 3],
    [`{ ${A} > power.value }`, 3],
    [`({${A}>power.value} + {B}) / 100`, 0.07],
    [`{${A}>power.value} * -(1 - {LOSS})`, -2.94],
    ['-{B} - -{B}', 0],
    ['2 * {B} + 3', 11],
    ['2 + {B} * 3 - 4 / 2', 12],
    ['8 / 4 / {B}', 0.5],
    ['0.1 + 0.2 + {B} - {B}', 0.3],
    ['1e3 + {B}', 1004],
    ['max({B}, 7, min(1, {B})) + abs(-{B})', 11],
    ['round({LOSS} * 100.04, 1)', 2],
    // One placeholder alone keeps its type.
    ['{T}', true],
    ['{O}', { a: [1] }],
    // What is no expression as a whole is text.
    [`Sum {B} of {${A}>name|nobody}`, 'Sum 4 of nobody'],
    ['{B} kW', '4 kW'],
    ['foo({B})', 'foo(4)'],
    ['{B} +', '4 +'],
    [`toISOString("{${A}>when}")`, '2026-03-01T08:00:00.000Z'],
    [`toISOString("{${A}>epoch}")`, '1970-01-01T00:00:00.000Z'],
    // The entity ends at the first ">", the default begins behind the last "|".
    ['{urn:x:a|b>none|7}', 7],
    ['{urn:x:a>none|"text"}', 'text'],
    ['{urn:x:a>none|0.0} + 1', 1],
  ] as [string, JsonValue][])('%s is %j', (text, expected) => {
    const values = {
      B: 4,
      LOSS: 0.02,
      T: true,
      O: { a: [1] },
      [`${A}>power.value`]: 3,
      [`${A}>when`]: '2026-03-01T09:00:00+01:00',
      [`${A}>epoch`]: 0,
    };
    expect(evaluate(text, values)).toEqual(expected);
  });

  it.each([
    ['{B} / 0', 'the result is not a number'],
    ['0 * {B} / 0', 'the result is not a number'],
    ['{T} + 1', '"warm" is not a number'],
    ['{none} + 1', 'no none'],
    ['toISOString("{T}")', '"warm" is not a time'],
  ])('%s has no result: %s', (text, reason) => {
    expect(() => evaluate(text, { B: 4, T: 'warm' })).toThrow(new NoResult(reason));
  });

  it('calculates as JavaScript does, whatever stands in it (random expressions)', () => {
    const leaf = fc.oneof(fc.integer({ min: 0, max: 99 }).map(String), fc.constantFrom('{B}', '{C}'));
    const { tree } = fc.letrec<{ tree: string }>((tie) => ({
      tree: fc.oneof(
        { maxDepth: 4 },
        leaf,
        fc.tuple(tie('tree'), fc.constantFrom('+', '-', '*'), tie('tree')).map(([a, o, b]) => `(${a} ${o} ${b})`),
        tie('tree').map((a) => `-${a}`),
      ),
    }));
    fc.assert(
      fc.property(tree, (text) => {
        // Ours is checked against the language itself, on text that this test has made.
        const expected = new Function('B', 'C', `return ${text.replaceAll('-', ' - ').replace(/[{}]/g, '')}`)(4, 7) as number;
        const result = evaluate(`${text} + 0`, { B: 4, C: 7 });
        expect(Math.abs((result as number) - expected)).toBeLessThanOrEqual(Math.abs(expected) * 1e-11);
      }),
      { numRuns: 200 },
    );
  });

  it('reads any text, and never takes long (random texts)', () => {
    const piece = fc.constantFrom(
      '{',
      '}',
      'a>b',
      '|',
      '(',
      ')',
      '+',
      '-',
      '1',
      '"',
      'toISOString(',
      'max(',
      ',',
      ' ',
      'x',
      '>',
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 60 }), (pieces) => {
        try {
          parseFormula(pieces.join(''));
        } catch (error) {
          expect((error as Error).message).toMatch(/ is neither | is not \{| is nested/);
        }
      }),
      { numRuns: 500 },
    );
  });
});

describe('a virtual sensor', () => {
  const document = {
    id: 'urn:ngsi-ld:Device:sum',
    type: 'Device',
    vars: { LOSS: 0.02, IN: `{${A}>power} + {urn:ngsi-ld:Device:b>power|0}`, NET: '{IN} * (1 - {LOSS})' },
    template: {
      power: { type: 'Property', value: '{NET}', unitCode: 'KWT', observedAt: '{timestamp}' },
      label: { value: '59' },
      parts: { value: [1, '{IN}', true] },
    },
  };

  it('fills its template: variables in their order, texts without placeholders as they are', () => {
    const sensor = readVirtualSensor('sum', document);
    expect(sensor).toMatchObject({ poll: false, windowSeconds: 10 });
    expect(sensor.references.map(({ entity }) => entity)).toEqual([A, 'urn:ngsi-ld:Device:b']);
    expect(renderSensor(sensor, NOW, ({ entity }) => (entity === A ? 3 : 2))).toEqual({
      power: { type: 'Property', value: 4.9, unitCode: 'KWT', observedAt: NOW },
      label: { value: '59' },
      parts: { value: [1, 5, true] },
    });
  });

  it.each([
    [{ id: 'sum' }, 'id: must be the IRI'],
    [{ type: undefined }, 'type: must be the type'],
    [{ vars: { A: '{B}', B: 1 } }, 'vars.A: there is no variable B before it'],
    [{ vars: { A: '{A} + 1' } }, 'vars.A: there is no variable A before it'],
    [{ vars: { 'a b': 1 } }, 'vars.a b: is not a name'],
    [{ vars: { A: true } }, 'vars.A: must be a number or a text'],
    [{ template: { a: { value: '{NOBODY}' } } }, 'template.a.value: there is no variable NOBODY before it'],
    [{ template: { a: ['{x y}'] } }, 'template.a[0]: {x y} is neither a variable nor'],
    [{ template: { a: '{thing>b}' } }, 'template.a: thing is not the IRI of an entity'],
    [{ template: { a: '{urn:a:b>}' } }, 'template.a: {urn:a:b>} is not {entity>attribute}'],
    [{ vars: {}, template: { a: 1 } }, 'template: refers to no {entity>attribute}'],
    [{ template: {} }, 'template: must be an object'],
    [{ window: 0 }, 'window: must be a number above 0'],
    [{ windows: 7 }, 'windows: there is no such member'],
  ] as [JsonObject, string][])('with %j is refused with the place', (change, message) => {
    expect(() => readVirtualSensor('x', { ...document, ...change } as JsonObject)).toThrow(message);
  });
});
