import { nextExpiry } from '../../domain/patch.ts';
import type { TransferredDocument, TransferredEntity } from '../../domain/transfer.ts';
import type { Importer } from '../../ports/importer.ts';
import { highestStampIn, pastOf } from '../imported.ts';
import { AttributeIndexes } from './attribute-indexes.ts';
import { Codec } from './codec.ts';
import { openDatabase } from './database.ts';
import { Dictionary } from './dictionary.ts';
import { GeoIndex } from './geo-index.ts';
import { GroupCommit } from './group-commit.ts';
import { HistoryRows } from './history-rows.ts';
import { ShapeCounts } from './shape-counts.ts';

const REMEMBER = 'INSERT INTO memory (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value';
const RAISE =
  'INSERT INTO memory (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = max(value, excluded.value)';
const PUT =
  'INSERT OR REPLACE INTO entity (key, tenant, id, version, expires, shape, evolution, past, state) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)';
const DOCUMENT =
  'INSERT INTO document (kind, tenant, id, version, body) VALUES (?, ?, ?, 1, ?) ON CONFLICT (kind, tenant, id) DO UPDATE SET version = version + 1, body = excluded.body';

/** Opens a file that no broker uses, or makes it. @throws Error with one line saying why it cannot be used */
export function openSqliteImporter(file: string): Importer {
  const database = openDatabase(file, {});
  const commits = new GroupCommit(database, Number.MAX_SAFE_INTEGER, 2_000);
  const dictionary = new Dictionary(database, commits);
  const codec = new Codec(dictionary);
  const shapes = new ShapeCounts(database, dictionary, commits);
  const geo = new GeoIndex(database, dictionary);
  const indexes = new AttributeIndexes(database, commits);
  const remembered = (key: string) => database.get('SELECT value FROM memory WHERE key = ?', key)?.[0];
  let history: HistoryRows;
  let position = 0;
  let number = 0;

  /** Inside a transaction. */
  function put(one: TransferredEntity): void {
    const tenant = dictionary.tenant(one.tenant);
    const [known, text] = database.get('SELECT key, state FROM entity WHERE tenant = ? AND id = ?', tenant, one.id) ?? [];
    if (known !== undefined && one.number !== undefined && known !== one.number) {
      throw new Error(`${one.id} has the number ${known} here, and ${one.number} there`);
    }
    const key = one.number ?? (known as number | undefined) ?? ++number;
    const holder = database.get('SELECT tenant, id FROM entity WHERE key = ?', key);
    if (holder && (holder[0] !== tenant || holder[1] !== one.id)) {
      throw new Error(`${one.id} has the number ${key}, which ${holder[1]} has here`);
    }
    const before = typeof text === 'string' ? codec.decode(text, one.id) : undefined;
    const { state, evolution } = one;
    for (const table of ['history', 'transient', 'unsettled', 'entity_type']) {
      database.run(`DELETE FROM ${table} WHERE entity = ?`, key);
    }
    const expires = state === undefined ? Number.POSITIVE_INFINITY : nextExpiry(state);
    const past = pastOf(state?.types, evolution);
    database.run(
      PUT,
      key,
      tenant,
      one.id,
      state ? ++position : 0,
      expires === Number.POSITIVE_INFINITY ? null : expires,
      shapes.key(state),
      evolution ? 1 : 0,
      past ? JSON.stringify(past) : null,
      state ? codec.encode(state) : null,
    );
    for (const type of state?.types ?? []) {
      const row = [tenant, dictionary.name(type), one.id, key] as const;
      database.run('INSERT INTO entity_type (tenant, type, id, entity) VALUES (?, ?, ?, ?)', ...row);
    }
    geo.update(tenant, key, before, state);
    indexes.update(tenant, key, before, state);
    for (const { number: seq, name, instance } of one.instances) {
      history.insert(key, name, instance, instance.modifiedAt ?? instance.createdAt ?? ('1970-01-01T00:00:00Z' as never), seq);
    }
    database.run(RAISE, 'clock', highestStampIn(state));
  }

  const putDocument = ({ kind, tenant, id, body }: TransferredDocument): void =>
    void database.run(DOCUMENT, kind, dictionary.tenant(tenant), id, JSON.stringify(body));

  return {
    async begin({ instancePrefix, lastEntity, lastInstance }) {
      const name = /^urn:ngsi-ld:Instance:(.+)-$/.exec(instancePrefix)?.[1];
      if (name === undefined) throw new Error(`${instancePrefix} is not what instanceIds of a store begin with`);
      const known = remembered('store');
      if (known !== undefined && known !== name && database.get('SELECT 1 FROM entity LIMIT 1') !== undefined) {
        throw new Error(`${file} has entities of its own already`);
      }
      await commits.submit(() => {
        database.run(REMEMBER, 'store', name);
        database.run(RAISE, 'instance', lastInstance);
      });
      // It reads both when it is made.
      history = new HistoryRows(database, dictionary, commits);
      position = Math.max(
        Number(remembered('position') ?? 0),
        Number(database.get('SELECT max(position) FROM change')?.[0] ?? 0),
        Number(database.get('SELECT max(version) FROM entity')?.[0] ?? 0),
      );
      number = Math.max(lastEntity, Number(database.get('SELECT max(key) FROM entity')?.[0] ?? 0));
    },

    async putEntities(some) {
      await commits.submit(
        () => {
          for (const one of some) put(one);
          database.run(RAISE, 'position', position);
        },
        some.length,
        true,
      );
    },

    async putDocuments(some) {
      await commits.submit(() => some.forEach(putDocument), some.length, true);
    },

    cursor: async () => remembered('import') as string | undefined,
    moveCursor: (cursor) => commits.submit(() => void database.run(REMEMBER, 'import', cursor)),

    async close() {
      await commits.close();
      database.close();
    },
  };
}
