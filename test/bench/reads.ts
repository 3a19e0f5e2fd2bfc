/** The same query and the same entity again and again, while nothing is written: what caches can do. */
import { fill, measured, type Rows, withBroker } from './harness.ts';
import type { Row } from './row.ts';

const CASES = [
  { name: 'query limit=20, repeated', path: '/ngsi-ld/v1/entities?type=BenchEntity&limit=20', goal: 0.65 },
  { name: 'retrieve by id', path: '/ngsi-ld/v1/entities/urn:ngsi-ld:BenchEntity:42', goal: 0.75 },
];

export const reads: Rows = async function* (bench) {
  const wanted = CASES.filter(({ name }) => bench.wanted(name));
  if (wanted.length === 0) return;
  yield* await withBroker(async (broker) => {
    await fill(broker);
    const rows: Row[] = [];
    for (const { name, path, goal } of wanted) {
      const answer = await fetch(`${broker.url}${path}`);
      const bytes = Buffer.from(await answer.arrayBuffer());
      await bench.bare.send(bytes, answer.headers.get('content-type') ?? '');
      const floor = await measured(bench, bench.bare.url, { method: 'GET', path: '/page' });
      const ours = await measured(bench, broker.url, { method: 'GET', path });
      rows.push({
        name,
        value: ours.perSecond,
        unit: 'requests/s',
        ratio: ours.perSecond / floor.perSecond,
        goal,
        p99Ms: ours.p99Ms,
        note: `bare node:http ${Math.round(floor.perSecond)}/s, ${bytes.length} bytes`,
      });
    }
    return rows;
  });
};
