import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { inMemoryBroker, type TestBroker } from '../../support/broker.ts';
import { datastream, day, type Json, observed, place, reading, sensor, staClient, thing } from '../../support/sta.ts';

describe('SensorThings: result formats and batches', () => {
  let broker: TestBroker;
  let sta: ReturnType<typeof staClient>;

  beforeEach(async () => {
    broker = await inMemoryBroker();
    sta = staClient(broker);
  });
  afterEach(() => broker[Symbol.asyncDispose]());

  const station = () =>
    sta.post(
      'Things',
      thing('a, "b"', {
        properties: { owner: 'x', deep: { k: [1, 2] } },
        Locations: [place('p', 1, 2)],
        Datastreams: [
          datastream('one', { Observations: [reading(1, 1), reading(2, 2, { parameters: { q: 1 } })] }),
          datastream('two', { Observations: [reading(3, 'x')] }),
        ],
      }),
    );

  it('12.1: dataArray groups Observations by Datastream, in rows as long as their components', async () => {
    await station();
    const page = await sta.get('Observations?$resultFormat=DATAARRAY&$count=true&$orderby=id');
    expect(page['@iot.count']).toBe(3);
    const [one, two] = page['value'] as Json[];
    expect(one).toMatchObject({
      components: ['id', 'phenomenonTime', 'resultTime', 'result', 'parameters'],
      'dataArray@iot.count': 2,
    });
    expect((one as { dataArray: unknown[][] }).dataArray.map((row) => row.slice(1))).toEqual([
      [day(1), null, 1, null],
      [day(2), null, 2, { q: 1 }],
    ]);
    expect(two?.['Datastream@iot.navigationLink']).toMatch(/\/Datastreams\(\d+\)$/);
    const paged = await sta.get('Observations?$resultFormat=dataArray&$top=2&$select=@iot.id,result');
    expect((paged['value'] as Json[])[0]).toMatchObject({ components: ['id', 'result'] });
    expect((await sta.get(paged['@iot.nextLink'] as string))['value']).toMatchObject([
      { dataArray: [[expect.any(Number), 'x']] },
    ]);
    expect((await sta.refused('GET', 'Things?$resultFormat=dataArray'))[0]).toBe(400);
  });

  it('CSV has a header, splits units, quotes what needs it, and refuses what has no single row', async () => {
    await station();
    const things = await sta.request('GET', 'Things?$resultFormat=CSV&$select=name,properties');
    expect(things.headers['content-type']).toContain('text/csv');
    expect(things.body).toBe('name,properties\r\n"a, ""b""","{""owner"":""x"",""deep"":{""k"":[1,2]}}"\r\n');
    const series = (
      await sta.request(
        'GET',
        'Datastreams?$resultFormat=CSV&$select=name,unitOfMeasurement&$expand=Thing($select=id),Observations($top=1;$orderby=phenomenonTime desc;$select=result)&$orderby=id',
      )
    ).body;
    expect(series.split('\r\n')[0]).toBe(
      'name,unitOfMeasurement/name,unitOfMeasurement/symbol,unitOfMeasurement/definition,Thing/id,Observations/result',
    );
    expect(series.split('\r\n')[1]).toMatch(/^one,degree Celsius,°C,http:.*,\d+,2$/);
    expect((await sta.refused('GET', 'Datastreams?$resultFormat=CSV&$expand=Observations'))[0]).toBe(400);
  });

  it('GeoJSON has a Feature for each entity, with the first geometry and the rest by path', async () => {
    await station();
    const { type, features } = (await sta.get(
      'Things?$resultFormat=GeoJSON&$expand=Locations($select=name,location)&$select=name,properties',
    )) as { type: string; features: unknown[] };
    expect([type, features]).toEqual([
      'FeatureCollection',
      [
        {
          type: 'Feature',
          geometry: { type: 'Point', coordinates: [1, 2] },
          properties: {
            name: 'a, "b"',
            'properties/owner': 'x',
            'properties/deep/k/0': 1,
            'properties/deep/k/1': 2,
            'Locations/0/name': 'p',
          },
        },
      ],
    ]);
  });

  const sensorBody = JSON.stringify(sensor('s'));
  const datastreamBody = (thingId: unknown, sensorId: unknown) =>
    JSON.stringify({
      ...datastream('d'),
      Thing: { '@iot.id': thingId },
      Sensor: { '@iot.id': sensorId },
      ObservedProperty: observed('o'),
    });
  const batch = (lines: readonly string[], newline = '\r\n') =>
    sta.request('POST', '$batch', lines.join(newline), 'multipart/mixed;boundary=b');

  it('11: a multipart batch answers part by part, and a change set is one write whose parts may mean each other', async () => {
    const id = await sta.post('Things', thing('t'));
    const lines = [
      '--b',
      'Content-Type: application/http',
      '',
      `GET /sta/v1.1/Things(${id})?$select=name HTTP/1.1`,
      'Host: localhost',
      '',
      '',
      '--b',
      'Content-Type: multipart/mixed;boundary=c',
      '',
      '--c',
      'Content-Type: application/http',
      'Content-ID: s1',
      '',
      'POST Sensors HTTP/1.1',
      'Content-Type: application/json',
      'Content-Length: 3',
      '',
      sensorBody,
      '--c',
      'Content-Type: application/http',
      'Content-ID: d1',
      '',
      'POST /sta/v1.1/Datastreams HTTP/1.1',
      'Content-Type: application/json',
      '',
      datastreamBody(id, '$s1'),
      '--c--',
      '--b',
      'Content-Type: application/http',
      '',
      'GET Things(987654) HTTP/1.1',
      '',
      '',
      '--b',
      'Content-Type: application/http',
      '',
      'GET $d1/Sensor?$select=name HTTP/1.1',
      '',
      '',
      '--b--',
    ];
    for (const newline of ['\r\n', '\n']) {
      const answer = await batch(lines, newline);
      expect(answer.statusCode).toBe(200);
      expect(answer.body.match(/HTTP\/1\.1 \d+/g)).toEqual([
        'HTTP/1.1 200',
        'HTTP/1.1 201',
        'HTTP/1.1 201',
        'HTTP/1.1 404',
        'HTTP/1.1 200',
      ]);
      expect(answer.body).toContain('Content-ID: d1');
      expect(answer.body).toContain('{"name":"s"}');
    }
    expect(await sta.count('Datastreams')).toBe(2);
  });

  it('11: a change set that fails leaves nothing, and answers with one error', async () => {
    const change = (body: string) => [
      '--b',
      'Content-Type: multipart/mixed;boundary=c',
      '',
      '--c',
      'Content-Type: application/http',
      'Content-ID: s1',
      '',
      'POST Sensors HTTP/1.1',
      'Content-Type: application/json',
      '',
      sensorBody,
      '--c',
      'Content-Type: application/http',
      '',
      'POST Datastreams HTTP/1.1',
      '',
      body,
      '--c--',
      '--b--',
    ];
    for (const body of [datastreamBody(987654, '$s1'), '{"name":', '{}']) {
      const answer = await batch(change(body));
      expect(answer.body.match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 400']);
    }
    expect(await sta.count('Sensors')).toBe(0);
    expect((await batch(['nothing'])).statusCode).toBe(400);
    expect((await sta.request('POST', '$batch', 'x', 'multipart/mixed')).statusCode).toBe(400);
    expect((await sta.request('POST', '$batch', 'x', 'text/csv')).statusCode).toBe(415);
  });

  it('a JSON batch knows groups, references and conditions: create unless it exists', async () => {
    const requests = [
      { id: 'x', method: 'get', url: "Things?$filter=name eq 'weather'" },
      { id: 'x', if: 'not $x', method: 'post', url: 'Things', body: thing('weather', { Locations: [place('p', 1, 2)] }) },
      { id: 's', atomicityGroup: 'g', method: 'post', url: 'Sensors', body: sensor('s') },
      {
        id: 'd',
        atomicityGroup: 'g',
        method: 'post',
        url: 'Datastreams',
        body: { ...datastream('d'), Thing: { '@iot.id': '$x' }, Sensor: { '@iot.id': '$s' } },
      },
      { id: 'o', atomicityGroup: 'g', method: 'post', url: '$d/Observations', body: reading(1, 5) },
      { id: 'p', method: 'patch', url: 'Sensors($s)', body: { name: 'renamed' } },
      { id: 'bad', method: 'get', url: 'Nothing' },
    ];
    for (const round of [1, 2]) {
      const { responses } = (await sta.request('POST', '$batch', { requests })).json() as {
        responses: { id: string; status: number }[];
      };
      expect(responses.map(({ id, status }) => `${id}${status}`)).toEqual(
        round === 1
          ? ['x200', 'x201', 's201', 'd201', 'o201', 'p200', 'bad404']
          : ['x200', 's201', 'd201', 'o201', 'p200', 'bad404'],
      );
    }
    expect([await sta.count('Things'), await sta.count('Datastreams'), await sta.count('Observations')]).toEqual([1, 2, 2]);
    expect((await sta.list('Sensors')).map(({ name }) => name)).toEqual(['renamed', 'renamed']);
    for (const body of [
      {},
      { requests: [1] },
      { requests: [{ method: 'get' }] },
      { requests: [{ method: 'get', url: 'Things', if: 'maybe' }] },
    ]) {
      expect((await sta.refused('POST', '$batch', body))[0]).toBe(400);
    }
  });
});
