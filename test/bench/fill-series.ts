import { DatabaseSync } from 'node:sqlite';

const PREFIX = 'https://uri.etsi.org/ngsi-ld/default-context/';

interface Link {
  readonly attributes?: Readonly<Record<string, readonly { readonly value?: string }[]>>;
}

/**
 * Gives every Datastream of a broker's database more Observations, as the broker would have written them, but straight into the file: ten million of them take
 * less than a minute instead of several. The broker must not run.
 * @param from time of the first, in milliseconds since 1970; the others follow, one a minute
 * @returns how many there are
 */
export function fillSeries({
  file,
  perSeries,
  from,
}: {
  readonly file: string;
  readonly perSeries: number;
  readonly from: number;
}): number {
  const database = new DatabaseSync(file);
  // Nothing is lost if this breaks off: the file is made again.
  database.exec(
    'PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -400000; PRAGMA temp_store = MEMORY; PRAGMA threads = 2',
  );
  const keyOf = (iri: string): number | undefined =>
    database.prepare('SELECT key FROM name WHERE iri = ?').get(iri)?.['key'] as number | undefined;
  const [thing, datastreams] = [keyOf(`${PREFIX}Thing`), keyOf(`${PREFIX}datastreams`)];
  // In the order of the keys, so that each row comes behind all others.
  const things = database
    .prepare(
      'SELECT e.key AS key, e.state AS state FROM entity_type t JOIN entity e ON e.key = t.entity WHERE t.type = ? AND e.state IS NOT NULL ORDER BY e.key',
    )
    .all(thing ?? -1) as { key: number; state: string }[];

  // What is there is put in its place among what comes, and indexes are made in the end: both without looking for a place for each row.
  const indexes = database
    .prepare("SELECT name, sql FROM sqlite_master WHERE type = 'index' AND tbl_name = 'history' AND sql IS NOT NULL")
    .all() as { name: string; sql: string }[];
  for (const { name } of indexes) database.exec(`DROP INDEX ${name}`);
  database.exec(`
  CREATE TEMP TABLE minute (n INTEGER PRIMARY KEY);
  INSERT INTO minute WITH RECURSIVE up (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM up WHERE n + 1 < ${perSeries}) SELECT n FROM up;
  CREATE TEMP TABLE series (at INTEGER PRIMARY KEY, name INTEGER, dataset INTEGER, front TEXT);
`);
  const add = database.prepare('INSERT INTO series VALUES (?, ?, ?, ?)');
  const insert = database.prepare(`
  INSERT INTO history (entity, name, time, seq, observed, dataset, created, modified, deleted, number, instance)
  SELECT entity, name, time, seq, 1, dataset, now, now, NULL, value, front || value || '}' FROM (
    SELECT :entity AS entity, s.name AS name, :from + m.n * 60000000 AS time, :seq + m.n * :series + s.at AS seq, s.dataset AS dataset, :now AS now,
      ((:seq + m.n * :series + s.at) * 7919 % 2001 - 1000) / 10.0 AS value, s.front AS front
    FROM minute m CROSS JOIN series s)`);
  const memory = database.prepare("SELECT value FROM memory WHERE key = 'instance'");
  let seq = Number(memory.get()?.['value'] ?? 0) + 1;
  const now = Date.now() * 1000;
  let rows = 0;
  database.exec('BEGIN');
  for (const { key, state } of things) {
    const { a } = JSON.parse(state) as { readonly a: readonly (number | readonly Link[])[] };
    const at = a.indexOf(datastreams ?? -1);
    let series = 0;
    database.exec('DELETE FROM series');
    for (const { attributes = {} } of at < 0 ? [] : (a[at + 1] as readonly Link[])) {
      const observes = attributes[`${PREFIX}observes`]?.[0]?.value;
      const dataset = attributes[`${PREFIX}seriesDataset`]?.[0]?.value;
      const [name, datasetKey] = [observes && keyOf(observes), dataset === undefined ? null : keyOf(dataset)];
      if (!name || datasetKey === undefined) continue;
      const said = { type: 'Property', unitCode: 'CEL', ...(dataset === undefined ? {} : { datasetId: dataset }) };
      add.run(series++, name, datasetKey, `${JSON.stringify(said).slice(0, -1)},"value":`);
    }
    rows += Number(insert.run({ entity: key, from: from * 1000, seq, series, now }).changes);
    seq += series * perSeries;
  }
  database.prepare("UPDATE memory SET value = ? WHERE key = 'instance'").run(seq);
  for (const { sql } of indexes) database.exec(sql);
  database.exec('COMMIT');
  database.exec('PRAGMA journal_mode = WAL');
  database.close();
  return rows;
}
