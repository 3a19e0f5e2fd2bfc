import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type JsonOptions, parseFiwareJson, parseSingleValue } from '../../../adapters/formats/fiware-json.ts';
import { PayloadError } from '../../../adapters/reading.ts';

const HTTP: JsonOptions = { badTime: 'refuse' };
const MQTT: JsonOptions = { badTime: 'ignore' };
const values = (message: unknown, options = MQTT) =>
  parseFiwareJson(JSON.stringify(message), options).measures.map((measure) =>
    Object.fromEntries(measure.readings.map((r) => [r.address, r.value])),
  );

describe('FIWARE JSON measures', () => {
  it('keeps values as they are, nested ones too, and leaves out null', () => {
    expect(values({ d: 63, on: false, s: '12', at: { x: [1] }, none: null })).toEqual([
      { d: 63, on: false, s: '12', at: { x: [1] } },
    ]);
  });

  it('renames id and type', () => expect(values({ id: 'x', type: 'y' })).toEqual([{ measure_id: 'x', measure_type: 'y' }]));

  it('applies a list oldest first', () => {
    const parsed = parseFiwareJson(
      '[{"d":2,"TimeInstant":"2026-03-01T09:00:00Z"},{"d":1,"TimeInstant":"2026-03-01T09:30:00+01:00"}]',
      HTTP,
    );
    expect(parsed.measures.map((measure) => [measure.observedAt, measure.readings[0]?.value])).toEqual([
      ['2026-03-01T08:30:00Z', 1],
      ['2026-03-01T09:00:00Z', 2],
    ]);
  });

  it('refuses a bad time over HTTP, and falls back with a warning over MQTT', () => {
    const text = '{"d":1,"TimeInstant":"yesterday"}';
    expect(() => parseFiwareJson(text, HTTP)).toThrow(expect.objectContaining({ code: 'BAD_TIMESTAMP' }));
    const parsed = parseFiwareJson(text, MQTT);
    expect(parsed.measures).toEqual([{ readings: [{ address: 'd', value: 1 }] }]);
    expect(parsed.warnings).toHaveLength(1);
  });

  it.each(['', 'd|1', '63', '"x"', '[]', '[1]', '{"d":', 'null'])('refuses %j', (text) =>
    expect(() => parseFiwareJson(text, MQTT)).toThrow(PayloadError),
  );

  it('refuses what nests too deep or holds too many readings', () => {
    expect(() => parseFiwareJson(`{"d":${'['.repeat(20)}${']'.repeat(20)}}`, MQTT)).toThrow(PayloadError);
    const many = Object.fromEntries(Array.from({ length: 1001 }, (_, n) => [`s${n}`, n]));
    expect(() => parseFiwareJson(JSON.stringify(many), MQTT)).toThrow(PayloadError);
  });

  it('takes an NGSI-LD entity or NGSI-v2 batch apart where payloadType says so', () => {
    const t = {
      type: 'Property',
      value: 5,
      observedAt: '2026-03-01T09:00:00Z',
      unitCode: 'CEL',
      by: { type: 'Relationship', object: 'urn:x:2' },
    };
    const ld = { id: 'urn:x:1', type: 'T', t, plain: 7, none: { type: 'Property', value: null } };
    const parsed = parseFiwareJson(JSON.stringify(ld), { ...MQTT, payloadType: 'ngsild' });
    // The time of one attribute is not that of the others.
    expect(parsed.measures[0]?.observedAt).toBeUndefined();
    expect(parsed.measures[0]?.readings).toContainEqual({
      address: 't',
      value: 5,
      observedAt: '2026-03-01T09:00:00Z',
      metadata: { unitCode: 'CEL', by: { type: 'Relationship', value: 'urn:x:2' } },
    });
    expect(parsed.measures[0]?.readings).toContainEqual({ address: 'plain', value: 7 });
    expect(parsed.warnings).toEqual(['"none" has no value']);
    expect(parsed.measures[0]?.readings).toContainEqual({ address: 'measure_id', value: 'urn:x:1' });
    const v2 = {
      actionType: 'append',
      entities: [
        { id: 'a', t: { type: 'Number', value: 1 } },
        { id: 'b', t: { value: 2 } },
      ],
    };
    expect(values(v2, { ...MQTT, payloadType: 'ngsiv2' })).toEqual([
      { measure_id: 'a', t: 1 },
      { measure_id: 'b', t: 2 },
    ]);
  });

  it('answers any text with readings or a PayloadError', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.json()), (text) => {
        try {
          return parseFiwareJson(text, MQTT).measures.length > 0;
        } catch (error) {
          return error instanceof PayloadError;
        }
      }),
      { numRuns: 1000 },
    );
  });
});

describe('one value in a topic of its own', () => {
  it.each([
    ['63', 63],
    ['"x"', 'x'],
    ['{"a":1}', { a: 1 }],
  ])('reads %s as JSON', (text, value) =>
    expect(parseSingleValue('d', Buffer.from(text))).toEqual({
      measures: [{ readings: [{ address: 'd', value }] }],
      warnings: [],
    }),
  );

  it('takes other bytes as hexadecimal digits, and says so', () => {
    const parsed = parseSingleValue('d', Buffer.from('hi'));
    expect(parsed.measures[0]?.readings).toEqual([{ address: 'd', value: '6869' }]);
    expect(parsed.warnings).toHaveLength(1);
  });

  it('takes an empty payload as no reading', () =>
    expect(parseSingleValue('d', Buffer.alloc(0)).measures[0]?.readings).toEqual([]));
});
