import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { inMemoryBroker, type TestBroker } from '../../support/broker.ts';
import { datastream, day, observed, place, reading, staClient, thing } from '../../support/sta.ts';

describe('SensorThings: reading', () => {
  let broker: TestBroker;
  let sta: ReturnType<typeof staClient>;
  let pier: number;
  let mill: number;

  beforeAll(async () => {
    broker = await inMemoryBroker();
    sta = staClient(broker);
    const series = (name: string, results: readonly unknown[]) =>
      datastream(name, {
        ObservedProperty: observed(name),
        Observations: results.map((result, at) =>
          reading(at + 1, result, at === 0 ? { resultTime: day(20), parameters: { depth: at } } : {}),
        ),
      });
    pier = await sta.post(
      'Things',
      thing('Pier', {
        properties: { owner: 'port', levels: [{ a: 1 }] },
        Locations: [place('harbour', 14.5, 45.3)],
        Datastreams: [
          series('air', [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]),
          series('water', [20.5, 'frozen', true, { grade: 'A' }]),
        ],
      }),
    );
    mill = await sta.post(
      'Things',
      thing("Miller's", { Locations: [place('hill', 17, 48)], Datastreams: [series('wind', [])] }),
    );
  });
  afterAll(() => broker[Symbol.asyncDispose]());

  it('9.2.1: the service root names the sets with the address that the client used', async () => {
    const { value, serverSettings } = (
      await broker.request('GET', '/sta/v1.1', undefined, { host: 'sta.example.org', 'x-forwarded-proto': 'https' })
    ).json();
    expect(value).toContainEqual({ name: 'Things', url: 'https://sta.example.org/sta/v1.1/Things' });
    expect(value.map(({ name }: { name: string }) => name).sort()).toEqual(
      'Datastreams FeaturesOfInterest HistoricalLocations Locations MultiDatastreams Observations ObservedProperties Sensors Things'.split(
        ' ',
      ),
    );
    expect(serverSettings.conformance).toContain('http://www.opengis.net/spec/iot_sensing/1.1/req/datamodel');
  });

  it('9.2.2 to 9.2.9: every path shape leads where it says, and nowhere else', async () => {
    expect(await sta.get(`Things(${pier})/name`)).toEqual({ name: 'Pier' });
    expect((await sta.request('GET', `Things(${pier})/name/$value`)).body).toBe('Pier');
    expect((await sta.request('GET', `Things(${pier})/properties/$value`)).json()).toEqual({
      owner: 'port',
      levels: [{ a: 1 }],
    });
    expect(await sta.get(`Things(${pier})/properties/levels[0]/a`)).toEqual({ a: 1 });
    expect((await sta.request('GET', `Things(${mill})/properties`)).statusCode).toBe(204);
    const [air] = await sta.list(`Things(${pier})/Datastreams?$filter=name eq 'air'`);
    const [wind] = await sta.list(`Things(${mill})/Datastreams`);
    const id = air?.['@iot.id'];
    expect(await sta.get(`Things(${pier})/Datastreams(${id})/ObservedProperty/name`)).toEqual({ name: 'air' });
    expect((await sta.refused('GET', `Things(${mill})/Datastreams(${id})`))[0]).toBe(404);
    expect((await sta.refused('GET', `Things(${pier})/Datastreams(${wind?.['@iot.id']})/Thing`))[0]).toBe(404);
    expect(await sta.get(`Datastreams(${id})/Thing/$ref`)).toEqual({
      '@iot.selfLink': `http://localhost:80/sta/v1.1/Things(${pier})`,
    });
    const refs = await sta.list('Things/$ref');
    expect(refs.every((ref) => Object.keys(ref).join() === '@iot.selfLink')).toBe(true);
    const observation = (await sta.list(`Datastreams(${id})/Observations?$top=1`))[0]?.['@iot.id'];
    expect(await sta.get(`Observations(${observation})/Datastream/Thing/Locations`)).toMatchObject({
      value: [{ name: 'harbour' }],
    });
    expect(await sta.get(`Observations(${observation})/FeatureOfInterest/feature`)).toEqual({
      feature: { type: 'Point', coordinates: [14.5, 45.3] },
    });
    expect(await sta.get(`Things(${pier})/HistoricalLocations`)).toMatchObject({
      value: [{ time: expect.stringMatching(/Z$/) }],
    });
  });

  it('names what there is not: 404 for sets, ids, properties and links that nothing has', async () => {
    for (const [url, word] of [
      ['Cars', 'Cars'],
      ['things', 'things'],
      ['Things(9223372036854775807)', 'Things'],
      ['Things(0)', 'Things'],
      ["Things('abc')", 'Things'],
      ['Things(abc)', 'abc'],
      [`Things(${pier})/colour`, 'colour'],
      [`Things(${pier})/Observations`, 'Observations'],
      ['Things/name', 'name'],
      [`Things(${pier})/properties/none`, 'none'],
      [`Datastreams(${pier})`, 'Datastreams'],
    ] as const) {
      const [code, message] = await sta.refused('GET', url);
      expect([url, code]).toEqual([url, 404]);
      expect(message).toContain(word);
    }
  });

  it('9.3.2: $expand goes through every link and nests, with options inside', async () => {
    const found = await sta.get(
      `Things?$filter=name eq 'Pier'&$expand=Locations($select=name),Datastreams($select=name;$orderby=name desc;$expand=Observations($top=1;$orderby=phenomenonTime desc;$count=true;$select=result))`,
    );
    const [one] = found['value'] as Record<string, unknown>[];
    expect(one?.['Locations']).toEqual([{ name: 'harbour' }]);
    expect(one?.['Datastreams']).toMatchObject([
      { name: 'water', 'Observations@iot.count': 4, Observations: [{ result: { grade: 'A' } }] },
      { name: 'air', 'Observations@iot.count': 12, Observations: [{ result: 12 }] },
    ]);
    const next = (one as { Datastreams: Record<string, unknown>[] }).Datastreams[1]?.['Observations@iot.nextLink'] as string;
    expect((await sta.get(next))['value']).toEqual([{ result: 11 }]);
    expect(one).not.toHaveProperty('Locations@iot.navigationLink');
    const deep = await sta.get(`Datastreams?$expand=Thing/Locations,Thing/Datastreams,Sensor&$top=1`);
    expect((deep['value'] as Record<string, unknown>[])[0]).toMatchObject({
      Sensor: { name: 'thermometer' },
      Thing: { Locations: [{ name: 'harbour' }], Datastreams: [{ name: 'air' }, { name: 'water' }] },
    });
  });

  it('9.3.3: $select shows what is named and nothing else', async () => {
    expect(await sta.list(`Things?$select=name,id&$orderby=name`)).toEqual([
      { '@iot.id': mill, name: "Miller's" },
      { '@iot.id': pier, name: 'Pier' },
    ]);
    expect(await sta.get(`Things(${pier})?$select=properties/owner,Datastreams`)).toEqual({
      properties: { owner: 'port' },
      'Datastreams@iot.navigationLink': `http://localhost:80/sta/v1.1/Things(${pier})/Datastreams`,
    });
  });

  it('9.3.3.5: filters, one by one', async () => {
    const [air] = await sta.list(`Datastreams?$filter=name eq 'air'`);
    const results = async (filter: string) =>
      (
        await sta.list(`Datastreams(${air?.['@iot.id']})/Observations?$select=result&$filter=${encodeURIComponent(filter)}`)
      ).map(({ result }) => result);
    const table: readonly (readonly [string, readonly unknown[]])[] = [
      ['result gt 10', [11, 12]],
      ["result gt '3'", [4, 5, 6, 7, 8, 9]],
      ['result add 1 eq 4 or result mul 2 eq 4', [2, 3]],
      ['not result lt 12', [12]],
      ['result mod 4 eq 0 and result div 2 gt 3', [8, 12]],
      ['result in (1, 5, 99)', [1, 5]],
      ['(result lt 3 or result gt 11) and not (result eq 1)', [2, 12]],
      [`phenomenonTime ge ${day(11)}`, [11, 12]],
      [`phenomenonTime gt 2026-03-11T01:00:00+01:00`, [12]],
      [`phenomenonTime ge ${day(2)} and phenomenonTime lt ${day(4)}`, [2, 3]],
      ['day(phenomenonTime) eq 7', [7]],
      ['year(phenomenonTime) eq 2026 and month(phenomenonTime) eq 3 and hour(phenomenonTime) eq 0 and result eq 1', [1]],
      ['date(phenomenonTime) eq 2026-03-05', [5]],
      [`during(phenomenonTime, ${day(3)}/${day(5)})`, [3, 4]],
      [`before(phenomenonTime, ${day(2)})`, [1]],
      [`after(phenomenonTime, ${day(11)})`, [12]],
      [`phenomenonTime add duration'P1D' eq ${day(3)}`, [2]],
      [`phenomenonTime sub ${day(1)} eq duration'P2D'`, [3]],
      ['resultTime ne null', [1]],
      ['resultTime eq null and result lt 3', [2]],
      [`resultTime gt ${day(1)}`, [1]],
      ['parameters/depth eq 0', [1]],
      ['parameters/depth eq null and result gt 11', [12]],
      ["Datastream/name eq 'air' and result eq 3", [3]],
      ["Datastream/Thing/properties/owner eq 'port' and result eq 3", [3]],
      ["Datastream/unitOfMeasurement/symbol eq '°C' and result le 2", [1, 2]],
      ["startswith(FeatureOfInterest/name, 'har') and result eq 2", [2]],
      ['round(result div 5) eq 1', [3, 4, 5, 6, 7]],
      ['floor(result div 5) eq 2 and ceiling(result div 5) eq 3', [11, 12]],
      ["substringof('1', result)", [1, 10, 11, 12]],
      ['now() gt phenomenonTime and result eq 1', [1]],
      ['result eq true', []],
      ['true', [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]],
      ['false', []],
      ['null', []],
    ];
    for (const [filter, expected] of table) expect([filter, await results(filter)]).toEqual([filter, expected]);
  });

  it('filters on texts, places, links to many and any()', async () => {
    const names = async (set: string, filter: string) =>
      (await sta.list(`${set}?$select=name&$orderby=name&$filter=${encodeURIComponent(filter)}`)).map(({ name }) => name);
    const table: readonly (readonly [string, string, readonly string[]])[] = [
      ['Things', "name eq 'Miller''s'", ["Miller's"]],
      ['Things', "substringof('ier', name)", ['Pier']],
      ['Things', "substringof('ier', name) eq true", ['Pier']],
      ['Things', "endswith(name, 'r')", ['Pier']],
      ['Things', 'length(name) gt 4', ["Miller's"]],
      ['Things', "indexof(name, 'i') eq 1", ["Miller's", 'Pier']],
      ['Things', "substring(name, 1, 2) eq 'ie'", ['Pier']],
      ['Things', "tolower(name) eq 'pier' and toupper(name) eq 'PIER'", ['Pier']],
      ['Things', "concat(concat(name, '-'), trim(' x ')) eq 'Pier-x'", ['Pier']],
      ['Things', "properties/owner eq 'port'", ['Pier']],
      ['Things', 'properties/levels[0]/a eq 1', ['Pier']],
      ['Things', 'properties/owner eq null', ["Miller's"]],
      ['Things', "Datastreams/ObservedProperty/name eq 'wind'", ["Miller's"]],
      ['Things', "Datastreams/name eq 'air' and Datastreams/name eq 'water'", []],
      ['Things', "Datastreams/any(d: d/name eq 'air') and Datastreams/any(e: e/name eq 'water')", ['Pier']],
      ['Things', "Datastreams/all(d: d/name eq 'wind')", ["Miller's"]],
      ['Things', "Datastreams/any(d: d/name eq 'air' and name eq 'Pier')", ['Pier']],
      ['Things', 'Datastreams/Observations/id eq null', ["Miller's"]],
      ['Things', 'Datastreams/Observations/result gt 11', ['Pier']],
      ['Things', `id eq ${'0'}`, []],
      ['Locations', "st_within(location, geography'POLYGON ((14 45, 15 45, 15 46, 14 46, 14 45))')", ['harbour']],
      ['Locations', "geo.intersects(location, geography'POLYGON((14 45,15 45,15 46,14 46,14 45))')", ['harbour']],
      ['Locations', "st_disjoint(location, geography'POLYGON((14 45,15 45,15 46,14 46,14 45))')", ['hill']],
      ['Locations', "geo.distance(location, geography'POINT(17 49)') lt 1.5", ['hill']],
      ['Locations', "st_equals(location, geography'POINT(17 48)')", ['hill']],
      ['Locations', "st_touches(location, geography'LINESTRING(17 48, 18 48)')", ['hill']],
      ['Locations', "st_relate(location, geography'LINESTRING(16 48, 18 48)', 'T********')", ['hill']],
      ['Locations', "geo.length(geography'LINESTRING(0 0, 3 4)') eq 5", ['harbour', 'hill']],
      ['Datastreams', 'phenomenonTime eq null', ['wind']],
      ['Datastreams', `overlaps(phenomenonTime, ${day(12)})`, []],
      ['Datastreams', `phenomenonTime ge ${day(1)}`, ['air', 'water']],
    ];
    for (const [set, filter, expected] of table) expect([filter, await names(set, filter)]).toEqual([filter, expected]);
    expect(await names('Things', `@iot.id eq '${pier}'`)).toEqual(['Pier']);
    expect(await names('Things', `startswith(@iot.id, '${pier}')`)).toContain('Pier');
  });

  it('400 and 501 name the token that is wrong, and never fail otherwise', async () => {
    for (const [url, code, word] of [
      ['Things?$filter=name eq', 400, 'ends'],
      ['Things?$filter=colour eq 1', 400, 'colour'],
      ["Things?$filter=nam(e eq 'x'", 400, 'nam'],
      ['Things?$filter=name eq ~', 400, '~'],
      ['Things?$filter=length(name, 1) eq 1', 400, 'length'],
      ["Locations?$filter=st_within(location, geography'CIRCLE(1 2)')", 400, 'CIRCLE'],
      ['Observations?$filter=phenomenonTime gt 2026-02-30T00:00:00Z', 400, '2026-02-30'],
      ['Observations?$filter=during(phenomenonTime, 2026-02-03T00:00:00Z)', 400, 'during'],
      ['Things?$top=-1', 400, '$top'],
      ['Things?$skip=x', 400, '$skip'],
      ['Things?$count=yes', 400, '$count'],
      ['Things?$select=colour', 400, 'colour'],
      ['Things?$expand=Colours', 400, 'Colours'],
      ['Things?$orderby=colour', 400, 'colour'],
      ['Things?$search=x', 501, '$search'],
      ['Things?$skiptoken=abc', 400, '$skiptoken'],
      ['Things?$resultFormat=xml', 400, 'xml'],
      [`Things(${1})?$top=1`, 400, '$top'],
      ['Things?$filter=Datastreams/any(name: true)', 200, ''],
      ['Things?unknown=1&&', 200, ''],
    ] as const) {
      const answer = await sta.request('GET', url);
      expect([url, answer.statusCode]).toEqual([url, code]);
      if (code !== 200) expect(answer.json().message).toContain(word);
    }
  });

  it('9.3.3.1, 9.3.3.2: orders by any property, null first, in both directions', async () => {
    const [air] = await sta.list(`Datastreams?$filter=name eq 'air'`);
    const first = async (order: string) =>
      (await sta.list(`Datastreams(${air?.['@iot.id']})/Observations?$top=3&$orderby=${encodeURIComponent(order)}`)).map(
        ({ result }) => result,
      );
    expect(await first('result desc')).toEqual([12, 11, 10]);
    expect(await first('phenomenonTime desc')).toEqual([12, 11, 10]);
    expect(await first('phenomenonTime desc, id desc')).toEqual([12, 11, 10]);
    expect(await first('resultTime desc, result desc')).toEqual([1, 12, 11]);
    expect(await first('resultTime asc')).toEqual([2, 3, 4]);
    expect(await first('result mod 5 desc, result')).toEqual([4, 9, 3]);
    expect(await first('Datastream/name desc, id')).toEqual([1, 2, 3]);
    const [water] = await sta.list(`Datastreams?$filter=name eq 'water'`);
    expect(
      (await sta.list(`Datastreams(${water?.['@iot.id']})/Observations?$orderby=result`)).map(({ result }) => result),
    ).toEqual([true, 20.5, 'frozen', { grade: 'A' }]);
  });

  it('9.3.3.6: pages follow nextLink through all, in every order, also while data is added', async () => {
    for (const query of [
      '$orderby=result',
      '$orderby=phenomenonTime desc',
      '',
      "$filter=result ge 0 or result eq 'frozen'",
      '$orderby=id desc',
    ]) {
      const seen: unknown[] = [];
      let url: string | undefined = `Observations?$top=5&$select=id,result&${query}`;
      let pages = 0;
      while (url !== undefined) {
        const page: Record<string, unknown> = await sta.get(url);
        for (const one of page['value'] as Record<string, unknown>[]) seen.push(one['@iot.id']);
        url = page['@iot.nextLink'] as string | undefined;
        if (++pages === 1) {
          // What comes before the place where the page ended does not shift the next.
          await sta.post('Things', thing(`extra ${query}`));
        }
      }
      expect(new Set(seen).size).toBe(seen.length);
      expect(seen.length).toBe(query.includes('filter') ? 14 : 16);
    }
    expect(await sta.get('Things?$top=1&$skip=1000')).toEqual({ value: [] });
    expect((await sta.get(`Things(${pier})/Datastreams?$top=2`))['@iot.nextLink']).toBeUndefined();
    expect((await sta.get(`Things(${pier})/Datastreams?$top=1&$count=true`))['@iot.count']).toBe(2);
    expect(await sta.get('Things?$top=2147483647&$orderby=@iot.id+asc')).not.toHaveProperty('@iot.nextLink');
  });
});
