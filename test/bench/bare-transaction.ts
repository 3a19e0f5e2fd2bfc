/**
 * The floor of a durable write: takes a database that the broker has written, and writes the same rows into a new file with the same schema,
 * straight through prepared statements, so many entities to a transaction, with the same durability. Prints entities per second.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';

const { file, entities, perTransaction } = JSON.parse(process.argv[2]!) as {
  file: string;
  entities: number;
  perTransaction: number;
};

const source = new DatabaseSync(file, { readOnly: true });
const schema = source
  .prepare("SELECT name, type, sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%'")
  .all() as {
  name: string;
  type: string;
  sql: string;
}[];
const virtual = schema.filter((item) => /^CREATE VIRTUAL/i.test(item.sql)).map((item) => item.name);
const shadow = (name: string) => virtual.some((table) => name !== table && name.startsWith(`${table}_`));

const folder = mkdtempSync(join(tmpdir(), 'mizar-bare-'));
const target = new DatabaseSync(join(folder, 'bare.db'));
target.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA locking_mode = EXCLUSIVE');
for (const item of schema) if (!shadow(item.name)) target.exec(item.sql);

const tables = schema
  .filter((item) => item.type === 'table' && !shadow(item.name))
  .map(({ name }) => {
    const rows = source.prepare(`SELECT * FROM "${name}"`).all() as Record<string, null | number | string | Uint8Array>[];
    const columns = Object.keys(rows[0] ?? {});
    const quoted = columns.map((column) => `"${column}"`).join(', ');
    const insert =
      rows.length === 0
        ? undefined
        : target.prepare(`INSERT OR REPLACE INTO "${name}" (${quoted}) VALUES (${columns.map(() => '?').join(', ')})`);
    return { insert, values: rows.map((row) => columns.map((column) => row[column] ?? null)) };
  });

const transactions = Math.ceil(entities / perTransaction);
const begin = target.prepare('BEGIN IMMEDIATE');
const commit = target.prepare('COMMIT');
const began = process.hrtime.bigint();
for (let turn = 0; turn < transactions; turn++) {
  begin.run();
  for (const { insert, values } of tables) {
    const to = Math.floor((values.length * (turn + 1)) / transactions);
    for (let at = Math.floor((values.length * turn) / transactions); at < to; at++) insert?.run(...values[at]!);
  }
  commit.run();
}
const seconds = Number(process.hrtime.bigint() - began) / 1e9;
target.close();
source.close();
rmSync(folder, { recursive: true, force: true });
console.log(entities / seconds);
