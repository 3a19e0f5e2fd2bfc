import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fromStoredText, parseExact, storedText } from '../../../broker/domain/json.ts';
import { inMemoryBroker, type TestBroker } from '../../support/broker.ts';

const API = '/ngsi-ld/v1';
const METER = 'urn:ngsi-ld:Meter:1';
const BIG = '9007199254740993';
const HUGE = '-123456789012345678901234567890';

describe('integers beyond 2^53 (4.5.2.2)', () => {
  let broker: TestBroker;
  beforeAll(async () => {
    broker = await inMemoryBroker();
    const entity = `{"id":"${METER}","type":"Meter","pulses":{"type":"Property","value":${BIG},"total":{"type":"Property","value":[${HUGE},1]}},
      "raw":{"type":"JsonProperty","json":{"n":${BIG}}},"small":{"type":"Property","value":9007199254740991}}`;
    expect((await broker.request('POST', `${API}/entities`, entity)).statusCode).toBe(201);
  });
  afterAll(() => broker[Symbol.asyncDispose]());
  const text = async (url: string) => (await broker.request('GET', `${API}${url}`)).body;

  it('keep their digits in every representation, in history and in an update that leaves them alone', async () => {
    for (const format of ['normalized', 'concise', 'simplified']) {
      expect(await text(`/entities/${METER}?format=${format}`)).toContain(BIG);
    }
    expect(await text(`/entities/${METER}`)).toContain(`[${HUGE},1]`);
    expect(await text(`/entities/${METER}`)).toContain(`{"n":${BIG}}`);
    expect(await text(`/temporal/entities/${METER}?timeproperty=modifiedAt&options=temporalValues`)).toContain(`[[${BIG},`);
    const patch = await broker.request('PATCH', `${API}/entities/${METER}`, {
      small: { value: 1 },
      pulses: { unitCode: 'C62' },
    });
    expect(patch.statusCode).toBe(204);
    expect(await text(`/entities/${METER}`)).toContain(`"value":${BIG}`);
    const early = await broker.request('GET', `${API}/entities/${METER}`, undefined, { prefer: 'ngsi-ld=1.5' });
    expect([early.statusCode, early.body.includes(BIG)]).toEqual([203, true]);
  });

  it.each([
    [`pulses==${BIG}`, 1],
    ['pulses==9007199254740992', 0],
    ['pulses>9007199254740992', 1],
    [`pulses>${BIG}`, 0],
    ['pulses<9007199254740994', 1],
    ['pulses==9007199254740992..9007199254740994', 1],
    [`pulses==1..${BIG}`, 1],
    [`pulses!=${BIG}`, 0],
    [`pulses=="${BIG}"`, 0],
  ])('are compared exactly: %s', async (q, count) => {
    const found = JSON.parse(await text(`/entities?type=Meter&q=${encodeURIComponent(q)}`));
    expect(found).toHaveLength(count);
  });

  it('have an order among other numbers', async () => {
    for (const [n, value] of ['9007199254740994', '9007199254740995', '1e300', '3'].entries()) {
      const entity = `{"id":"urn:ngsi-ld:Sorted:${n}","type":"Sorted","n":{"type":"Property","value":${value}}}`;
      await broker.request('POST', `${API}/entities`, entity);
    }
    const found = await text('/entities?type=Sorted&orderBy=n&format=simplified&local=true');
    expect([...found.matchAll(/"n":([^}]+)}/g)].map(([, n]) => n)).toEqual([
      '3',
      '9007199254740994',
      '9007199254740995',
      '1e+300',
    ]);
  });

  it('are no change if they stay the same, and are one if the last digit changes', async () => {
    const modified = async () => JSON.parse(await text(`/entities/${METER}?options=sysAttrs`)).raw.modifiedAt;
    const put = (n: string) =>
      broker.request('PATCH', `${API}/entities/${METER}/attrs/raw`, `{"type":"JsonProperty","json":{"n":${n}}}`);
    const before = await modified();
    expect((await put(BIG)).statusCode).toBe(204);
    expect(await modified()).toBe(before);
    expect((await put('9007199254740992')).statusCode).toBe(204);
    expect(await text(`/entities/${METER}`)).toContain('{"n":9007199254740992}');
  });
});

describe('stored text', () => {
  it('marks integers that JSON.parse would change, and nothing else', () => {
    expect(storedText({ a: 1, b: '9007199254740993' })).toBe('{"a":1,"b":"9007199254740993"}');
    expect(storedText({ a: 9007199254740993n })).toBe(' {"a":9007199254740993}');
    expect(fromStoredText(' {"a":9007199254740993,"b":1.5}')).toEqual({ a: 9007199254740993n, b: 1.5 });
  });

  it.each(['1', '-0.5', '1e300', '9007199254740991', '9007199254740992', '100000000000000000000', '0.12345678901234567890'])(
    'leaves %s a number',
    (text) => {
      expect(parseExact(text)).toBe(Number(text));
    },
  );
});
