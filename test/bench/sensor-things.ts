/**
 * SensorThings: many Observations in one request, the newest of each Datastream, filters through indexes, and the thousandth page. With --large also over 100 000
 * Datastreams with 10 million Observations, which are written straight into the file and still take some minutes.
 */
import { join } from 'node:path';
import { type BrokerProcess, startBrokerProcess } from '../support/broker-process.ts';
import { datastream, place, thing } from '../support/sta.ts';
import { here, JSON_HEADERS, output, type Rows, withBroker } from './harness.ts';
import { pin } from './load.ts';
import { median, type Row } from './row.ts';

/** Datastreams of one Thing, and rows of one data array for each Datastream in it. */
const PER_THING = 10;
const PER_SERIES = 100;
const SERIES_AT_ONCE = 100;
const EXPAND = '$expand=Observations($top=1;$orderby=phenomenonTime desc)';
/** Who sends data arrays at the same time: while one waits for the disk the other is read. */
const SENDERS = 2;
const LARGE = { series: 100_000, rounds: 1 };

export const sensorThings: Rows = async function* (bench) {
  if (bench.wanted('sensorthings: dataArray') || bench.wanted('sensorthings: reads')) {
    const series = bench.quick ? 1000 : 10_000;
    const rounds = bench.quick ? 5 : 3;
    yield* await withBroker(async (broker, dataDir) => {
      const ids = await makeDatastreams(broker, series);
      bench.progress('filling Datastreams');
      const filled = await fill(broker, ids, rounds);
      const reads = bench.wanted('sensorthings: reads') ? await readRows(broker, ids, rounds, '') : [];
      await broker.terminate();
      if (!bench.wanted('sensorthings: dataArray')) return reads;
      const content = { file: join(dataDir, 'mizar.db'), entities: filled.rows, perTransaction: SERIES_AT_ONCE * PER_SERIES };
      const floor = Number(await output([here('bare-transaction.ts'), JSON.stringify(content)], 0));
      const row: Row = {
        name: 'sensorthings: dataArray',
        value: filled.perSecond,
        unit: 'Observations/s',
        ratio: filled.perSecond / floor,
        goal: 0.6,
        note: `bare SQLite, the same rows and indexes, ${content.perTransaction} to a transaction: ${Math.round(floor)}/s`,
      };
      return [row, ...reads];
    });
  }
  if (!process.argv.includes('--large') || !bench.wanted('sensorthings: reads')) return;
  yield* await withBroker(async (broker, dataDir) => {
    bench.progress(`making ${LARGE.series} Datastreams`);
    const ids = await makeDatastreams(broker, LARGE.series);
    await broker.terminate();
    bench.progress('writing 10 million Observations');
    const content = { file: join(dataDir, 'mizar.db'), perSeries: PER_SERIES, from: Date.UTC(2026, 0, 1) };
    await output([here('fill-series.ts'), JSON.stringify(content)], 0);
    const ports = { httpPort: Number(new URL(broker.url).port), mqttPort: Number(new URL(broker.mqttUrl).port) };
    const again = await startBrokerProcess({ dataDir, ...ports, prefix: pin(0), timeoutMs: 120_000 });
    try {
      return await readRows(again, ids, LARGE.rounds, ', large');
    } finally {
      await again.terminate();
    }
  });
};

export async function fill(
  { url }: BrokerProcess,
  ids: readonly number[],
  rounds: number,
): Promise<{ rows: number; perSecond: number }> {
  const began = performance.now();
  for (let round = 0; round < rounds; round++) {
    let next = 0;
    const sender = async (): Promise<void> => {
      for (let from = next; from < ids.length; from = next) {
        next = from + SERIES_AT_ONCE;
        const body = JSON.stringify(ids.slice(from, next).map((id) => rowsOf(id, round)));
        await send(`${url}/sta/v1.1/CreateObservations`, body);
      }
    };
    await Promise.all(Array.from({ length: SENDERS }, sender));
  }
  const rows = rounds * ids.length * PER_SERIES;
  return { rows, perSecond: (rows * 1000) / (performance.now() - began) };
}

/** @param which is put behind the names */
export async function readRows({ url }: BrokerProcess, ids: readonly number[], rounds: number, which: string): Promise<Row[]> {
  const root = `${url}/sta/v1.1`;
  const half = timeOf(rounds - 1, 50);
  const of = `${(rounds * ids.length * PER_SERIES).toLocaleString('en')} Observations of ${ids.length.toLocaleString('en')} Datastreams`;
  const newest = await walked(`${root}/Datastreams?$top=100&${EXPAND}`, 10);
  const some = (n: number) => ids[(n * 97) % ids.length];
  const series = await timed(
    30,
    (n) => `${root}/Observations?$filter=Datastream/id eq ${some(n)} and phenomenonTime ge ${half}`,
  );
  const times = await timed(30, () => `${root}/Observations?$filter=phenomenonTime ge ${half}`);
  const numbers = await timed(30, () => `${root}/Observations?$filter=result gt 99`);
  const pages = await walked(`${root}/Observations?$top=100`, 1000);
  const row = (name: string, value: number, goal: number): Row => ({
    name: `sensorthings: reads, ${name}${which}`,
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
    row('all Observations by result, 1 in 22', numbers, 20),
    {
      name: `sensorthings: reads, page 1 000 to page 1${which}`,
      value: pages.last,
      unit: 'ms',
      ratio: pages.first / pages.last,
      goal: 0.8,
      note: `page 1: ${pages.first.toFixed(2)} ms; ${of}`,
    },
  ];
}

const timeOf = (round: number, row: number) =>
  new Date(Date.UTC(2026, 0, 1) + (round * PER_SERIES + row) * 60_000).toISOString();

const rowsOf = (id: number, round: number) => ({
  Datastream: { '@iot.id': id },
  components: ['phenomenonTime', 'result'],
  dataArray: Array.from({ length: PER_SERIES }, (_, row) => [timeOf(round, row), Math.round(1000 * Math.sin(row + id)) / 10]),
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
  const ids: number[] = [];
  for (let page: string | undefined = `${root}/Datastreams?$select=id&$top=10000`; page !== undefined; ) {
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
