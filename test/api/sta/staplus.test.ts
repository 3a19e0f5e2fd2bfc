import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { inMemoryBroker, type TestBroker } from '../../support/broker.ts';
import { datastream, day, type Json, observed, place, reading, sensor, staClient, thing } from '../../support/sta.ts';

const PLUS = '/staplus/v1.1';
const SETS = 'TaskingCapabilities Tasks Actuators Parties Licenses Campaigns ObservationGroups Relations'.split(' ');

const party = (displayName: string, more: Json = {}): Json => ({ role: 'individual', displayName, ...more });
const license = (name: string): Json => ({ name, definition: `https://creativecommons.org/licenses/${name}/4.0/` });
const campaign = (name: string, more: Json = {}): Json => ({
  name,
  description: name,
  termsOfUse: 'none',
  creationTime: day(1),
  ...more,
});
const group = (name: string, more: Json = {}): Json => ({ name, description: name, creationTime: day(1), ...more });
const ref = (id: number): Json => ({ '@iot.id': id });

describe('STAplus (OGC 22-022r1)', () => {
  let broker: TestBroker;
  let sta: ReturnType<typeof staClient>;
  let plain: ReturnType<typeof staClient>;
  let mast: number;
  let series: number;
  let [first, second] = [0, 0];

  beforeEach(async () => {
    broker = await inMemoryBroker();
    sta = staClient(broker, PLUS);
    plain = staClient(broker);
    mast = await sta.post(
      'Things',
      thing('mast', {
        Party: party('Ada'),
        Locations: [place('here', 1, 2)],
        Datastreams: [datastream('d', { License: license('by') })],
      }),
    );
    series = (await sta.list(`Things(${mast})/Datastreams`))[0]?.['@iot.id'] as number;
    [first, second] = [
      await sta.post(`Datastreams(${series})/Observations`, reading(1, 1)),
      await sta.post(`Datastreams(${series})/Observations`, reading(2, 2)),
    ];
  });
  afterEach(() => broker[Symbol.asyncDispose]());

  const names = async (url: string) =>
    (await sta.list(url)).map((one) => one['name'] ?? one['displayName'] ?? one['result'] ?? one['role']);
  const ids = async (url: string) => (await sta.list(url)).map((one) => one['@iot.id']);

  it('its root has all sets, and the sensing root none of them nor links to them: same ids, same data', async () => {
    const sets = async (root: string) => (await broker.request('GET', root)).json();
    const plus = await sets(PLUS);
    const sensing = await sets('/sta/v1.1');
    expect(plus.value.map(({ name }: Json) => name)).toEqual([...sensing.value.map(({ name }: Json) => name), ...SETS]);
    const classes = ['core', 'create', 'update', 'delete'].map(
      (name) => `http://www.opengis.net/spec/sensorthings-staplus/1.0/conf/${name}`,
    );
    expect(plus.serverSettings.conformance).toEqual(expect.arrayContaining(classes));
    expect(sensing.serverSettings.conformance.filter((one: string) => one.includes('staplus'))).toEqual([]);
    expect(JSON.stringify(plus.serverSettings)).not.toContain('business-logic');
    for (const set of SETS) expect((await plain.refused('GET', set))[0]).toBe(404);
    const seen = await plain.get(`Things(${mast})`);
    expect(Object.keys(seen).filter((name) => /Party|Tasking/.test(name))).toEqual([]);
    expect(seen['properties']).toBeUndefined();
    expect(Object.keys(await sta.get(`Things(${mast})`))).toEqual(
      expect.arrayContaining(['Party@iot.navigationLink', 'TaskingCapabilities@iot.navigationLink']),
    );
    expect((await plain.refused('POST', 'Things', thing('t', { Party: party('Bob') })))[0]).toBe(400);
    expect(await ids('Observations?$orderby=id')).toEqual(
      (await plain.list('Observations?$orderby=id')).map((one) => one['@iot.id']),
    );
  });

  it('everything is linked both ways, by deep insert, by reference and by the place that it is posted to', async () => {
    const owner = (await ids('Parties'))[0] as number;
    expect(await names(`Parties(${owner})/Things`)).toEqual(['mast']);
    expect(await sta.get(`Things(${mast})/Party`)).toMatchObject({ role: 'individual', displayName: 'Ada' });
    expect(await sta.get(`Datastreams(${series})/License/name`)).toEqual({ name: 'by' });
    expect((await sta.refused('GET', `Datastreams(${series})/Party`))[0]).toBe(404);
    const made = await sta.post(
      `Parties(${owner})/Campaigns`,
      campaign('spring', {
        Datastreams: [ref(series)],
        License: license('by-sa'),
        ObservationGroups: [
          group('good ones', {
            Observations: [ref(first)],
            Relations: [{ role: 'follows', Subject: ref(second), Object: ref(first) }],
          }),
        ],
      }),
    );
    expect(await names(`Campaigns(${made})/Datastreams`)).toEqual(['d']);
    expect(await names(`Datastreams(${series})/Campaigns`)).toEqual(['spring']);
    expect(await sta.get(`Campaigns(${made})/Party/displayName`)).toEqual({ displayName: 'Ada' });
    const [good] = await ids(`Campaigns(${made})/ObservationGroups`);
    expect(await names(`ObservationGroups(${good})/Campaigns`)).toEqual(['spring']);
    expect(await names(`Observations(${first})/ObservationGroups`)).toEqual(['good ones']);
    await sta.patch(`ObservationGroups(${good})`, { Observations: [ref(second)] });
    expect(await names(`ObservationGroups(${good})/Observations?$orderby=result desc`)).toEqual([2, 1]);
    expect(await names(`Observations(${second})/Objects`)).toEqual(['follows']);
    expect(await names(`Observations(${first})/Subjects`)).toEqual(['follows']);
    expect([await names(`Observations(${second})/Subjects`), await names(`Observations(${first})/Objects`)]).toEqual([[], []]);
    const [relation] = await ids(`ObservationGroups(${good})/Relations`);
    expect(await sta.get(`Relations(${relation})/Subject/Datastream/Thing/Party/displayName`)).toEqual({ displayName: 'Ada' });
    expect(await sta.get(`Relations(${relation})/Object`)).toMatchObject({ result: 1 });
    expect(await names(`Relations(${relation})/ObservationGroups`)).toEqual(['good ones']);
    const more = await sta.post(`Observations(${first})/Objects`, {
      role: 'isShownBy',
      externalResource: 'https://example.org/photo',
    });
    expect((await sta.refused('GET', `Relations(${more})/Object`))[0]).toBe(404);
    const third = await sta.post(
      'Observations',
      reading(3, 3, { Datastream: ref(series), ObservationGroups: [ref(good as number)] }),
    );
    expect(await names(`ObservationGroups(${good})/Observations`)).toEqual([1, 2, 3]);
    // Paging through members goes on where it ended.
    const page = await sta.get(`ObservationGroups(${good})/Observations?$top=2`);
    const next = await sta.get(String(page['@iot.nextLink']));
    expect((next['value'] as Json[]).map((one) => one['@iot.id'])).toEqual([third]);
    expect(next['@iot.nextLink']).toBeUndefined();
    await sta.patch(`Datastreams(${series})`, { Party: ref(owner) });
    expect(await names(`Parties(${owner})/Datastreams`)).toEqual(['d']);
    await sta.patch(`Datastreams(${series})`, { Party: null });
    expect(await names(`Parties(${owner})/Datastreams`)).toEqual([]);
  });

  it('filters, expansions and orders go through the links', async () => {
    await sta.post('Things', thing('other', { Party: party('Bob', { role: 'institutional' }) }));
    const by = (filter: string, set = 'Things') => names(`${set}?$filter=${filter}`);
    expect(await by("Party/displayName eq 'Ada'")).toEqual(['mast']);
    expect(await by("Party/role eq 'institutional'")).toEqual(['other']);
    expect(await by("Datastream/License/name eq 'by' and Datastream/Thing/Party/displayName eq 'Ada'", 'Observations')).toEqual(
      [1, 2],
    );
    expect(await by("Things/any(t: t/name eq 'other')", 'Parties')).toEqual(['Bob']);
    const made = await sta.post('ObservationGroups', group('g', { endTime: day(9), Observations: [ref(second)] }));
    expect(await by("ObservationGroups/name eq 'g'", 'Observations')).toEqual([2]);
    expect(await by(`endTime gt ${day(8)}`, 'ObservationGroups')).toEqual(['g']);
    expect(await by(`endTime gt ${day(10)}`, 'ObservationGroups')).toEqual([]);
    expect(
      await sta.get(
        `ObservationGroups(${made})?$select=name&$expand=Observations($select=result;$expand=Datastream($select=name))`,
      ),
    ).toEqual({
      name: 'g',
      Observations: [{ result: 2, Datastream: { name: 'd' } }],
    });
    expect(await names('Things?$orderby=Party/displayName desc')).toEqual(['other', 'mast']);
    const csv = await broker.request('GET', `${PLUS}/Things?$select=name&$expand=Party($select=displayName)&$resultFormat=CSV`);
    expect(csv.body).toBe('name,Party/displayName\r\nmast,Ada\r\nother,Bob\r\n');
  });

  it('what lacks something or contradicts itself is refused, and nothing is stored', async () => {
    const before = await Promise.all(SETS.map((set) => sta.count(set)));
    const bad: readonly (readonly [string, Json, string])[] = [
      ['Parties', { displayName: 'x' }, 'role'],
      ['Parties', party('x', { role: 'robot' }), 'robot'],
      ['Parties', party('x', { properties: {} }), 'properties'],
      ['Licenses', { name: 'x' }, 'definition'],
      ['Campaigns', { ...campaign('x'), termsOfUse: undefined }, 'termsOfUse'],
      ['Campaigns', campaign('x', { creationTime: 'today' }), 'creationTime'],
      ['ObservationGroups', { ...group('x'), creationTime: undefined }, 'creationTime'],
      ['ObservationGroups', group('x', { Observations: [ref(99)] }), '99'],
      ['Relations', { role: 'r', Object: ref(first) }, 'Subject'],
      ['Relations', { role: 'r', Subject: ref(first) }, 'externalResource'],
      ['Relations', { role: 'r', Subject: ref(first), Object: ref(second), externalResource: 'x' }, 'externalResource'],
      ['Relations', { Subject: ref(first), Object: ref(second) }, 'role'],
      ['Locations', { ...place('x', 1, 2), encodingType: 'application/vnd.geo+json' }, 'encodingType'],
      ['FeaturesOfInterest', { name: 'f', description: 'f', encodingType: 'text/plain', feature: 'here' }, 'encodingType'],
    ];
    for (const [set, body, word] of bad)
      expect(await sta.refused('POST', set, body)).toEqual([400, expect.stringContaining(word)]);
    expect(await Promise.all(SETS.map((set) => sta.count(set)))).toEqual(before);
    const relation = await sta.post('Relations', { role: 'r', Subject: ref(first), Object: ref(second) });
    expect((await sta.refused('PATCH', `Relations(${relation})`, { externalResource: 'x' }))[0]).toBe(400);
    await sta.patch(`Relations(${relation})`, { externalResource: 'x', Object: null });
    expect((await sta.refused('GET', `Relations(${relation})/Object`))[0]).toBe(404);
  });

  it('members are taken in and out by $ref, and both stay', async () => {
    const made = await sta.post('Campaigns', campaign('c'));
    expect((await sta.request('POST', `Campaigns(${made})/Datastreams/$ref`, ref(series))).statusCode).toBe(204);
    expect(await names(`Datastreams(${series})/Campaigns`)).toEqual(['c']);
    expect((await sta.refused('DELETE', `Campaigns(${made})/Datastreams(${mast})/$ref`))[0]).toBe(404);
    expect((await sta.request('DELETE', `Campaigns(${made})/Datastreams/$ref?$id=Datastreams(${series})`)).statusCode).toBe(
      204,
    );
    expect([await names(`Datastreams(${series})/Campaigns`), await sta.count('Datastreams')]).toEqual([[], 1]);
    await sta.patch(`Datastreams(${series})`, { Campaigns: [ref(made)] });
    expect((await sta.request('DELETE', `Datastreams(${series})/Campaigns(${made})/$ref`)).statusCode).toBe(204);
    expect(await names(`Campaigns(${made})/Datastreams`)).toEqual([]);
    expect((await sta.refused('DELETE', `Things(${mast})/Datastreams(${series})/$ref`))[0]).toBe(400);
  });

  it('deletions take along what cannot be without, leave the rest, and refuse a Party or License in use', async () => {
    const made = await sta.post('ObservationGroups', group('g', { Observations: [ref(first), ref(second)] }));
    const relate = () =>
      sta.post('Relations', { role: 'r', Subject: ref(second), Object: ref(first), ObservationGroups: [ref(made)] });
    await relate();
    const [owner, terms] = [(await ids('Parties'))[0], (await ids('Licenses'))[0]];
    expect(await sta.refused('DELETE', `Parties(${owner})`)).toEqual([409, expect.stringContaining('Things')]);
    expect((await sta.refused('DELETE', `Licenses(${terms})`))[0]).toBe(409);
    // Also from the root that knows nothing of them.
    await plain.remove(`Observations(${first})`);
    expect([await sta.count('Relations'), await names(`ObservationGroups(${made})/Observations`)]).toEqual([0, [2]]);
    first = await sta.post(`Datastreams(${series})/Observations`, reading(4, 4));
    await relate();
    await sta.remove(`ObservationGroups(${made})`);
    expect([await sta.count('Relations'), await sta.count('Observations')]).toEqual([1, 2]);
    const holder = await sta.post('Campaigns', campaign('c', { Datastreams: [ref(series)] }));
    await plain.remove(`Datastreams(${series})`);
    expect([await sta.count('Relations'), await names(`Campaigns(${holder})/Datastreams`)]).toEqual([0, []]);
    await sta.remove(`Licenses(${terms})`);
    const actuator = await sta.post('Actuators', { ...sensor('valve') });
    const able = await sta.post('TaskingCapabilities', {
      name: 'open',
      description: 'opens',
      taskingParameters: { type: 'DataRecord', field: [] },
      Thing: ref(mast),
      Actuator: ref(actuator),
    });
    expect(await names(`Things(${mast})/TaskingCapabilities`)).toEqual(['open']);
    expect(able).toBeGreaterThan(0);
    await plain.remove(`Things(${mast})`);
    expect([await sta.count('TaskingCapabilities'), await sta.count('Actuators')]).toEqual([0, 1]);
    await sta.remove(`Parties(${owner})`);
    expect(await sta.count('Parties')).toBe(0);
  });

  it('they are NGSI-LD entities, also for what NGSI-LD measured; a computed Datastream can be in a Campaign', async () => {
    const room = { id: 'urn:ngsi-ld:Room:1', type: 'Room', co2: { type: 'Property', value: 500, observedAt: day(1) } };
    expect((await broker.request('POST', '/ngsi-ld/v1/entities', room)).statusCode).toBe(201);
    const [computed] = await ids("Datastreams?$filter=Thing/name eq '1'");
    const made = await sta.post('Campaigns', campaign('indoor', { Datastreams: [ref(computed as number), ref(series)] }));
    expect((await names(`Campaigns(${made})/Datastreams`)).sort()).toEqual(['1 co2', 'd']);
    expect(await names(`Datastreams(${computed})/Campaigns`)).toEqual(['indoor']);
    const [entity] = (await broker.request('GET', '/ngsi-ld/v1/entities?type=Campaign&q=name=="indoor"')).json();
    expect(entity).toMatchObject({ termsOfUse: { value: 'none' }, datastreams: { type: 'Relationship' } });
    const [found] = await ids('Observations?$filter=result eq 500');
    const relation = await sta.post('Relations', { role: 'r', Subject: ref(found as number), externalResource: 'x' });
    expect((await broker.request('DELETE', '/ngsi-ld/v1/entities/urn:ngsi-ld:Room:1')).statusCode).toBe(204);
    expect((await sta.refused('GET', `Relations(${relation})`))[0]).toBe(404);
    expect(await names(`Campaigns(${made})/Datastreams`)).toEqual(['d']);
  });

  it('a change set links what it makes', async () => {
    const parts = [
      { id: 'p', atomicityGroup: 'g', method: 'post', url: 'Parties', body: party('Cy') },
      { id: 't', atomicityGroup: 'g', method: 'post', url: 'Things', body: thing('t', { Party: { '@iot.id': '$p' } }) },
      { id: 'o', atomicityGroup: 'g', method: 'post', url: 'ObservedProperties', body: observed('x') },
    ];
    expect((await sta.request('POST', '$batch', { requests: parts })).statusCode).toBe(200);
    expect(await names("Things?$filter=Party/displayName eq 'Cy'")).toEqual(['t']);
  });
});
