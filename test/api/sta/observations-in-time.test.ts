import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { inMemoryBroker, type TestBroker } from '../../support/broker.ts';
import { datastream, day, type Json, observed, place, reading, staClient, thing } from '../../support/sta.ts';

describe('SensorThings: all Observations through the index of times', () => {
  let broker: TestBroker;
  let sta: ReturnType<typeof staClient>;

  beforeEach(async () => {
    broker = await inMemoryBroker();
    sta = staClient(broker);
  });
  afterEach(() => broker[Symbol.asyncDispose]());

  const results = async (query: string): Promise<unknown[]> => {
    const found: unknown[] = [];
    let url = `Observations?${query}`;
    for (;;) {
      const page = await sta.get(url);
      found.push(...(page['value'] as Json[]).map(({ result }) => result));
      const next = page['@iot.nextLink'];
      if (next === undefined) return found;
      url = String(next);
    }
  };
  const room = (id: number, attributes: Json) =>
    broker.request('POST', '/ngsi-ld/v1/entities', { id: `urn:ngsi-ld:Room:${id}`, type: 'Room', ...attributes });

  it('come in order of phenomenonTime over all Datastreams, those of NGSI-LD included, and page by page', async () => {
    await sta.post(
      'Things',
      thing('t', {
        Locations: [place('p', 1, 2)],
        Datastreams: [
          datastream('a', { Observations: [reading(1, 1), reading(4, 4), reading(9, 'nine')] }),
          datastream('b', { ObservedProperty: observed('humidity'), Observations: [reading(2, 2), reading(3, 3)] }),
        ],
      }),
    );
    await room(1, { co2: { type: 'Property', value: 5, observedAt: day(5) }, name: { type: 'Property', value: 'x' } });
    await room(2, { co2: { type: 'Property', value: 2.5, observedAt: day(2, 12) } });
    for (const top of [1, 2, 100]) expect(await results(`$top=${top}`)).toEqual([1, 2, 2.5, 3, 4, 5, 'nine']);
    expect(await results('$top=2&$orderby=phenomenonTime desc')).toEqual(['nine', 5, 4, 3, 2.5, 2, 1]);
    expect(await results(`$top=2&$filter=phenomenonTime ge ${day(2)} and phenomenonTime lt ${day(4)}`)).toEqual([2, 2.5, 3]);
    expect(await results('$top=1&$filter=result gt 2 and result le 4')).toEqual([2.5, 3, 4]);
    expect(await results("$filter=result eq 'nine'")).toEqual(['nine']);
    expect(await results('$filter=not result gt 2')).toEqual([1, 2]);
    expect(await results(`$skip=2&$top=2&$orderby=phenomenonTime&$filter=Datastream/Thing/name eq 't'`)).toEqual([
      3,
      4,
      'nine',
    ]);
    expect((await sta.get('Observations?$top=0&$count=true'))['@iot.count']).toBe(7);
    // Another is added while somebody pages: nothing comes twice, and what lies ahead comes.
    const page = await sta.get('Observations?$top=3');
    await room(3, { co2: { type: 'Property', value: 3.5, observedAt: day(3, 12) } });
    const rest = await sta.get(String(page['@iot.nextLink']));
    expect((rest['value'] as Json[]).map(({ result }) => result)).toEqual([3, 3.5, 4]);
    expect(await staClient(broker, '/other/sta/v1.1').list('Observations')).toEqual([]);
    const ids = (await sta.list('Observations?$orderby=id')).map((one) => one['@iot.id'] as number);
    expect(ids).toEqual([...ids].sort((a, b) => a - b));
  });

  it('a condition that the index answers selects what the filter means (random data)', async () => {
    await sta.post('Things', thing('t', { Locations: [place('p', 1, 2)], Datastreams: [datastream('a'), datastream('b')] }));
    const series = (await sta.list('Datastreams')).map((one) => one['@iot.id']);
    const value = fc.oneof(fc.integer({ min: -3, max: 3 }), fc.constantFrom('1', 'x', true, 1.5));
    const all: { n: number; result: unknown }[] = [];
    const rows = fc.sample(fc.tuple(fc.integer({ min: 1, max: 28 }), value, fc.nat(1)), 60);
    for (const [n, result, at] of rows) {
      await sta.post(`Datastreams(${series[at]})/Observations`, reading(n, result));
      all.push({ n, result });
    }
    const operators = {
      gt: (a: number, b: number) => a > b,
      ge: (a: number, b: number) => a >= b,
      lt: (a: number, b: number) => a < b,
      le: (a: number, b: number) => a <= b,
      eq: (a: number, b: number) => a === b,
    };
    const name = fc.constantFrom(...(Object.keys(operators) as (keyof typeof operators)[]));
    await fc.assert(
      fc.asyncProperty(name, fc.integer({ min: -3, max: 3 }), name, fc.integer({ min: 1, max: 28 }), async (a, x, b, n) => {
        const found = await results(`$top=7&$filter=result ${a} ${x} and phenomenonTime ${b} ${day(n)}`);
        const wanted = all.filter(
          (one) => typeof one.result === 'number' && operators[a](one.result, x) && operators[b](one.n, n),
        );
        expect(found.map(String).sort()).toEqual(wanted.map(({ result }) => String(result)).sort());
      }),
      { numRuns: 30 },
    );
  });

  it('a search that takes too long is refused with what would be quicker', async () => {
    await using impatient = await inMemoryBroker({ config: { staLookMs: 1 } });
    const quick = staClient(impatient);
    const made = await quick.post('Things', thing('t', { Locations: [place('p', 1, 2)] }));
    // What it got is told by the answer: even to look for a single one may take longer than this broker waits.
    const series = { '@iot.id': await quick.post('Datastreams', datastream('a', { Thing: { '@iot.id': made } })) };
    const dataArray = Array.from({ length: 8_000 }, (_, n) => [new Date(Date.UTC(2026, 0, 1) + n * 1000).toISOString(), n]);
    const rows = [{ Datastream: series, components: ['phenomenonTime', 'result'], dataArray }];
    expect((await quick.request('POST', 'CreateObservations', rows)).statusCode).toBe(201);
    const [code, message] = await quick.refused('GET', 'Observations?$filter=parameters/x eq 1');
    expect([code, message]).toEqual([403, expect.stringContaining('$filter')]);
    expect(message).toContain('phenomenonTime');
  });
});
