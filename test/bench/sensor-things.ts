/**
 * SensorThings: many Observations in one request; and, among ten million of 100 000 Datastreams, the newest of each, filters through indexes, and the thousandth page.
 * The ten million are written straight into the file, because posting them would take minutes.
 *
 * `node test/bench/sensor-things.ts FOLDER DATASTREAMS` fills a folder for the reads.
 */
import { join } from 'node:path';
import { type BrokerProcess, freePorts, startBrokerProcess } from '../support/broker-process.ts';
import { datastream, place, thing } from '../support/sta.ts';
import { bareInstances } from './bare-mongo.ts';
import { fillSeries } from './fill-series.ts';
import type { Filling } from './filled.ts';
import { type Bench, here, JSON_HEADERS, output, type Rows, withBroker } from './harness.ts';
import { OF_DRIVER, ON_MONGODB } from './kept.ts';
import { pin } from './load.ts';
import { median, type Row } from './row.ts';

/** Datastreams of one Thing, and rows of one data array for each Datastream in it. */
const PER_THING = 10;
const PER_SERIES = 100;
const SERIES_AT_ONCE = 100;
const EXPAND = '$expand=Observations($top=1;$orderby=phenomenonTime desc)';
/** Who sends data arrays at the same time: while one waits for the disk the other is read. */
const SENDERS = 2;
/** Datastreams that data arrays are posted to, and those that are read. */
const WRITTEN = 1000;
const READ = { large: 100_000, quick: 2_000 };

export const sensorThings: Rows = async function* (bench) {
  if (bench.wanted('sensorthings: dataArray')) yield await written(bench);
  // What is read is written straight into the file of the embedded store.
  if (!ON_MONGODB && bench.wanted(READS)) yield* await read(bench);
};

const written = (bench: Bench): Promise<Row> =>
  withBroker(async (broker, { dataDir, url }) => {
    bench.progress('posting data arrays');
    const ids = await makeDatastreams(broker, WRITTEN);
    // Once to warm up, for the measured rounds come after seconds of other work as well.
    const before = await fill(broker, ids, 0, 1);
    const filled = await fill(broker, ids, 1, bench.quick ? 3 : 6);
    await broker.terminate();
    const content = {
      file: join(dataDir, 'mizar.db'),
      entities: before.rows + filled.rows,
      perTransaction: SERIES_AT_ONCE * PER_SERIES,
    };
    const floor =
      url === undefined
        ? Number(await output([here('bare-transaction.ts'), JSON.stringify(content)], 0))
        : await bareInstances(url, content.perTransaction);
    return {
      name: 'sensorthings: dataArray',
      value: filled.perSecond,
      unit: 'Observations/s',
      ratio: filled.perSecond / floor,
      goal: url === undefined ? 0.6 : OF_DRIVER.writes,
      note: `${url === undefined ? 'bare SQLite' : 'the driver'}, the same rows and indexes, ${content.perTransaction} at a time: ${Math.round(floor)}/s`,
    };
  });

const READS = 'sensorthings: reads';
export const observationsFilling = (quick: boolean): Filling & { readonly of: readonly string[] } => ({
  of: [READS],
  name: 'observations',
  program: 'sensor-things.ts',
  args: [String(quick ? READ.quick : READ.large)],
});

async function read(bench: Bench): Promise<readonly Row[]> {
  const [httpPort, mqttPort] = (await freePorts(2)) as [number, number];
  const dataDir = bench.filled.folder('observations');
  const broker = await startBrokerProcess({ dataDir, httpPort, mqttPort, prefix: pin(0), timeoutMs: 120_000 });
  bench.progress('asking for Observations');
  try {
    const ids = await datastreamIds(broker.url);
    // The newest of each went through the API, the others straight into the file.
    return await readRows(broker, ids, ids.length * (PER_SERIES + 1));
  } finally {
    await broker.terminate();
  }
}

/** Makes as many Datastreams, and gives each its Observations: the newest, which makes the current value, and those before it. */
async function fillObservations(dataDir: string, count: number): Promise<void> {
  const [httpPort, mqttPort] = (await freePorts(2)) as [number, number];
  const broker = await startBrokerProcess({ dataDir, httpPort, mqttPort });
  try {
    await fill(broker, await makeDatastreams(broker, count), PER_SERIES, 1, 1);
  } finally {
    await broker.terminate();
  }
  fillSeries({ file: join(dataDir, 'mizar.db'), perSeries: PER_SERIES, from: Date.parse(timeOf(0)) });
}

/** Posts data arrays. @param from how many such rounds there were before */
export async function fill(
  { url }: BrokerProcess,
  ids: readonly number[],
  from: number,
  rounds: number,
  perSeries = PER_SERIES,
): Promise<{ rows: number; perSecond: number }> {
  const began = performance.now();
  for (let round = 0; round < rounds; round++) {
    let next = 0;
    const first = (from + round) * perSeries;
    const atOnce = perSeries === 1 ? 10 * SERIES_AT_ONCE : SERIES_AT_ONCE;
    const sender = async (): Promise<void> => {
      for (let at = next; at < ids.length; at = next) {
        next = at + atOnce;
        const body = JSON.stringify(ids.slice(at, next).map((id) => rowsOf(id, first, perSeries)));
        await send(`${url}/sta/v1.1/CreateObservations`, body);
      }
    };
    await Promise.all(Array.from({ length: SENDERS }, sender));
  }
  const rows = rounds * ids.length * perSeries;
  return { rows, perSecond: (rows * 1000) / (performance.now() - began) };
}

export async function readRows({ url }: BrokerProcess, ids: readonly number[], rows: number): Promise<Row[]> {
  const root = `${url}/sta/v1.1`;
  const half = timeOf(PER_SERIES / 2);
  const of = `${rows.toLocaleString('en')} Observations of ${ids.length.toLocaleString('en')} Datastreams`;
  const some = (n: number) => ids[(n * 97) % ids.length];
  const observations = (times: number, filterOf: (n: number) => string) =>
    timed(times, (n) => `${root}/Observations?$filter=${filterOf(n)}`);
  const newest = await walked(`${root}/Datastreams?$top=100&${EXPAND}`, 10);
  const series = await observations(30, (n) => `Datastream/id eq ${some(n)} and phenomenonTime ge ${half}`);
  const times = await observations(30, () => `phenomenonTime ge ${half}`);
  const many = await observations(30, () => 'result gt 90');
  const few = await observations(30, () => 'result gt 99');
  const none = await observations(1, () => 'result gt 1000');
  const pages = await walked(`${root}/Observations?$top=100`, 1000);
  const row = (name: string, value: number, goal: number): Row => ({
    name: `sensorthings: reads, ${name}`,
    value,
    unit: 'ms',
    ratio: goal / value,
    goal: 1,
    note: `goal ${goal} ms; ${of}`,
  });
  return [
    row('newest of 100 Datastreams, pages 1 to 10', newest.all, 25),
    row('Observations by Datastream and time', series, 20),
    row('all Observations by time', times, 20),
    row('all Observations by result, 1 in 20', many, 20),
    row('all Observations by result, 1 in 200', few, 20),
    // No index knows results: all entries of the index of times are looked at, in portions that let others have their turn.
    { ...row('all Observations by result, none', none, 20), goal: 0 },
    {
      name: 'sensorthings: reads, page 1 000 to page 1',
      value: pages.last,
      unit: 'ms',
      ratio: pages.first / pages.last,
      goal: 0.8,
      note: `page 1: ${pages.first.toFixed(2)} ms; ${of}`,
    },
  ];
}

/** @param minute since the first */
const timeOf = (minute: number) => new Date(Date.UTC(2026, 0, 1) + minute * 60_000).toISOString();

const rowsOf = (id: number, first: number, count: number) => ({
  Datastream: { '@iot.id': id },
  components: ['phenomenonTime', 'result'],
  dataArray: Array.from({ length: count }, (_, row) => [timeOf(first + row), Math.round(1000 * Math.sin(row + id)) / 10]),
});

export async function makeDatastreams({ url }: BrokerProcess, count: number): Promise<number[]> {
  const root = `${url}/sta/v1.1`;
  const made = async (set: string, body: unknown) => Number(/\((\d+)\)$/.exec(await send(`${root}/${set}`, body))?.[1]);
  const text = { name: 'n', description: 'd' };
  const links = {
    Sensor: { '@iot.id': await made('Sensors', { ...text, encodingType: 'text/plain', metadata: 'm' }) },
    ObservedProperty: { '@iot.id': await made('ObservedProperties', { ...text, definition: 'https://example.org/p' }) },
  };
  let next = 0;
  const maker = async (): Promise<void> => {
    for (let at = next; at < count; at = next) {
      next = at + PER_THING;
      const series = Array.from({ length: PER_THING }, (_, n) => datastream(`series ${at + n}`, links));
      await made(
        'Things',
        thing(`station ${at}`, { Locations: [place(`place ${at}`, at % 180, at % 90)], Datastreams: series }),
      );
    }
  };
  await Promise.all(Array.from({ length: 16 }, maker));
  return datastreamIds(url);
}

async function datastreamIds(url: string): Promise<number[]> {
  const ids: number[] = [];
  for (let page: string | undefined = `${url}/sta/v1.1/Datastreams?$select=id&$top=10000`; page !== undefined; ) {
    const answer = (await (await fetch(page)).json()) as { value: { '@iot.id': number }[]; '@iot.nextLink'?: string };
    ids.push(...answer.value.map((one) => one['@iot.id']));
    page = answer['@iot.nextLink'];
  }
  return ids;
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

/** Follows nextLink. @returns what a page took, in milliseconds: of all, of the first twenty but one, and of the last twenty */
async function walked(
  from: string,
  pages: number,
): Promise<{ readonly all: number; readonly first: number; readonly last: number }> {
  const taken: number[] = [];
  let url: string | undefined = encodeURI(from);
  for (let page = 0; page < pages && url !== undefined; page++) {
    const began = performance.now();
    const answer: Response = await fetch(url);
    url = ((await answer.json()) as { '@iot.nextLink'?: string })['@iot.nextLink'];
    taken.push(performance.now() - began);
  }
  return { all: median(taken), first: median(taken.slice(1, 21)), last: median(taken.slice(-20)) };
}

if (import.meta.main) {
  const [, , dataDir, count] = process.argv;
  await fillObservations(dataDir!, Number(count));
  console.log('filled');
}
