/** The same query and the same entity again and again, while nothing is written: what caches can do. On MongoDB also what is read without them. */
import { startBareMongo } from './bare-mongo.ts';
import { type Bench, fill, inTurn, measured, type Rows, withBroker } from './harness.ts';
import { OF_DRIVER, ON_MONGODB } from './kept.ts';
import type { Load, Work } from './load.ts';
import type { Row } from './row.ts';

const PAGE = '/ngsi-ld/v1/entities?type=BenchEntity&limit=20';
const CASES = [
  { name: 'query limit=20, repeated', path: PAGE, goal: 0.65 },
  { name: 'retrieve by id', path: '/ngsi-ld/v1/entities/urn:ngsi-ld:BenchEntity:42', goal: 0.75 },
];
const UNCACHED = [
  { name: 'query limit=20, from the database', path: PAGE, goal: OF_DRIVER.reads },
  {
    name: 'retrieve by id, from the database',
    path: '/ngsi-ld/v1/entities/urn:ngsi-ld:BenchEntity:[<k>]',
    goal: OF_DRIVER.reads,
  },
];

export const reads: Rows = async function* (bench) {
  yield* await rowsOf(bench, CASES, {});
  if (ON_MONGODB) yield* await rowsOf(bench, UNCACHED, { MIZAR_CACHE_BYTES: '0' });
};

async function rowsOf(bench: Bench, cases: typeof CASES, environment: Readonly<Record<string, string>>): Promise<Row[]> {
  const wanted = cases.filter(({ name }) => bench.wanted(name));
  if (wanted.length === 0) return [];
  return withBroker(async (broker, { url }) => {
    await fill(broker);
    const rows: Row[] = [];
    for (const { name, path, goal } of wanted) {
      const work: Work = { method: 'GET', path };
      const row = (ours: Load, ratio: number, note: string): Row => ({
        name,
        value: ours.perSecond,
        unit: 'requests/s',
        ratio,
        goal: url === undefined ? goal : OF_DRIVER.reads,
        p99Ms: ours.p99Ms,
        note,
      });
      if (url === undefined) {
        const answer = await fetch(`${broker.url}${path}`);
        const bytes = Buffer.from(await answer.arrayBuffer());
        await bench.bare.send(bytes, answer.headers.get('content-type') ?? '');
        const floor = await measured(bench, bench.bare.url, { method: 'GET', path: '/page' });
        const ours = await measured(bench, broker.url, work);
        const note = `bare node:http ${Math.round(floor.perSecond)}/s, ${bytes.length} bytes`;
        rows.push(row(ours, ours.perSecond / floor.perSecond, note));
      } else {
        const bare = await startBareMongo(url);
        const { ours, floor, ratio } = await inTurn(bench, { url: broker.url, work }, { url: bare.url, work });
        bare.stop();
        rows.push(row(ours, ratio, `node:http and the driver, stored text as it is: ${Math.round(floor.perSecond)}/s`));
      }
    }
    return rows;
  }, environment);
}
