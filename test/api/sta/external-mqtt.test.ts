import mqtt, { type MqttClient } from 'mqtt';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { inMemoryBroker, type TestBroker } from '../../support/broker.ts';
import { hasMosquitto, type Mosquitto, startMosquitto } from '../../support/mosquitto.ts';
import { datastream, day, type Json, observed, place, reading, sensor, staClient, thing } from '../../support/sta.ts';

const WAIT = { timeout: 20_000, interval: 20 };
/** Of each test: a broker and a Mosquitto start in it, perhaps beside much else. */
const PATIENCE = { timeout: 60_000 };
const MARKS = 'v1.1/ObservedProperties';
/** What an operator adds so that topics with options need not be configured one by one. */
const TELLS_SUBSCRIPTIONS = ['log_dest topic', 'log_type subscribe'];

describe.skipIf(!hasMosquitto('SensorThings on an external MQTT broker'))(
  'SensorThings on an external MQTT broker (needs mosquitto)',
  PATIENCE,
  () => {
    let mosquitto: Mosquitto;
    let broker: TestBroker;
    let sta: ReturnType<typeof staClient>;
    let client: MqttClient;
    let heard: [string, Json][];
    let series: number;
    let thingId: number;

    async function start(lines: readonly string[] = [], staMqttTopics: readonly string[] = ['all']): Promise<void> {
      mosquitto = await startMosquitto(lines);
      broker = await inMemoryBroker({
        config: { staMqttUrl: `mqtt://127.0.0.1:${mosquitto.port}`, staMqttTopics, mqtt: false },
      });
      sta = staClient(broker);
      await broker.broker.listen();
      await connected('ok');
      client = await mqtt.connectAsync(`mqtt://127.0.0.1:${mosquitto.port}`);
      heard = [];
      client.on('message', (topic, payload) => heard.push([topic, JSON.parse(payload.toString())]));
      thingId = await sta.post('Things', thing('t', { Locations: [place('a', 1, 2)], Datastreams: [datastream('d')] }));
      series = (await sta.list(`Things(${thingId})/Datastreams`))[0]?.['@iot.id'] as number;
      if (staMqttTopics.includes('all')) await settled();
    }
    const connected = (status: string) =>
      vi.waitFor(
        async () => expect((await broker.request('GET', '/health')).json().checks.externalMqtt.status).toBe(status),
        WAIT,
      );

    beforeEach(() => {
      heard = [];
    });
    afterEach(async () => {
      client?.end(true);
      await broker[Symbol.asyncDispose]();
      await mosquitto.stop();
    });

    /**
     * Everything so far was published, and what was published has come: a mark that went the same way, behind it. One of our own would overtake what is still
     * on its way from Mizar.
     */
    async function settled(): Promise<void> {
      const name = `mark${Math.random()}`;
      await client.subscribeAsync(MARKS, { qos: 1 });
      await sta.post('ObservedProperties', observed(name));
      await vi.waitFor(() => expect(heard.some(([topic, said]) => topic === MARKS && said['name'] === name)).toBe(true), WAIT);
      heard = heard.filter(([topic]) => topic !== MARKS);
    }
    /** Each once: a store that tells of its changes one by one may have a Datastream told of twice. */
    const topics = () => [...new Set(heard.map(([topic]) => topic))].sort();

    it('sets, collections of an entity, entities and properties are heard when something is made or changed', async () => {
      await start();
      const wanted = [
        'v1.1/Observations',
        `v1.1/Datastreams(${series})/Observations`,
        `v1.1/Datastreams(${series})`,
        `v1.1/Datastreams(${series})/phenomenonTime`,
        `v1.1/Things(${thingId})/Datastreams`,
        `v1.1/Things(${thingId})/name`,
        `staplus/v1.1/Things(${thingId})`,
      ];
      await client.subscribeAsync(wanted, { qos: 1 });
      const made = await sta.post(`Datastreams(${series})/Observations`, reading(1, 5));
      await settled();
      expect(topics()).toEqual(wanted.slice(0, 5).sort());
      const said = Object.fromEntries(heard);
      expect(said['v1.1/Observations']).toEqual(await sta.get(`Observations(${made})`).then((one) => withHost(one, said)));
      expect(said[`v1.1/Datastreams(${series})/phenomenonTime`]).toEqual({ phenomenonTime: `${day(1)}/${day(1)}` });
      heard = [];
      await sta.patch(`Things(${thingId})`, { name: 'u' });
      await settled();
      expect(topics()).toEqual([`v1.1/Things(${thingId})/name`, `staplus/v1.1/Things(${thingId})`].sort());
      expect(heard.find(([topic]) => topic.startsWith('staplus'))?.[1]).toMatchObject({
        'Party@iot.navigationLink': expect.stringContaining('/staplus/v1.1/'),
      });
      heard = [];
      await sta.remove(`Observations(${made})`);
      await sta.post('Sensors', sensor('nobody listens to this'));
      await settled();
      expect(topics().filter((topic) => topic.includes('Observations'))).toEqual([]);
    });

    /** The broker writes links with its own address there, and with that of the request over HTTP. */
    function withHost(json: Json, said: Record<string, Json>): Json {
      const host = /^http:\/\/[^/]+/.exec(String(said['v1.1/Observations']?.['@iot.selfLink']))?.[0] as string;
      return JSON.parse(JSON.stringify(json).replaceAll('http://localhost:80', host)) as Json;
    }

    it('what is published there is created once, whoever publishes; what is refused, retained or our own is not', async () => {
      await start();
      await client.subscribeAsync('v1.1/Observations', { qos: 1 });
      await client.publishAsync(`v1.1/Datastreams(${series})/Observations`, JSON.stringify(reading(1, 5)), { qos: 1 });
      await client.publishAsync(
        `v1.1/Datastreams(${series})/Observations`,
        JSON.stringify({ result: 1, phenomenonTime: 'x' }),
        { qos: 1 },
      );
      await client.publishAsync(`v1.1/Datastreams(${series})/Observations`, 'nonsense', { qos: 1 });
      await client.publishAsync('else/v2/Observations', '{}', { qos: 1 });
      await client.publishAsync('city/v1.1/Things', JSON.stringify(thing('in the city')), { qos: 1 });
      await client.publishAsync('staplus/v1.1/Parties', JSON.stringify({ role: 'individual' }), { qos: 1 });
      await vi.waitFor(async () => expect(await staClient(broker, '/staplus/v1.1').count('Parties')).toBe(1), WAIT);
      await vi.waitFor(async () => expect(await staClient(broker, '/city/sta/v1.1').count('Things')).toBe(1), WAIT);
      await settled();
      expect(await sta.count('Observations')).toBe(1);
      // One message for one Observation: had we taken our own publication for a request, there would be more and more.
      expect(heard.map(([, { result }]) => result)).toEqual([5]);
      await client.publishAsync('v1.1/Sensors', JSON.stringify(sensor('kept')), { qos: 1, retain: true });
      await vi.waitFor(async () => expect(await sta.count('Sensors')).toBe(2), WAIT);
    });

    it('$select works for topics that are configured, and for those that the broker tells of', async () => {
      const configured = 'v1.1/Observations?$select=result';
      await start(TELLS_SUBSCRIPTIONS, [configured]);
      const learned = `v1.1/Things(${thingId})/Datastreams?$select=name`;
      await client.subscribeAsync([configured, learned, 'v1.1/Observations', `v1.1/Nothing?$select=x`], { qos: 1 });
      // The broker tells of a subscription a moment later.
      let n = 1;
      await vi.waitFor(async () => {
        await sta.post(`Datastreams(${series})/Observations`, reading(n++, 7));
        await broker.broker.sensorThings.idle();
        expect(topics()).toEqual(expect.arrayContaining([configured, learned, 'v1.1/Observations']));
      }, WAIT);
      expect(Object.fromEntries(heard)).toMatchObject({ [configured]: { result: 7 }, [learned]: { name: 'd' } });
      expect(Object.keys(Object.fromEntries(heard)[configured] as Json)).toEqual(['result']);
    });

    it('a broker that goes away is reported, and found again when it is back', async () => {
      await start();
      await mosquitto.stop();
      await connected('failing');
      expect((await broker.request('GET', '/health')).json().status).toBe('degraded');
      // Nothing waits for it meanwhile.
      await sta.post(`Datastreams(${series})/Observations`, reading(1, 1));
      await broker.broker.sensorThings.idle();
      mosquitto = await startMosquitto([], mosquitto.port);
      await connected('ok');
      await vi.waitFor(() => expect(client.connected).toBe(true), WAIT);
      await client.publishAsync(`v1.1/Datastreams(${series})/Observations`, JSON.stringify(reading(2, 2)), { qos: 1 });
      await vi.waitFor(async () => expect(await sta.count('Observations')).toBe(2), WAIT);
      const { serverSettings } = (await broker.request('GET', '/sta/v1.1')).json();
      const [endpoint] =
        serverSettings['http://www.opengis.net/spec/iot_sensing/1.1/req/receive-updates-via-mqtt/receive-updates'].endpoints;
      expect(endpoint).toBe(`mqtt://127.0.0.1:${mosquitto.port}`);
    });
  },
);
