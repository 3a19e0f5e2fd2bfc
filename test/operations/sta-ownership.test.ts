import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { allowEverything, type Principal } from '../../broker/domain/access.ts';
import { DomainError } from '../../broker/domain/errors.ts';
import { DEFAULT_TENANT } from '../../broker/domain/iri.ts';
import type { JsonValue } from '../../broker/domain/json.ts';
import { type Model, SENSING, STAPLUS } from '../../broker/domain/sta/model.ts';
import { parseResourcePath } from '../../broker/domain/sta/resource-path.ts';
import type { StaOperations } from '../../broker/operations/sta/operations.ts';
import { asUuid } from '../../broker/operations/sta/ownership.ts';
import { sensorThings } from '../../broker/operations/sta/sensor-things.ts';
import { inMemoryBroker, type TestBroker } from '../support/broker.ts';
import { datastream, day, type Json, observed, place, reading, sensor, thing } from '../support/sta.ts';
import { testClock } from '../support/writes.ts';

const ME: Json = { role: 'individual' };
const group = (more: Json = {}): Json => ({ name: 'g', description: 'g', creationTime: day(1), ...more });
const ref = (id: number): Json => ({ '@iot.id': id });

describe('STAplus: ownership (OGC 22-022r1, authentication and business logic)', () => {
  let broker: TestBroker;
  let operations: StaOperations;

  beforeEach(async () => {
    broker = await inMemoryBroker();
    const clock = testClock('2026-06-01T00:00:00Z');
    operations = sensorThings({
      ...broker.broker.store,
      clock,
      access: allowEverything,
      maxPage: 100,
      ownership: true,
    }).operations;
  });
  afterEach(() => broker[Symbol.asyncDispose]());

  /** What somebody may do: 'ok', or the kind of refusal. */
  function as(principal: Principal, model: Model = STAPLUS) {
    const caller = { tenant: DEFAULT_TENANT, principal };
    const root = { model, url: 'http://x' };
    const path = (url: string) => parseResourcePath(url, model);
    const outcome = async (work: Promise<unknown>): Promise<string> => {
      try {
        await work;
        return 'ok';
      } catch (error) {
        if (error instanceof DomainError) return error.type;
        throw error;
      }
    };
    const create = (url: string, body: unknown) => operations.create(caller, root, path(url), body as JsonValue);
    return {
      make: async (url: string, body: unknown) => (await create(url, body)).id,
      post: (url: string, body: unknown) => outcome(create(url, body)),
      patch: (url: string, body: unknown) => outcome(operations.update(caller, root, path(url), body as JsonValue, 'patch')),
      remove: (url: string) => outcome(operations.remove(caller, root, path(url))),
      unlink: (url: string) => outcome(operations.unlink(caller, root, path(url))),
      bulk: (body: unknown) => operations.createObservations(caller, root, body as JsonValue),
      async list(url: string): Promise<Json[]> {
        const found = await operations.read(caller, root, path(url), {});
        return found.kind === 'page' ? found.page.answers.map(({ item }) => ({ id: item.id, ...item.properties })) : [];
      },
    };
  }
  const ada = as({ kind: 'user', id: 'ada' });
  const bob = as({ kind: 'user', id: 'bob' });
  const admin = as({ kind: 'user', id: 'root', admin: true });
  const nobody = as({ kind: 'anonymous' });
  const station = (more: Json = {}) =>
    thing('t', { Party: ME, Locations: [place('p', 1, 2)], Datastreams: [datastream('d', { Party: ME })], ...more });

  it('nobody writes without having shown who they are, and everybody reads', async () => {
    expect(await ada.post('Things', station())).toBe('ok');
    expect(await nobody.post('Things', station())).toBe('Unauthorized');
    expect(await nobody.post('Parties', ME)).toBe('Unauthorized');
    const [{ id }] = (await nobody.list('Things')) as [Json];
    expect([await nobody.patch(`Things(${id})`, { name: 'x' }), await nobody.remove(`Things(${id})`)]).toEqual([
      'Unauthorized',
      'Unauthorized',
    ]);
  });

  it('a Party is its user: one for each, with an authId that tells no name', async () => {
    const own = await ada.make('Parties', { ...ME, displayName: 'A' });
    expect(await ada.make('Parties', ME)).toBe(own);
    expect(await ada.make('Parties', { ...ME, authId: 'ada' })).toBe(own);
    expect(await ada.post('Parties', { ...ME, authId: 'bob' })).toBe('BadRequestData');
    const [seen] = await nobody.list('Parties');
    expect(seen).toMatchObject({ id: own, displayName: 'A', authId: asUuid('ada') });
    // java.util.UUID.nameUUIDFromBytes("ada".getBytes())
    expect(asUuid('ada')).toBe('8c8d357b-5e87-3bba-8d45-197626bd5759');
    expect(asUuid('6BA7B810-9DAD-11D1-80B4-00C04FD430C8')).toBe('6ba7b810-9dad-11d1-80b4-00c04fd430c8');
    expect(await ada.patch(`Parties(${own})`, { displayName: null })).toBe('ok');
    expect(await ada.patch(`Parties(${own})`, { authId: 'bob' })).toBe('Forbidden');
    expect(await bob.patch(`Parties(${own})`, { displayName: 'mine' })).toBe('Forbidden');
    expect([await ada.remove(`Parties(${own})`), await admin.remove(`Parties(${own})`)]).toEqual(['Forbidden', 'ok']);
  });

  it('a Party is needed and must be the own, which cannot be given away', async () => {
    const his = await bob.make('Parties', ME);
    expect(await ada.post('Things', thing('t'))).toBe('BadRequestData');
    expect(await ada.post('Things', thing('t', { Party: ref(his) }))).toBe('Forbidden');
    expect(await ada.post(`Parties(${his})/Things`, thing('t'))).toBe('Forbidden');
    expect(await ada.post('Things', station({ Datastreams: [datastream('d')] }))).toBe('BadRequestData');
    expect([await nobody.list('Things'), (await nobody.list('Parties')).length]).toEqual([[], 1]);
    const own = await ada.make('Things', station());
    expect(await ada.patch(`Things(${own})`, { Party: ref(his) })).toBe('Forbidden');
    expect(await ada.patch(`Things(${own})`, { Party: null })).toBe('Forbidden');
    expect(await bob.patch(`Parties(${his})`, { Things: [ref(own)] })).toBe('Forbidden');
    expect(await admin.post('Things', thing('free'))).toBe('ok');
    // At the root without Parties it is the caller's without being told.
    const cy = as({ kind: 'user', id: 'cy' }, SENSING);
    const plain = await cy.make('Things', thing('plain', { Datastreams: [datastream('e')] }));
    expect(await cy.patch(`Things(${plain})`, { name: 'still plain' })).toBe('ok');
    expect(await as({ kind: 'user', id: 'ada' }, SENSING).patch(`Things(${plain})`, { name: 'x' })).toBe('Forbidden');
    expect((await nobody.list('Parties')).map(({ authId }) => authId)).toContain(asUuid('cy'));
  });

  it('each Party writes only its own part, also where one owns the Thing and another the Datastream', async () => {
    const truck = await ada.make('Things', thing('truck', { Party: ME, Locations: [place('yard', 1, 2)] }));
    const series = await bob.make(`Things(${truck})/Datastreams`, datastream('load', { Party: ME }));
    const observation = await bob.make(`Datastreams(${series})/Observations`, reading(1, 5));
    expect(await ada.post(`Datastreams(${series})/Observations`, reading(2, 6))).toBe('Forbidden');
    const rows = { Datastream: ref(series), components: ['result'], dataArray: [[1], [2]] };
    expect(await ada.bulk([rows])).toEqual([{ error: expect.stringContaining('another Party') }, { error: expect.anything() }]);
    expect((await bob.bulk([rows])).every((one) => 'number' in one)).toBe(true);
    const outcomes = async (who: typeof ada) => [
      await who.patch(`Observations(${observation})`, { result: 7 }),
      await who.patch(`Datastreams(${series})`, { name: 'x' }),
      await who.patch(`Datastreams(${series})/Sensor`, { description: 'x' }),
      await who.patch(`Observations(${observation})/FeatureOfInterest`, { description: 'x' }),
      await who.patch(`Things(${truck})`, { name: 'x' }),
      await who.post(`Things(${truck})/Locations`, place('away', 3, 4)),
      await who.post(`Things(${truck})/HistoricalLocations`, { time: day(1), Locations: [place('before', 3, 4)] }),
    ];
    const [ok, no] = ['ok', 'Forbidden'];
    expect(await outcomes(ada)).toEqual([no, no, no, no, ok, ok, ok]);
    expect(await outcomes(bob)).toEqual([ok, ok, ok, ok, no, no, no]);
    expect(await bob.remove(`Things(${truck})`)).toBe(no);
    expect(await ada.remove(`Observations(${observation})`)).toBe(no);
    expect(await ada.post('Relations', { role: 'r', Subject: ref(observation), externalResource: 'x' })).toBe(no);
    const relation = await bob.make('Relations', { role: 'r', Subject: ref(observation), externalResource: 'x' });
    expect([await ada.remove(`Relations(${relation})`), await bob.remove(`Relations(${relation})`)]).toEqual([no, ok]);
    const free = await ada.make('ObservedProperties', observed('free'));
    expect(await bob.patch(`ObservedProperties(${free})`, { description: 'x' })).toBe(ok);
    expect(await ada.patch(`Datastreams(${series})/ObservedProperty`, { description: 'x' })).toBe(no);
    expect(await ada.post('Sensors', sensor('free'))).toBe(ok);
  });

  it('what belongs to no Party is for administrators', async () => {
    const room = { id: 'urn:ngsi-ld:Room:1', type: 'Room', co2: { type: 'Property', value: 500, observedAt: day(1) } };
    expect((await broker.request('POST', '/ngsi-ld/v1/entities', room)).statusCode).toBe(201);
    const [{ id }] = (await nobody.list('Things')) as [Json];
    const [series] = await nobody.list('Datastreams');
    expect(await ada.patch(`Things(${id})`, { name: 'x' })).toBe('Forbidden');
    expect(await ada.post(`Datastreams(${series?.['id']})/Observations`, reading(2, 1))).toBe('Forbidden');
    expect(await admin.post(`Datastreams(${series?.['id']})/Observations`, reading(2, 1))).toBe('ok');
  });

  it('only its owner gathers in a group, until it has ended', async () => {
    await ada.make('Things', station());
    const [series] = await nobody.list('Datastreams');
    const first = await ada.make(`Datastreams(${series?.['id']})/Observations`, reading(1, 1));
    const own = await bob.make('ObservationGroups', group({ Party: ME }));
    expect(await bob.patch(`ObservationGroups(${own})`, { Observations: [ref(first)] })).toBe('ok');
    expect(
      await ada.post(`Datastreams(${series?.['id']})/Observations`, reading(2, 2, { ObservationGroups: [ref(own)] })),
    ).toBe('Forbidden');
    expect(await ada.unlink(`ObservationGroups(${own})/Observations(${first})`)).toBe('Forbidden');
    expect(await bob.patch(`ObservationGroups(${own})`, { endTime: day(2) })).toBe('ok');
    expect(await bob.unlink(`ObservationGroups(${own})/Observations(${first})`)).toBe('Forbidden');
    expect(await bob.patch(`ObservationGroups(${own})`, { name: 'x' })).toBe('Forbidden');
    expect(await admin.unlink(`ObservationGroups(${own})/Observations(${first})`)).toBe('ok');
  });

  it('a License holds from the first Observation on', async () => {
    const [by, nd] = await Promise.all(['by', 'nd'].map((name) => ada.make('Licenses', { name, definition: name })));
    await ada.make('Things', station({ Datastreams: [datastream('d', { Party: ME, License: ref(by as number) })] }));
    const [series] = await nobody.list('Datastreams');
    const at = `Datastreams(${series?.['id']})`;
    expect(await ada.patch(at, { License: ref(nd as number) })).toBe('ok');
    await ada.make(`${at}/Observations`, reading(1, 1));
    expect([await ada.patch(at, { License: ref(by as number) }), await ada.patch(at, { License: null })]).toEqual([
      'Conflict',
      'Conflict',
    ]);
    expect(await ada.patch(`Licenses(${by})`, { name: 'x' })).toBe('Forbidden');
    expect(await admin.patch(`Licenses(${by})`, { name: 'x' })).toBe('ok');
  });

  it('an installation that does not enforce ownership lets everybody do everything', async () => {
    const answer = await broker.request('POST', '/staplus/v1.1/Parties', { ...ME, authId: 'whoever' });
    expect([answer.statusCode, answer.json().authId]).toEqual([201, 'whoever']);
    const enforcing = await inMemoryBroker({ config: { staOwnership: true } });
    try {
      expect((await enforcing.request('POST', '/staplus/v1.1/Parties', ME)).statusCode).toBe(401);
      expect((await enforcing.request('POST', '/sta/v1.1/Things', thing('t'))).statusCode).toBe(401);
      const { serverSettings } = (await enforcing.request('GET', '/staplus/v1.1')).json();
      const { href } = serverSettings['http://www.opengis.net/spec/sensorthings-staplus/1.0/conf/business-logic'];
      const rules = await enforcing.request('GET', href.replace(/^https?:\/\/[^/]+/, ''));
      expect(rules.body).toContain('belong to a Party');
    } finally {
      await enforcing[Symbol.asyncDispose]();
    }
  });
});
