import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { inMemoryBroker, type TestBroker } from '../../support/broker.ts';
import { day, type Json, sensor, staClient, thing } from '../../support/sta.ts';

const PLACE = { 'fiware-service': 'city', 'fiware-servicepath': '/' };
const LAMP = 'urn:ngsi-ld:Lamp:lamp3';
const WAIT = { timeout: 10_000, interval: 10 };
const ref = (id: number): Json => ({ '@iot.id': id });
const able = (name: string, field: readonly Json[], more: Json): Json => ({
  name,
  description: name,
  taskingParameters: { type: 'DataRecord', field },
  ...more,
});

describe('SensorThings Tasking (OGC 17-079r1)', () => {
  let broker: TestBroker;
  let sta: ReturnType<typeof staClient>;

  beforeEach(async () => {
    broker = await inMemoryBroker();
    sta = staClient(broker, '/city/staplus/v1.1');
    const group = {
      resource: '/iot/json',
      apikey: 'lampKey',
      entity_type: 'Lamp',
      commands: [
        { name: 'dim', type: 'command' },
        { name: 'blink', type: 'command' },
      ],
    };
    expect((await broker.request('POST', '/iot/groups', { groups: [group] }, PLACE)).statusCode).toBe(201);
    expect((await broker.request('POST', '/iot/devices', { devices: [{ device_id: 'lamp3' }] }, PLACE)).statusCode).toBe(201);
  });
  afterEach(() => broker[Symbol.asyncDispose]());

  /** What the device is told when it asks. */
  const asked = async () => (await broker.request('GET', '/iot/json?k=lampKey&i=lamp3&getCmd=1')).json();
  const answers = async (body: Json) =>
    expect((await broker.request('POST', '/iot/json/commands?k=lampKey&i=lamp3', body)).statusCode).toBe(200);
  const first = async (url: string) => (await sta.list(url))[0] as Json;
  const idOf = async (url: string) => (await first(url))['@iot.id'] as number;
  const becomes = (task: number, wanted: Json) =>
    vi.waitFor(async () => expect(await sta.get(`Tasks(${task})?$select=status,info`)).toEqual(wanted), WAIT);

  it('a device provisioned with commands is a Thing with TaskingCapabilities and an Actuator before it has said anything', async () => {
    const lamp = await first('Things?$expand=TaskingCapabilities($orderby=name;$expand=Actuator),Datastreams');
    expect(lamp).toMatchObject({
      name: 'lamp3',
      Datastreams: [],
      TaskingCapabilities: [
        { name: 'blink', Actuator: { name: 'lamp3' } },
        { name: 'dim', taskingParameters: { type: 'DataRecord', field: [{ name: 'dim' }] }, Actuator: { name: 'lamp3' } },
      ],
    });
    // Every link leads back.
    const dim = await idOf("TaskingCapabilities?$filter=name eq 'dim'");
    for (const path of [`TaskingCapabilities(${dim})/Thing`, `TaskingCapabilities(${dim})/Actuator`]) {
      const found = await sta.get(path);
      expect(await sta.get(String(found['@iot.selfLink']).replace(/^.*\/v1\.1\//, ''))).toEqual(found);
    }
    const actuator = await idOf('Actuators');
    expect((await sta.list(`Actuators(${actuator})/TaskingCapabilities`)).map(({ name }) => name).sort()).toEqual([
      'blink',
      'dim',
    ]);
    expect([await sta.count('TaskingCapabilities'), await sta.count('Actuators')]).toEqual([2, 1]);
    expect((await sta.refused('DELETE', `TaskingCapabilities(${dim})`))[0]).toBe(409);
    expect((await sta.refused('PATCH', `Actuators(${actuator})`, { name: 'x' }))[0]).toBe(409);
    // Another tenant has none of it, nor has the root without Tasking.
    expect(await staClient(broker, '/staplus/v1.1').count('TaskingCapabilities')).toBe(0);
    expect((await staClient(broker, '/city/sta/v1.1').refused('GET', 'TaskingCapabilities'))[0]).toBe(404);
    const { serverSettings } = (await broker.request('GET', '/staplus/v1.1')).json();
    expect(serverSettings.conformance).toContain('http://www.opengis.net/spec/iot_tasking/1.0/req/create-tasks');
  });

  it('a Task is a command to the device, and follows its acknowledgement', async () => {
    const dim = await idOf("TaskingCapabilities?$filter=name eq 'dim'");
    const task = await sta.post(`TaskingCapabilities(${dim})/Tasks`, { taskingParameters: { dim: { level: 40 } } });
    expect(await sta.get(`Tasks(${task})`)).toMatchObject({
      taskingParameters: { dim: { level: 40 } },
      status: 'PENDING',
      creationTime: expect.stringMatching(/Z$/),
    });
    expect(await asked()).toEqual({ dim: { level: 40 } });
    await becomes(task, { status: 'DELIVERED' });
    await answers({ dim: 'done' });
    await becomes(task, { status: 'OK', info: 'done' });
    const second = await sta.post('Tasks', {
      taskingParameters: { dim: 0 },
      TaskingCapability: ref(dim),
      creationTime: day(1),
    });
    expect(await asked()).toEqual({ dim: 0 });
    await answers({ dim: { status: 'ERROR', info: 'jammed' } });
    await becomes(second, { status: 'ERROR', info: 'jammed' });
    expect((await sta.list(`TaskingCapabilities(${dim})/Tasks?$filter=status eq 'OK'`)).map((one) => one['@iot.id'])).toEqual([
      task,
    ]);
    expect(await sta.get(`Tasks(${second})/TaskingCapability`)).toMatchObject({ '@iot.id': dim });
    // An NGSI-LD command is no Task; a Task is an NGSI-LD entity.
    const tenant = { 'ngsild-tenant': 'city' };
    await broker.request('PATCH', `/ngsi-ld/v1/entities/${LAMP}/attrs/dim`, { type: 'Property', value: 1 }, tenant);
    expect(await sta.count('Tasks')).toBe(2);
    const entities = (await broker.request('GET', '/ngsi-ld/v1/entities?type=Task&q=status=="OK"', undefined, tenant)).json();
    expect(entities).toMatchObject([{ taskingCapability: { type: 'Relationship' }, info: { value: 'done' } }]);
    expect((await sta.refused('PATCH', `Tasks(${task})`, { taskingParameters: { dim: 2 } }))[0]).toBe(409);
    await sta.remove(`Tasks(${task})`);
    expect(await sta.count('Tasks')).toBe(1);
  });

  it('a TaskingCapability that a client describes has its parameters checked, and asks for the commands of that name', async () => {
    const lamp = await idOf('Things');
    const actuator = await sta.post('Actuators', sensor('driver'));
    const fields = [
      { type: 'Quantity', name: 'dim', constraint: { type: 'AllowedValues', interval: [[0, 100]] } },
      { type: 'Category', name: 'blink', optional: true, constraint: { type: 'AllowedTokens', value: ['fast', 'slow'] } },
    ];
    const both = await sta.post('TaskingCapabilities', able('show', fields, { Thing: ref(lamp), Actuator: ref(actuator) }));
    expect((await sta.list(`Things(${lamp})/TaskingCapabilities`)).map(({ name }) => name).sort()).toEqual([
      'blink',
      'dim',
      'show',
    ]);
    const bad: readonly (readonly [Json, string])[] = [
      [{ blink: 'fast' }, 'dim'],
      [{ dim: 'much' }, 'number'],
      [{ dim: 101 }, '0 to 100'],
      [{ dim: 1, blink: 'twice' }, 'fast, slow'],
      [{ dim: 1, colour: 'red' }, 'colour'],
    ];
    for (const [taskingParameters, word] of bad) {
      expect(await sta.refused('POST', `TaskingCapabilities(${both})/Tasks`, { taskingParameters })).toEqual([
        400,
        expect.stringContaining(word),
      ]);
    }
    expect((await sta.refused('POST', 'Tasks', { taskingParameters: { dim: 1 } }))[0]).toBe(400);
    expect([await sta.count('Tasks'), await asked()]).toEqual([0, {}]);
    const task = await sta.post(`TaskingCapabilities(${both})/Tasks`, { taskingParameters: { dim: 50, blink: 'slow' } });
    expect(await asked()).toEqual({ dim: 50, blink: 'slow' });
    await answers({ dim: 'ok' });
    await becomes(task, { status: 'DELIVERED', info: 'ok' });
    await answers({ blink: 'ok too' });
    await becomes(task, { status: 'OK', info: 'ok too' });
    // A Thing without a device: the Task is kept, and nobody says that anything is done.
    const lone = await sta.post(
      'Things',
      thing('lone', { TaskingCapabilities: [able('wave', [], { Actuator: ref(actuator) })] }),
    );
    const wave = await idOf(`Things(${lone})/TaskingCapabilities`);
    const kept = await sta.post(`TaskingCapabilities(${wave})/Tasks`, { taskingParameters: {} });
    expect(await sta.get(`Tasks(${kept})/TaskingCapability/name`)).toEqual({ name: 'wave' });
    expect((await sta.request('GET', `Tasks(${kept})/status`)).statusCode).toBe(204);
    await sta.remove(`Actuators(${actuator})`);
    expect([await sta.count('TaskingCapabilities'), await sta.count('Tasks')]).toEqual([2, 0]);
    expect((await sta.refused('POST', 'TaskingCapabilities', able('x', [], { Thing: ref(lamp) })))[1]).toContain('Actuator');
  });

  it('when the device cannot take any more, there is no Task', async () => {
    const dim = await idOf("TaskingCapabilities?$filter=name eq 'dim'");
    const tenant = { 'ngsild-tenant': 'city' };
    let last = 204;
    for (let n = 0; n < 200 && last === 204; n++) {
      last = (await broker.request('PATCH', `/ngsi-ld/v1/entities/${LAMP}/attrs/dim`, { type: 'Property', value: n }, tenant))
        .statusCode;
    }
    expect((await sta.refused('POST', `TaskingCapabilities(${dim})/Tasks`, { taskingParameters: { dim: 1 } }))[0]).toBe(429);
    expect(await sta.count('Tasks')).toBe(0);
  });

  it('Tasks are created and followed over MQTT', async () => {
    const dim = await idOf("TaskingCapabilities?$filter=name eq 'dim'");
    const { topics } = broker.broker.sensorThings;
    expect(topics.maySubscribe('city/staplus/v1.1/Tasks(1)/status')).toBe(true);
    await topics.publish(`city/staplus/v1.1/TaskingCapabilities(${dim})/Tasks`, '{"taskingParameters":{"dim":7}}');
    expect([await sta.count('Tasks'), await asked()]).toEqual([1, { dim: 7 }]);
    // The device goes, and so does what it could be asked to do; the entity stays.
    expect((await broker.request('DELETE', '/iot/devices/lamp3', undefined, PLACE)).statusCode).toBe(204);
    expect(await sta.count('TaskingCapabilities')).toBe(0);
  });
});
