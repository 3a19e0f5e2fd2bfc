import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { workerSandbox } from '../../../adapters/transformation/sandbox.ts';
import {
  needsSandbox,
  readTransformation,
  type Transformed,
  transformHere,
  transformThere,
} from '../../../adapters/transformation/transform.ts';
import type { JsonObject, JsonValue } from '../../../broker/domain/json.ts';

const sandbox = workerSandbox();
afterAll(() => sandbox.stop());
let programs = 0;

async function transform(document: JsonObject, message: JsonValue): Promise<Transformed> {
  const transformation = readTransformation(document);
  if (!needsSandbox(transformation)) return transformHere(transformation, message);
  return transformThere(transformation, `p${++programs}`, message, sandbox);
}
const result = async (document: JsonObject, message: JsonValue): Promise<unknown> => {
  const made = await transform(document, message);
  return 'error' in made ? made : made.message;
};
const template = (value: JsonValue, message: JsonValue, more: JsonObject = {}) => result({ template: value, ...more }, message);

describe('a template', () => {
  it('is filled as the documentation shows', async () => {
    const document = {
      template: {
        id: 'urn:ngsi-ld:Device:{{sn}}',
        when: '=> iso(ts)',
        power: { value: '{{p.total}}', unitCode: 'KWT' },
        label: 'Meter {{sn}} ({{site}})',
      },
      functions: { iso: '(t) => new Date(t * 1000).toISOString()' },
    };
    expect(await result(document, { sn: 'A7', ts: 1772355600, p: { total: 3.2 }, site: 'hall' })).toEqual({
      id: 'urn:ngsi-ld:Device:A7',
      when: '2026-03-01T09:00:00.000Z',
      power: { value: 3.2, unitCode: 'KWT' },
      label: 'Meter A7 (hall)',
    });
  });

  it.each([
    ['{{a}}', { a: [1, { b: null }] }, [1, { b: null }]],
    ['{{a}}', { a: true }, true],
    ['{{ a.b[1].c }}', { a: { b: [0, { c: 7 }] } }, 7],
    ['{{a}} and {{b}}', { a: 1, b: { c: 2 } }, '1 and {"c":2}'],
    ['\\{{a}} {{a}}', { a: 1 }, '{{a}} 1'],
    // What is inserted is not looked at again.
    ['{{a}}', { a: '{{b}}', b: 1 }, '{{b}}'],
    ['<{{a}}>', { a: '{{b}} => lower(b)', b: 1 }, '<{{b}} => lower(b)>'],
    [{ x: '{{none}}', y: 'a{{none}}', z: 1 }, {}, { z: 1 }],
    [['{{none}}', 2], {}, [2]],
    ['{{constructor}}', {}, undefined],
    ['{{a.__proto__.x}}', { a: {} }, undefined],
    ['=> scale(a, 0.1, -40)', { a: 615 }, 21.5],
    ['=> number(a)', { a: ' 3,5 ' }, 3.5],
    ['=> lookup(a, {"0": "off", "1": "on"}, "unknown")', { a: 1 }, 'on'],
    ['=> lookup(a, {"0": "off"}, \'unknown, or "odd"\')', { a: 'toString' }, 'unknown, or "odd"'],
    ['=> point(lon, lat)', { lon: 4.4, lat: '51.2' }, { type: 'Point', coordinates: [4.4, 51.2] }],
    ['=> coalesce(a, b, 9)', { b: 0 }, 0],
    ['=> merge(a, {"z": 1})', { a: { y: 2 } }, { y: 2, z: 1 }],
    ['=> upper(a)', {}, undefined],
    ['=> fromEpoch(t)', { t: 1772355600 }, '2026-03-01T09:00:00.000Z'],
    ['=> toISO(t)', { t: '2026-03-01T10:00:00+01:00' }, '2026-03-01T09:00:00Z'],
    ['=> join(a, "-")', { a: [1, 2] }, '1-2'],
  ] as [JsonValue, JsonValue, unknown][])('%j of %j is %j', async (text, message, expected) => {
    expect(await template(text, message)).toEqual(expected);
  });

  it('can say what becomes of a member that finds nothing', async () => {
    expect(await template({ a: '{{x}}', b: 1 }, {}, { onMissing: 'null' })).toEqual({ a: null, b: 1 });
    expect(await template({ a: '{{x}}', b: 1 }, {}, { onMissing: 'error' })).toEqual({ error: 'the message has no x' });
  });

  it('loses only the value of a function that fails, and says so', async () => {
    const document = {
      template: { a: '=> bad(x)', b: '{{x}}', c: '=> good(x)' },
      functions: { bad: '(x) => x.y.z', good: 'x => x + 1' },
    };
    expect(await transform(document, { x: 1 })).toEqual({
      message: { b: 1, c: 2 },
      warnings: [expect.stringMatching(/^bad: TypeError: /)],
    });
  });

  it('a placeholder alone gives back any JSON value as it is', async () => {
    await fc.assert(
      fc.asyncProperty(fc.jsonValue({ maxDepth: 3 }), async (given) => {
        const value = JSON.parse(JSON.stringify(given));
        const made = await transform({ template: { v: '{{a["b c"]}}' } }, { a: { 'b c': value } } as JsonValue);
        expect(made).toEqual({ message: value === null ? {} : { v: value }, warnings: [] });
      }),
      { numRuns: 100 },
    );
  });

  it.each([
    [{}, 'must have either template or code'],
    [{ template: 'x', code: '(d) => d' }, 'must have either template or code'],
    [{ template: { a: '{{a b}}' } }, 'template.a: {{a b}} is not a path'],
    [{ template: { a: ['=> nothing(x)'] } }, 'template.a[0]: there is no function "nothing"'],
    [{ template: '=> lower(a' }, 'template: a call is written'],
    [{ template: '=> lower(a b)' }, 'template: a b is neither a path nor'],
    [{ template: 'x', functions: { 'a b': 'x' } }, 'functions.a b: is not a name'],
    [{ template: 'x', functions: { a: 7 } }, 'functions.a: must be the text'],
    [{ template: 'x', onMissing: 'never' }, 'onMissing: must be one of'],
    [{ code: '' }, 'code: must be the text'],
    [{ code: 'x', other: 1 }, 'other: there is no such member'],
  ] as [JsonObject, string][])('%j is refused with the place', (document, message) => {
    expect(() => readTransformation(document)).toThrow(message);
  });
});

describe('a function', () => {
  it('gets the message and returns what is to be read in its place', async () => {
    expect(await result({ code: "(d) => { d.newField = 'myData'; return d; }" }, { a: 1 })).toEqual({
      a: 1,
      newField: 'myData',
    });
    expect(await result({ code: 'function (d) { return d.list.map((v) => ({ v })); }' }, { list: [1, 2] })).toEqual([
      { v: 1 },
      { v: 2 },
    ]);
    expect(await result({ code: '() => null' }, {})).toBeUndefined();
    expect(await result({ code: '() => {}' }, {})).toBeUndefined();
  });

  it('that never ends is stopped by its time, and the next one runs', { timeout: 30_000 }, async () => {
    expect(await result({ code: '() => { for (;;); }' }, {})).toEqual({ error: 'it took more than 50 ms' });
    expect(await result({ code: '() => /(a+)+$/.test("a".repeat(40) + "!")' }, {})).toEqual({
      error: 'it took more than 50 ms',
    });
    expect(await result({ code: '(d) => d' }, { fine: 1 })).toEqual({ fine: 1 });
  });

  it('that takes memory without end is stopped by it', { timeout: 30_000 }, async () => {
    const rss = process.memoryUsage.rss();
    const hungry = '() => { const all = []; for (;;) all.push(new Array(10000).fill("x")); }';
    for (let time = 0; time < 3; time++)
      expect(await result({ code: hungry }, {})).toMatchObject({ error: expect.stringMatching(/32 MB of memory|50 ms/) });
    expect(await result({ code: '() => "x".repeat(50 * 1024 * 1024)' }, {})).toEqual({
      error: 'it took more than 32 MB of memory',
    });
    expect(await result({ code: '() => "x".repeat(1024 * 1024)' }, {})).toEqual({ error: 'its result is longer than 256 KiB' });
    expect(await result({ code: '() => { const f = () => f() + 1; return f(); }' }, {})).toMatchObject({
      error: expect.stringContaining('stack'),
    });
    expect(await result({ code: '(d) => d' }, { fine: 1 })).toEqual({ fine: 1 });
    expect(process.memoryUsage.rss() - rss).toBeLessThan(512 * 1024 * 1024);
  });

  it('reaches nothing but its arguments', async () => {
    const names = [
      'process',
      'require',
      'fetch',
      'setTimeout',
      'WebAssembly',
      'console',
      'module',
      'navigator',
      'Worker',
      'std',
      'os',
    ];
    const found = await result({ code: `() => ${JSON.stringify(names)}.filter((name) => name in globalThis)` }, {});
    expect(found).toEqual([]);
    const wayOut = '(d) => typeof d.constructor.constructor("return this")().process';
    expect(await result({ code: wayOut }, {})).toBe('undefined');
    expect(await result({ code: '() => import("node:fs").then(() => 1)' }, {})).toEqual({});
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
  });

  it('cannot change what built-in objects do for the next message', async () => {
    const code =
      '(d) => { try { JSON.parse = () => 1; Object.prototype.polluted = 1; Array.prototype.map = 1; } catch {} return { ...d, polluted: ({}).polluted, map: typeof [].map }; }';
    const transformation = readTransformation({ code });
    for (let time = 0; time < 2; time++)
      expect(await transformThere(transformation, 'pollution', { a: 1 }, sandbox)).toEqual({
        message: { a: 1, map: 'function' },
        warnings: [],
      });
  });

  it('that is none, or throws, fails with the reason', async () => {
    expect(await result({ code: '42' }, {})).toEqual({ error: 'TypeError: it is not a function' });
    expect(await result({ code: '(d) => {' }, {})).toMatchObject({ error: expect.stringMatching(/^SyntaxError/) });
    expect(await result({ code: '() => { throw new RangeError("too cold"); }' }, {})).toEqual({
      error: 'RangeError: too cold',
    });
  });

  it('waits for others in a line: every message gets its own answer', async () => {
    const transformation = readTransformation({ code: '(d) => ({ n: d.n * 2 })' });
    const answers = await Promise.all(
      Array.from({ length: 200 }, (_, n) => transformThere(transformation, 'double', { n }, sandbox)),
    );
    expect(answers.map((answer) => ('error' in answer ? answer : answer.message))).toEqual(
      Array.from({ length: 200 }, (_, n) => ({ n: n * 2 })),
    );
  });
});
