import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseKitInfo, parseKitReadings } from '../../../adapters/formats/smart-citizen.ts';
import { parseKitRaw } from '../../../adapters/formats/smart-citizen-raw.ts';
import { PayloadError } from '../../../adapters/reading.ts';

describe('Smart Citizen readings', () => {
  it('reads several times with several sensors each, in the order they came', () => {
    const parsed = parseKitReadings(
      JSON.stringify({
        data: [
          {
            recorded_at: '2026-03-01T07:00:00Z',
            sensors: [
              { id: 55, value: 18.4 },
              { id: 'hum', value: 61 },
            ],
          },
          {
            recorded_at: '2026-03-01 06:55:00',
            sensors: [
              { id: 55, value: 18.3 },
              { id: 56, value: null },
            ],
          },
        ],
      }),
    );
    expect(parsed.measures).toEqual([
      {
        observedAt: '2026-03-01T07:00:00Z',
        readings: [
          { address: '55', value: 18.4 },
          { address: 'hum', value: 61 },
        ],
      },
      { observedAt: '2026-03-01T06:55:00Z', readings: [{ address: '55', value: 18.3 }] },
    ]);
  });

  it('keeps the good rows of a message with bad ones, and names those', () => {
    const parsed = parseKitReadings(
      '{"data":[{"recorded_at":"bad","sensors":[]},{"recorded_at":"2026-03-01T07:00:00Z","sensors":[{"value":1},{"id":1,"value":2}]}]}',
    );
    expect(parsed.measures).toHaveLength(1);
    expect(parsed.measures[0]?.readings).toEqual([{ address: '1', value: 2 }]);
    expect(parsed.warnings).toEqual(['data[0] has no time in recorded_at', 'data[1].sensors[0] has no id']);
  });

  it.each(['{}', '[]', '{"data":{}}', '{"data":[]}', 'x', '{"id":"bad"}', '{"data":[{"sensors":[]}]}'])('refuses %s', (text) =>
    expect(() => parseKitReadings(text)).toThrow(PayloadError),
  );

  it('reads what the kit says of itself', () => {
    const parsed = parseKitInfo('{"time":"2026-03-01T07:00:00Z","hw_ver":"2.1","mac":"AA:BB","id":"x"}');
    expect(parsed.measures[0]?.observedAt).toBe('2026-03-01T07:00:00Z');
    expect(parsed.measures[0]?.readings).toContainEqual({ address: 'hw_ver', value: '2.1' });
  });
});

describe('Smart Citizen raw readings', () => {
  const read = (text: string) => parseKitRaw(text).measures[0];

  it.each([
    ['{t:2026-03-01T07:00:00Z,55:18.4,56:61,53:null,10:-1,}', { 55: 18.4, 56: 61, 10: -1 }],
    ['  {  t:2026-03-01T07:00:00Z 55:18.4 56:4.45 }  ', { 55: 18.4, 56: 4.45 }],
    ['{55:-3,t:2026-03-01T07:00:00Z}', { 55: -3 }],
    ['{t:2026-03-01T07:00:00Z,55 : 007}', { 55: 7 }],
    ['{t:2026-03-01T07:00:00Z}', {}],
    ['{t:2026-03-01T07:00:00Z,é55:1}', { 55: 1 }],
  ])('reads %s', (text, expected) => {
    const measure = read(text);
    expect(measure?.observedAt).toBe('2026-03-01T07:00:00Z');
    expect(Object.fromEntries((measure?.readings ?? []).map((r) => [r.address, r.value]))).toEqual(expected);
  });

  it.each([
    ['no time', '{55:18.4}', 'BAD_TIMESTAMP'],
    ['no such day', '{t:2026-02-30T07:00:00Z,55:1}', 'BAD_TIMESTAMP'],
    ['a time without zone', '{t:2026-02-20T07:00:00,55:1}', 'BAD_TIMESTAMP'],
    ['two times', '{t:2026-03-01T07:00:00Z,t:2026-03-01T07:00:00Z}', 'PARSE_ERROR'],
    ['an exponent', '{t:2026-03-01T07:00:00Z,55:1e3}', 'PARSE_ERROR'],
    ['code', '{t:2026-03-01T07:00:00Z,55:process.exit()}', 'PARSE_ERROR'],
    ['text keys', '{t:2026-03-01T07:00:00Z,"55":1}', 'PARSE_ERROR'],
    ['a missing brace', '{t:2026-03-01T07:00:00Z,55:1', 'PARSE_ERROR'],
    ['a rest', '{t:2026-03-01T07:00:00Z,55:1}}', 'PARSE_ERROR'],
    ['a number without digits', '{t:2026-03-01T07:00:00Z,55:-}', 'PARSE_ERROR'],
    ['a point without digits', '{t:2026-03-01T07:00:00Z,55:1.}', 'PARSE_ERROR'],
    ['nothing', '', 'PARSE_ERROR'],
  ])('refuses %s', (_what, text, code) => expect(() => parseKitRaw(text)).toThrow(expect.objectContaining({ code })));

  it('survives a line of a megabyte', () => {
    const started = performance.now();
    expect(() => parseKitRaw(`{t:2026-03-01T07:00:00Z,${'55:1,'.repeat(200_000)}}`)).toThrow(PayloadError);
    expect(() => parseKitRaw(','.repeat(1_000_000))).toThrow(PayloadError);
    expect(performance.now() - started).toBeLessThan(2000);
  });

  it('reads all that follows the grammar, and answers any bytes with readings or a PayloadError', () => {
    const number = fc.stringMatching(/^-?\d{1,5}(\.\d{1,4})?$/);
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(999), number), { maxLength: 20 }),
        fc.constantFrom(',', ' ', ' , '),
        (pairs, comma) => {
          const text = `{t:2026-03-01T07:00:00Z${pairs.map(([id, value]) => `${comma}${id}:${value}`).join('')}${comma}}`;
          expect(read(text)?.readings).toEqual(pairs.map(([id, value]) => ({ address: String(id), value: Number(value) })));
        },
      ),
    );
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => {
        try {
          parseKitRaw(bytes);
          return true;
        } catch (error) {
          return error instanceof PayloadError;
        }
      }),
    );
  });
});
