/**
 * Gives every Datastream of a broker's database more Observations, as the broker would have written them, but straight into the file: millions of them take
 * a minute instead of ten. The broker must not run. Usage: node fill-series.ts '{"file": …, "perSeries": …, "from": …}'; prints how many there are.
 */
import { DatabaseSync } from 'node:sqlite';

const { file, perSeries, from } = JSON.parse(process.argv[2]!) as {
  readonly file: string;
  readonly perSeries: number;
  /** Time of the first, in milliseconds since 1970; the others follow, one a minute. */
  readonly from: number;
};
const PREFIX = 'https://uri.etsi.org/ngsi-ld/default-context/';

const database = new DatabaseSync(file);
database.exec(
  'PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF; PRAGMA cache_size = -400000; PRAGMA wal_autocheckpoint = 50000',
);
const nameOf = database.prepare('SELECT key FROM name WHERE iri = ?');
const keyOf = (iri: string): number | undefined => nameOf.get(iri)?.['key'] as number | undefined;
const [thing, datastreams] = [keyOf(`${PREFIX}Thing`), keyOf(`${PREFIX}datastreams`)];
const things = database
  .prepare(
    'SELECT e.key AS key, e.state AS state FROM entity_type t JOIN entity e ON e.key = t.entity WHERE t.type = ? AND e.state IS NOT NULL',
  )
  .all(thing ?? -1) as { key: number; state: string }[];

interface Link {
  readonly attributes?: Readonly<Record<string, readonly { readonly value?: string }[]>>;
}
const insert = database.prepare(
  'INSERT INTO history (entity, name, time, seq, observed, dataset, created, modified, deleted, number, instance) VALUES (?, ?, ?, ?, 1, ?, ?, ?, NULL, ?, ?)',
);
const memory = database.prepare("SELECT value FROM memory WHERE key = 'instance'");
let seq = Number(memory.get()?.['value'] ?? 0) + 1;
const now = Date.now() * 1000;
let rows = 0;
database.exec('BEGIN');
for (const { key, state } of things) {
  const { a } = JSON.parse(state) as { readonly a: readonly (number | readonly Link[])[] };
  const at = a.indexOf(datastreams ?? -1);
  for (const { attributes = {} } of at < 0 ? [] : (a[at + 1] as readonly Link[])) {
    const observes = attributes[`${PREFIX}observes`]?.[0]?.value;
    const dataset = attributes[`${PREFIX}seriesDataset`]?.[0]?.value;
    const [name, datasetKey] = [observes && keyOf(observes), dataset === undefined ? null : keyOf(dataset)];
    if (!name || datasetKey === undefined) continue;
    const rest = { unitCode: 'CEL', ...(dataset === undefined ? {} : { datasetId: dataset }) };
    for (let row = 0; row < perSeries; row++) {
      const value = Math.round(1000 * Math.sin(row * 7 + seq)) / 10;
      insert.run(
        key,
        name,
        (from + row * 60_000) * 1000,
        seq++,
        datasetKey,
        now,
        now,
        value,
        JSON.stringify({ type: 'Property', value, ...rest }),
      );
      rows++;
    }
  }
  if (rows % 1_000_000 === 0) database.exec('COMMIT; BEGIN');
}
database.prepare("UPDATE memory SET value = ? WHERE key = 'instance'").run(seq);
database.exec('COMMIT; PRAGMA wal_checkpoint(TRUNCATE)');
database.close();
console.log(rows);
