import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { inMemoryBroker, type TestBroker } from '../../support/broker.ts';
import { datastream, day, type Json, place, reading, staClient, thing } from '../../support/sta.ts';

/** Requests as these clients send them, character by character. */
describe('SensorThings clients that others wrote', () => {
  let broker: TestBroker;
  let sta: ReturnType<typeof staClient>;
  let series: number;
  const get = async (url: string): Promise<Json> => {
    const answer = await broker.request('GET', url.replace(/^https?:\/\/[^/]+/, ''));
    expect([url, answer.statusCode]).toEqual([url, 200]);
    return answer.json();
  };

  beforeAll(async () => {
    broker = await inMemoryBroker();
    sta = staClient(broker);
    for (const n of [1, 2, 3]) {
      await sta.post(
        'Things',
        thing(`t${n}`, {
          properties: { city: n === 2 ? 'Split' : 'Rijeka' },
          Locations: [place(`p${n}`, 14 + n, 45)],
          Datastreams: [datastream(`d${n}`, { Observations: [1, 2, 3, 4, 5].map((at) => reading(at, at)) })],
        }),
      );
    }
    series = (await sta.list('Datastreams?$orderby=id'))[0]?.['@iot.id'] as number;
  });
  afterAll(() => broker[Symbol.asyncDispose]());

  it('QGIS: counts, pages by id, filters by extent and property, opens navigation links', async () => {
    const root = await get('/sta/v1.1');
    const { url } = (root['value'] as { name: string; url: string }[]).find(({ name }) => name === 'Locations') as {
      url: string;
    };
    expect(await get(`${url}?$top=0&$count=true`)).toEqual({ '@iot.count': 3, value: [] });
    expect((await get(`${url}?$count=true&$top=1`))['@iot.count']).toBe(3);
    const all = await get(
      `${url}?$top=2147483647&$count=false&$orderby=@iot.id+asc&$filter=(st_intersects(location,%20geography%27POLYGON((14.5%2044.0,%2016.5%2044.0,%2016.5%2046.0,%2014.5%2046.0,%2014.5%2044.0))%27))`,
    );
    const found = all['value'] as Json[];
    expect(found.map(({ name }) => name)).toEqual(['p1', 'p2']);
    const things = await get(String(found[1]?.['Things@iot.navigationLink']));
    expect(things['value']).toMatchObject([{ name: 't2', properties: { city: 'Split' } }]);
    const expanded = await get(
      "/sta/v1.1/Locations?$top=100&$orderby=id&$expand=Things($orderby=id;$top=100;$expand=Datastreams($orderby=id;$top=100;$expand=ObservedProperty))&$filter=(Things/properties/city eq 'Split')".replaceAll(
        ' ',
        '%20',
      ),
    );
    expect((expanded['value'] as Json[]).map(({ name }) => name)).toEqual(['p2']);
    const observations = await get(
      `/sta/v1.1/Datastreams(${series})/Observations?$filter=phenomenonTime%20ge%20${day(2)}%20and%20phenomenonTime%20le%20${day(4)}&$orderby=phenomenonTime%20asc`,
    );
    expect((observations['value'] as Json[]).map(({ result }) => result)).toEqual([2, 3, 4]);
  });

  it('Grafana: glues what is behind the question mark of nextLink to its own path, and leaves blanks to the browser', async () => {
    const path = `/sta/v1.1/Datastreams(${series})/Observations`;
    let query: string | undefined =
      `?$orderby=phenomenonTime asc&$filter=phenomenonTime ge ${day(1)} and phenomenonTime le ${day(5)}&$top=2`.replaceAll(
        ' ',
        '%20',
      );
    const seen: unknown[] = [];
    while (query !== undefined) {
      const page: Json = await get(path + query);
      seen.push(...(page['value'] as Json[]).map(({ result }) => result));
      const next = page['@iot.nextLink'] as string | undefined;
      expect(next?.match(/\?/g)?.length ?? 1).toBe(1);
      query = next === undefined ? undefined : `?${next.split('?')[1]}`;
    }
    expect(seen).toEqual([1, 2, 3, 4, 5]);
    const table = await get(
      "/sta/v1.1/Things?&$count=true&$skip=0&$top=10&$filter=startswith(@iot.id,'1') or startswith(properties/city,'Spl')".replaceAll(
        ' ',
        '%20',
      ),
    );
    expect((table['value'] as Json[]).map(({ name }) => name)).toContain('t2');
  });

  it('browsers may come from anywhere, and see the address of what they made', async () => {
    const asked = await broker.request('OPTIONS', '/sta/v1.1/Things', undefined, {
      origin: 'https://example.org',
      'access-control-request-method': 'POST',
      'access-control-request-headers': 'content-type',
    });
    expect([asked.statusCode, asked.headers['access-control-allow-headers']]).toEqual([204, 'content-type']);
    expect(String(asked.headers['access-control-allow-methods'])).toContain('PATCH');
    const made = await broker.request('POST', '/sta/v1.1/Things', thing('x'), { origin: 'https://example.org' });
    expect(made.headers['access-control-expose-headers']).toContain('Location');
  });
});
