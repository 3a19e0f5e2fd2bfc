/**
 * `npm run bench`: what the broker does in a second, and the ratio to what this machine can do at all: a bare node:http server that sends the same
 * bytes, a bare transaction of the same rows, a bare MQTT library, bare undici POSTs, each in the same run. docs/performance.md says how each row is
 * measured.
 *
 * Options: --json (an array of {name, value, unit, ratio, goal} on standard output), --quick (one short run of each), --only PART-OF-A-NAME,
 * --save (keeps the figures for docs/performance.md), --store mongodb (on the MongoDB that MIZAR_TEST_MONGODB names, and the ratio to the bare driver doing the same
 * reads and writes; rows that measure the file of the embedded store are left out).
 */
import { startBareServer } from './bare.ts';
import { devices } from './devices.ts';
import { feed } from './feed.ts';
import { type Filling, fillAll } from './filled.ts';
import type { Bench, Rows } from './harness.ts';
import { history, historyFilling, historyRows } from './history.ts';
import { indexCost } from './index-cost.ts';
import { ON_MONGODB } from './kept.ts';
import { largeStore } from './large-store.ts';
import { GENERATOR } from './load.ts';
import { mqtt } from './mqtt.ts';
import { notifications } from './notifications.ts';
import { processes } from './processes.ts';
import { randomQueries } from './random-queries.ts';
import { reads } from './reads.ts';
import { option, type Row, rowText } from './row.ts';
import { saveRun } from './save.ts';
import { observationsFilling, sensorThings } from './sensor-things.ts';
import { start } from './start.ts';
import { subscriptions } from './subscriptions.ts';
import { writes } from './writes.ts';

const json = process.argv.includes('--json');
const quick = process.argv.includes('--quick');
const only = option('only');
const say = (text: string) => void (json ? process.stderr : process.stdout).write(`${text}\n`);

const queries: Rows = async function* ({ bare, quick, wanted, filled }) {
  if (wanted('random queries'))
    yield* await randomQueries({ bare, quick, ...(ON_MONGODB ? {} : { folder: filled.folder('city') }) });
};

const LARGE = quick ? 100_000 : 1_000_000;
const size: Rows = async function* ({ quick, wanted, filled }) {
  if (wanted('large store')) yield* await largeStore({ quick, large: LARGE, folder: filled.folder('large') });
  if (wanted('index')) yield* await indexCost(quick ? 5_000 : 20_000);
};

const wanted = (name: string) => only === undefined || name.includes(only) || only.startsWith(name);
const progress = (text: string) => {
  if (process.stderr.isTTY) process.stderr.write(`\r\u001b[K${text}`);
};
const fillings: readonly Filling[] = [
  { of: ['large store'], name: 'large', program: 'fill.ts', args: [String(LARGE), 'indexed'] },
  observationsFilling(quick),
  { of: historyRows(quick), ...historyFilling(quick) },
  { of: ['random queries'], name: 'city', program: 'fill.ts', args: ['100000'] },
].filter((filling) => !ON_MONGODB && filling.of.some(wanted));
const embedded = [
  reads,
  queries,
  size,
  writes,
  mqtt,
  devices,
  notifications,
  subscriptions,
  history,
  sensorThings,
  start,
  processes,
];
/** Without what measures the file of the embedded store, and without several processes, of which one database has none yet. */
const onMongoDb = [...embedded.filter((rows) => rows !== size && rows !== processes), feed];
const rows: Row[] = [];
const began = performance.now();
say(
  `load from ${GENERATOR}, 50 connections, medians of ${quick ? 1 : 3} runs; Node ${process.version}; "!": the goal is missed`,
);
const filled = await fillAll(fillings, progress);
const bench: Bench = {
  bare: await startBareServer(),
  quick,
  runs: quick ? 1 : 3,
  seconds: quick ? 1 : 2,
  wanted,
  progress,
  filled,
};
try {
  const groups = ON_MONGODB ? onMongoDb : embedded;
  for (const group of groups) {
    for await (const row of group(bench)) {
      bench.progress('');
      rows.push(row);
      say(rowText(row));
    }
  }
} finally {
  bench.bare.stop();
  filled.remove();
}
say(`${rows.length} rows in ${Math.round((performance.now() - began) / 1000)} s`);
if (process.argv.includes('--save')) saveRun(rows);
if (json) console.log(JSON.stringify(rows, null, 1));
