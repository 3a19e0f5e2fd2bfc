/** SensorThings: many Observations in one request, the newest of each Datastream, a filter through an index, and the thousandth page. */
import { join } from 'node:path';
import type { BrokerProcess } from '../support/broker-process.ts';
import { datastream, place, thing } from '../support/sta.ts';
import { here, JSON_HEADERS, output, type Rows, withBroker } from './harness.ts';
import { median } from './row.ts';

/** Datastreams of one Thing, and rows of one data array for each Datastream in it. */
const PER_THING = 10;
const PER_SERIES = 100;
const SERIES_AT_ONCE = 100;
const EXPAND = '$expand=Observations($top=1;$orderby=phenomenonTime desc)';

export const sensorThings: Rows = async function* (bench) {
  const names = {
    array: 'sensorthings: dataArray',
    expand: 'sensorthings: newest of 100 Datastreams',
    filter: 'sensorthings: Observations by Datastream and time',
    page: 'sensorthings: page 1 000 to page 1',
  };
  if (!Object.values(names).some((name) => bench.wanted(name))) return;
  const series = bench.quick ? 1000 : 10_000;
  const rounds = bench.quick ? 5 : 3;
  yield* await withBroker(async (broker, dataDir) => {
    const root = `${broker.url}/sta/v1.1`;
    const ids = await makeDatastreams(broker, root, series);
    bench.progress('filling Datastreams');
    let rows = 0;
    let taken = 0;
    for (let round = 0; round < rounds; round++) {
      for (let from = 0; from < ids.length; from += SERIES_AT_ONCE) {
        const body = JSON.stringify(ids.slice(from, from + SERIES_AT_ONCE).map((id) => rowsOf(id, round)));
        const began = performance.now();
        await send(`${root}/CreateObservations`, body);
        taken += performance.now() - began;
        rows += SERIES_AT_ONCE * PER_SERIES;
      }
    }
    const perSecond = (rows * 1000) / taken;
    const expand = await timed(30, (n) => `${root}/Datastreams?$skip=${(n * 97) % (series - 200)}&${EXPAND}`);
    const filter = await timed(
      30,
      (n) => `${root}/Observations?$filter=Datastream/id eq ${ids[(n * 97) % series]} and phenomenonTime ge ${timeOf(1, 50)}`,
    );
    const pages = await walked(`${root}/Observations?$top=100`, 1000);
    await broker.terminate();
    const content = { file: join(dataDir, 'mizar.db'), entities: rows, perTransaction: SERIES_AT_ONCE * PER_SERIES };
    const floor = Number(await output([here('bare-transaction.ts'), JSON.stringify(content)], 0));
    const of = `${rows.toLocaleString('en')} Observations of ${series.toLocaleString('en')} Datastreams`;
    return [
      {
        name: names.array,
        value: perSecond,
        unit: 'Observations/s',
        ratio: perSecond / floor,
        goal: 0.6,
        note: `bare SQLite, the same rows and indexes, ${content.perTransaction} to a transaction: ${Math.round(floor)}/s`,
      },
      { name: names.expand, value: expand, unit: 'ms', ratio: 25 / expand, goal: 1, note: `goal 25 ms; ${of}` },
      { name: names.filter, value: filter, unit: 'ms', ratio: 20 / filter, goal: 1, note: `goal 20 ms; ${of}` },
      {
        name: names.page,
        value: pages.last,
        unit: 'ms',
        ratio: pages.first / pages.last,
        goal: 0.8,
        note: `page 1: ${pages.first.toFixed(2)} ms; ${of}`,
      },
    ].filter(({ name }) => bench.wanted(name));
  });
};

const timeOf = (round: number, row: number) =>
  new Date(Date.UTC(2026, 0, 1) + (round * PER_SERIES + row) * 60_000).toISOString();

const rowsOf = (id: number, round: number) => ({
  Datastream: { '@iot.id': id },
  components: ['phenomenonTime', 'result'],
  dataArray: Array.from({ length: PER_SERIES }, (_, row) => [timeOf(round, row), Math.round(1000 * Math.sin(row + id)) / 10]),
});

async function makeDatastreams({ url }: BrokerProcess, root: string, count: number): Promise<number[]> {
  const made = async (set: string, body: unknown) => Number(/\((\d+)\)$/.exec(await send(`${url}/sta/v1.1/${set}`, body))?.[1]);
  const text = { name: 'n', description: 'd' };
  const links = {
    Sensor: { '@iot.id': await made('Sensors', { ...text, encodingType: 'text/plain', metadata: 'm' }) },
    ObservedProperty: { '@iot.id': await made('ObservedProperties', { ...text, definition: 'https://example.org/p' }) },
  };
  for (let at = 0; at < count; at += PER_THING) {
    const series = Array.from({ length: PER_THING }, (_, n) => datastream(`series ${at + n}`, links));
    await made('Things', thing(`station ${at}`, { Locations: [place(`place ${at}`, at % 180, at % 90)], Datastreams: series }));
  }
  const answer = await fetch(`${root}/Datastreams?$select=id&$top=${count}`);
  return ((await answer.json()) as { value: { '@iot.id': number }[] }).value.map((one) => one['@iot.id']);
}

/** @returns the header Location */
async function send(url: string, body: unknown): Promise<string> {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  const answer = await fetch(url, { method: 'POST', headers: JSON_HEADERS, body: text });
  const said = await answer.text();
  if (answer.status !== 201 || said.includes('"error')) throw new Error(`${url}: ${answer.status} ${said.slice(0, 300)}`);
  return answer.headers.get('location') ?? '';
}

async function timed(times: number, urlOf: (n: number) => string): Promise<number> {
  const taken: number[] = [];
  for (let n = 0; n < times; n++) {
    const began = performance.now();
    const answer = await fetch(encodeURI(urlOf(n)));
    const text = await answer.text();
    taken.push(performance.now() - began);
    if (answer.status !== 200) throw new Error(`${answer.url}: ${answer.status} ${text.slice(0, 300)}`);
  }
  return median(taken);
}

/** Follows nextLink. @returns what the first and the last twenty of the pages took, in milliseconds */
async function walked(from: string, pages: number): Promise<{ readonly first: number; readonly last: number }> {
  const taken: number[] = [];
  let url: string | undefined = from;
  for (let page = 0; page < pages && url !== undefined; page++) {
    const began = performance.now();
    const answer: Response = await fetch(url);
    url = ((await answer.json()) as { '@iot.nextLink'?: string })['@iot.nextLink'];
    taken.push(performance.now() - began);
  }
  return { first: median(taken.slice(1, 21)), last: median(taken.slice(-20)) };
}
