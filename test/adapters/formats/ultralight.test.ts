import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseUltraLight } from '../../../adapters/formats/ultralight.ts';
import { PayloadError } from '../../../adapters/reading.ts';

const values = (text: string) =>
  parseUltraLight(text).measures.map((measure) => Object.fromEntries(measure.readings.map((r) => [r.address, r.value])));

describe('UltraLight 2.0', () => {
  it.each([
    ['t|21.5|h|40', [{ t: 21.5, h: 40 }]],
    ['t|21.5#t|21.7', [{ t: 21.5 }, { t: 21.7 }]],
    ['|t|21.5', [{ t: 21.5 }]],
    ['b|true|a|[1,2]|s|hello world', [{ b: true, a: [1, 2], s: 'hello world' }]],
    ["n|007|q|['a']", [{ n: '007', q: "['a']" }]],
    ['mail|a@b.example', [{ mail: 'a@b.example' }]],
    ['t|null|h|40', [{ h: 40 }]],
  ])('reads %s', (text, expected) => expect(values(text)).toEqual(expected));

  it('takes the first field as time if the bars are even in number', () => {
    const parsed = parseUltraLight('2026-03-01T10:00:00Z|t|21.5#2026-03-01T11:05:00+01:00|t|21.7');
    expect(parsed.measures.map((measure) => measure.observedAt)).toEqual(['2026-03-01T10:00:00Z', '2026-03-01T10:05:00Z']);
  });

  it.each(['t|', 't||h|40', '', 't', '|', '#', 't|1#', 't|21.5|h', '2026-03-01T10:00:00|t|1'])(
    'refuses %j as a whole, so that no value lands under a wrong name',
    (text) => expect(() => parseUltraLight(text)).toThrow(PayloadError),
  );

  it('takes times without zone only in the zone of the device', () => {
    expect(parseUltraLight('2026-07-01T10:00:00|t|1', 'Europe/Bratislava').measures[0]?.observedAt).toBe(
      '2026-07-01T08:00:00Z',
    );
  });

  it('allows one group only where the binding does (GET)', () => {
    expect(() => parseUltraLight('t|1#t|2', undefined, false)).toThrow(PayloadError);
  });

  it('answers any text with readings or a PayloadError, and never a null value', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.stringMatching(/^[a-z0-9|#@.[\]{}"':TZ-]*$/)), (text) => {
        try {
          const parsed = parseUltraLight(text);
          return parsed.measures.every((measure) => measure.readings.every((r) => r.value !== null && r.address !== ''));
        } catch (error) {
          return error instanceof PayloadError;
        }
      }),
      { numRuns: 2000 },
    );
  });

  it('reads back what it would write', () => {
    const name = fc.stringMatching(/^[a-z][a-z0-9_]{0,8}$/);
    const value = fc.oneof(fc.double({ noNaN: true, noDefaultInfinity: true }), fc.boolean());
    fc.assert(
      fc.property(fc.array(fc.tuple(name, value), { minLength: 1, maxLength: 20 }), (pairs) => {
        const text = pairs.map(([key, item]) => `${key}|${JSON.stringify(item)}`).join('|');
        const read = parseUltraLight(text).measures[0]?.readings.map((r) => [r.address, r.value]);
        expect(read).toEqual(pairs.map(([key, item]) => [key, Object.is(item, -0) ? 0 : item]));
      }),
    );
  });
});
