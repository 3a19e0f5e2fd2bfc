import { describe, expect, it } from 'vitest';
import type { TestBroker } from '../support/broker.ts';
import { pair } from './pair.ts';

const HISTORY = '/ngsi-ld/v1/temporal/entities';
const CAR = 'urn:ngsi-ld:Car:1';
const READS = ['retrieveTemporal', 'queryTemporal'];
const WRITES = [
  'upsertTemporal', 'appendAttrsTemporal', 'deleteAttrsTemporal', 'updateAttrInstanceTemporal', 'deleteAttrInstanceTemporal', 'deleteTemporal',
]; // biome-ignore format: a list to be read as one

const at = (hour: number) => `2026-05-01T${String(hour).padStart(2, '0')}:00:00Z`;
const observed = (value: unknown, hour: number, more: object = {}) => ({
  type: 'Property',
  value,
  observedAt: at(hour),
  ...more,
});
const car = (attributes: Record<string, unknown>, id = CAR) => ({ id, type: 'Car', ...attributes });
const DAY = `timerel=between&timeAt=${at(0)}&endTimeAt=2026-05-02T00:00:00Z`;

async function remember(broker: TestBroker, body: unknown) {
  const answer = await broker.request('POST', `${HISTORY}?local=true`, body);
  expect([201, 204], answer.body).toContain(answer.statusCode);
}
const get = async (broker: TestBroker, path: string) => {
  const answer = await broker.request('GET', `${HISTORY}${path}`);
  expect([200, 206], answer.body).toContain(answer.statusCode);
  return answer.json();
};
const values = (evolution: { speed: { values: [unknown, string][] } }) => evolution.speed.values.map(([value]) => value);

describe('aggregates over several brokers (4.5.19, 5.7.3.4, 5.7.4.4)', () => {
  it('are made from all instances together, each moment once', async () => {
    await using two = await pair();
    const { near, far, register } = two;
    await remember(near, car({ speed: [observed(100, 1), observed(10, 3)] }));
    await remember(far, car({ speed: [observed(300, 2), observed(10, 3)] }));
    await remember(far, car({ speed: [observed(7, 2)] }, 'urn:ngsi-ld:Car:2'));
    await register({ operations: READS });
    const asked = `${DAY}&format=aggregatedValues&aggrMethods=sum,totalCount&aggrPeriodDuration=PT0S`;
    const { sum, totalCount } = (await get(near, `/${CAR}?${asked}`)).speed;
    expect([sum.length, sum[0][0], totalCount[0][0]]).toEqual([1, 410, 3]);
    expect((await get(near, `/${CAR}?${asked}&local=true`)).speed.sum[0][0]).toBe(110);
    const [first, second] = await get(near, `?type=Car&${asked}`);
    expect([first.speed.sum[0][0], second.speed.sum[0][0]]).toEqual([410, 7]);
    const onlyThere = await get(near, `/urn:ngsi-ld:Car:2?${asked}`);
    expect(onlyThere.speed.totalCount[0][0]).toBe(1);
    const wrong = await near.request(
      'GET',
      `${HISTORY}?type=Car&attrs=speed&${DAY}&format=aggregatedValues&aggrMethods=nonsense`,
    );
    expect(wrong.statusCode).toBe(400);
  });

  it('need the whole series: a source that answers in parts (206) is asked for all of them', async () => {
    await using two = await pair({ far: { temporalLimit: 3 } });
    const { near, far, register } = two;
    await remember(far, car({ speed: Array.from({ length: 10 }, (_, hour) => observed(1, hour)) }));
    await register({ operations: READS });
    for (const time of [DAY, `timerel=after&timeAt=${at(0)}`, `timerel=before&timeAt=2026-05-02T00:00:00Z`]) {
      const asked = `${time}&format=aggregatedValues&aggrMethods=sum&aggrPeriodDuration=PT0S`;
      expect((await get(near, `/${CAR}?${asked}`)).speed.sum[0][0], time).toBe(10);
      expect((await get(near, `?type=Car&${asked}`))[0].speed.sum[0][0], time).toBe(10);
    }
  });
});

describe('instances of several brokers (5.7.3.4, 4.5.5.3)', () => {
  it('of one moment and datasetId one is chosen, the one that was modified last', async () => {
    await using two = await pair();
    const { near, far, register } = two;
    const dataset = { datasetId: 'urn:d:x' };
    await remember(near, car({ speed: [observed(700, 5, dataset), observed(1, 5)] }));
    await remember(far, car({ speed: [observed(800, 5, dataset)] }));
    await register({ operations: READS });
    const { speed } = await get(near, `/${CAR}?${DAY}`);
    expect(speed.map(({ value }: { value: number }) => value).sort()).toEqual([1, 800]);
  });

  it('an auxiliary source has no part in them: it offers no temporal operations (5.9.2.4)', async () => {
    await using two = await pair();
    const { near, far, register } = two;
    await remember(near, car({ speed: [observed(1, 1)] }));
    await remember(far, car({ speed: [observed(99, 1), observed(2, 2)] }));
    await register({ operations: ['retrieveOps'], mode: 'auxiliary' });
    expect(values(await get(near, `/${CAR}?${DAY}&options=temporalValues`))).toEqual([1]);
  });

  it('where one place could not tell all, the answer ends for all of them, and says so (6.3.10)', async () => {
    await using two = await pair({ far: { temporalLimit: 2 } });
    const { near, far, register } = two;
    await remember(near, car({ speed: [observed(1, 1), observed(9, 9)] }));
    await remember(far, car({ speed: [observed(2, 2), observed(4, 4), observed(6, 6)] }));
    await register({ operations: READS });
    const answer = await near.request('GET', `${HISTORY}/${CAR}?${DAY}&options=temporalValues`);
    expect(answer.statusCode).toBe(206);
    expect(values(answer.json())).toEqual([1, 2, 4]);
    expect(answer.headers['content-range']).toBe(`DateTime ${at(0)}-${at(4)}/*`);
  });

  it('scopes and values are looked at where the data is, or, for split entities, in the whole (5.7.4.4)', async () => {
    await using two = await pair();
    const { near, far, register } = two;
    await remember(far, car({ scope: '/Madrid', speed: [observed(1, 1)] }, 'urn:ngsi-ld:Car:in'));
    await remember(far, car({ scope: '/Paris', speed: [observed(2, 1)] }, 'urn:ngsi-ld:Car:out'));
    await remember(near, car({ speed: [observed(5, 1)] }));
    await remember(far, car({ doors: [observed(4, 1)] }));
    await register({ operations: READS });
    const ids = async (query: string) => (await get(near, `?type=Car&${DAY}&${query}`)).map(({ id }: { id: string }) => id);
    expect(await ids('scopeQ=/Madrid')).toEqual(['urn:ngsi-ld:Car:in']);
    expect(await ids('q=speed==5;doors==4')).toEqual([]);
    expect(await ids('q=speed==5;doors==4&splitEntities=true')).toEqual([CAR]);
    expect(await ids('q=speed==5;doors==5&splitEntities=true')).toEqual([]);
    // What several brokers have is in no other order than that of the ids.
    expect((await near.request('GET', `${HISTORY}?type=Car&${DAY}&orderBy=id;desc`)).statusCode).toBe(400);
    expect(await ids('orderBy=id;desc&local=true')).toEqual([CAR]);
  });

  it('a source that does not answer is warned of (6.3.17), and one that answers 404 is not', async () => {
    await using two = await pair();
    const { near, far, register } = two;
    await remember(near, car({ speed: [observed(1, 1)] }));
    await register({ operations: READS });
    const ask = () => near.request('GET', `${HISTORY}/${CAR}?${DAY}`);
    expect((await ask()).headers).not.toHaveProperty('ngsild-warning');
    await far.broker.close();
    const answer = await ask();
    expect(answer.statusCode).toBe(200);
    expect(answer.headers['ngsild-warning']).toMatch(/^199 urn:r:far /);
  });

  it('an EntityMap of evolutions holds those of sources too, and serves them again (5.14.5)', async () => {
    await using two = await pair();
    const { near, far, register } = two;
    await remember(far, car({ speed: [observed(41, 1), observed(42, 2)] }));
    await remember(near, car({ speed: [observed(1, 1)] }, 'urn:ngsi-ld:Car:0'));
    await register({ operations: READS });
    const query = `${HISTORY}?type=Car&${DAY}&options=temporalValues`;
    const created = await near.request('GET', `${query}&entityMap=true`);
    expect(created.statusCode).toBe(201);
    const reference = String(created.headers['ngsild-entitymap']);
    const again = await near.request('GET', query, undefined, { 'ngsild-entitymap': reference });
    expect(again.json()).toEqual(created.json());
    expect(again.json().map(values)).toEqual([[1], [41, 42]]);
  });
});

describe('the query says which entities are found, not which of their instances are shown (5.7.4.4, S2 and S3)', () => {
  it('all instances in the time asked for are in the answer, and in the aggregates', async () => {
    await using two = await pair();
    const { near } = two;
    await remember(near, car({ speed: [observed(10, 1), observed(30, 2), observed(5, 5)] }));
    const ask = (query: string) => get(near, `?type=Car&${DAY}&${query}`);
    expect(values((await ask('q=speed>15&options=temporalValues'))[0])).toEqual([10, 30, 5]);
    expect(await ask('q=speed>35&options=temporalValues')).toEqual([]);
    const sum = await ask('q=speed>15&format=aggregatedValues&aggrMethods=sum&aggrPeriodDuration=PT0S');
    expect(sum[0].speed.sum[0][0]).toBe(45);
  });
});

describe('writing history at several brokers (5.6.11 to 5.6.16)', () => {
  it('an inclusive source gets what this broker gets', async () => {
    await using two = await pair();
    const { near, far, register } = two;
    await register({ operations: WRITES });
    expect((await near.request('POST', HISTORY, car({ speed: [observed(1, 1)] }))).statusCode).toBe(201);
    const more = { speed: [observed(2, 2)], doors: [observed(4, 2)] };
    expect((await near.request('POST', `${HISTORY}/${CAR}/attrs`, more)).statusCode).toBe(204);
    for (const broker of [near, far]) {
      expect(values(await get(broker, `/${CAR}?${DAY}&options=temporalValues&local=true`))).toEqual([1, 2]);
    }
    expect((await near.request('DELETE', `${HISTORY}/${CAR}/attrs/doors`)).statusCode).toBe(204);
    expect(await get(far, `/${CAR}?${DAY}`)).not.toHaveProperty('doors');
    expect((await near.request('DELETE', `${HISTORY}/${CAR}`)).statusCode).toBe(204);
    for (const broker of [near, far])
      expect((await broker.request('GET', `${HISTORY}/${CAR}?local=true`)).statusCode).toBe(404);
  });

  it('what a proxied source has goes there alone, instances by their id too', async () => {
    await using two = await pair();
    const { near, far, register } = two;
    const information = [{ entities: [{ id: CAR, type: 'Car' }], propertyNames: ['speed'] }];
    await register({ operations: WRITES, mode: 'exclusive', information });
    const body = car({ speed: [observed(1, 1)], doors: [observed(4, 1)] });
    expect((await near.request('POST', HISTORY, body)).statusCode).toBe(201);
    expect(await get(near, `/${CAR}?${DAY}&local=true`)).not.toHaveProperty('speed');
    const there = await get(far, `/${CAR}?${DAY}&options=sysAttrs`);
    expect(there).not.toHaveProperty('doors');
    const { instanceId } = [there.speed].flat()[0];
    const instance = `${HISTORY}/${CAR}/attrs/speed/${instanceId}`;
    expect((await near.request('PATCH', instance, observed(7, 1))).statusCode).toBe(204);
    expect(values(await get(far, `/${CAR}?${DAY}&options=temporalValues`))).toEqual([7]);
    expect((await near.request('DELETE', instance)).statusCode).toBe(204);
    expect((await far.request('GET', `${HISTORY}/${CAR}?${DAY}`)).statusCode).toBe(404);
  });

  it('what a proxied source cannot do is a Conflict, and is not done here instead', async () => {
    await using two = await pair();
    const { near, far, register } = two;
    await register({ operations: READS, mode: 'redirect' });
    const answer = await near.request('POST', HISTORY, car({ speed: [observed(1, 1)] }));
    expect(answer.statusCode).toBe(409);
    for (const broker of [near, far])
      expect((await broker.request('GET', `${HISTORY}/${CAR}?local=true`)).statusCode).toBe(404);
  });

  it('what only one of them did is told with 207 (5.2.16), and local=true concerns this broker alone', async () => {
    await using two = await pair();
    const { near, far, register } = two;
    await register({ operations: WRITES });
    await remember(near, car({ speed: [observed(1, 1)] }));
    expect((await far.request('GET', `${HISTORY}/${CAR}`)).statusCode).toBe(404);
    const answer = await near.request('DELETE', `${HISTORY}/${CAR}/attrs/speed`);
    expect(answer.statusCode).toBe(207);
    expect(answer.json()).toMatchObject({ success: [CAR], errors: [{ registrationId: 'urn:r:far' }] });
  });
});
