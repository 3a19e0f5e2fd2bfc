import { storedText } from '../../domain/json.ts';
import type { TransferredDocument, TransferredEntity, TransferSummary } from '../../domain/transfer.ts';
import type { Importer } from '../../ports/importer.ts';
import { highestStampIn, pastOf } from '../imported.ts';
import { type HistoryDocument, keyOf } from './collections.ts';
import { connect } from './connection.ts';
import { EntityRow, expiryOf } from './entity-row.ts';
import { historyDocument } from './history-documents.ts';
import { Lease } from './lease.ts';
import { outboxText } from './outbox.ts';
import { prepare } from './schema.ts';
import { Shapes } from './shapes.ts';
import { stateText } from './state-text.ts';
import { Tenants } from './tenants.ts';

/** Documents that are written at once. */
const AT_ONCE = 2_000;

/** Opens a database that no broker uses. @throws Error with one line saying why it cannot be used */
export async function openMongoImporter(url: string, waitMs: number): Promise<Importer> {
  const { client, database, collections } = await connect(url, waitMs);
  const lease = new Lease(collections);
  const { memory, entities, history, documents } = collections;
  const shapes = new Shapes(collections);
  const tenants = new Tenants(collections);
  let position = 0;
  let number = 0;
  try {
    await lease.take(12_000);
    await prepare(database, collections);
    await tenants.load();
  } catch (error) {
    await client.close().catch(() => {});
    throw error;
  }
  const set = (_id: string, what: object) => memory.updateOne({ _id }, { $set: what }, { upsert: true });
  return {
    async begin({ instancePrefix, lastEntity, lastInstance }: TransferSummary) {
      const name = /^urn:ngsi-ld:Instance:(.+)-$/.exec(instancePrefix)?.[1];
      if (name === undefined) throw new Error(`${instancePrefix} is not what instanceIds of a store begin with`);
      const known = await memory.findOne({ _id: 'store' });
      if (known && known['name'] !== name && (await entities.findOne({}, { projection: { _id: 1 } }))) {
        throw new Error('The database has entities of its own already');
      }
      await set('store', { name });
      const [last] = await entities
        .find({}, { projection: { n: 1, o: 1 } })
        .sort({ o: -1 })
        .limit(1)
        .toArray();
      const [highest] = await entities
        .find({}, { projection: { n: 1 } })
        .sort({ n: -1 })
        .limit(1)
        .toArray();
      position = Math.max(last?.o ?? 0, Number((await memory.findOne({ _id: 'positions' }))?.['next'] ?? 0));
      number = Math.max(lastEntity, highest?.n ?? 0);
      await memory.updateOne({ _id: 'instances' }, { $max: { next: lastInstance } }, { upsert: true });
      await memory.updateOne({ _id: 'entities' }, { $max: { next: number } }, { upsert: true });
    },

    async putEntities(some) {
      await tenants.make(new Set(some.map(({ tenant }) => tenant)));
      const keys = some.map(({ tenant, id }) => keyOf(tenant, id));
      const known = new Map(
        (await entities.find({ _id: { $in: keys } }, { projection: { n: 1 } }).toArray()).map(({ _id, n }) => [_id, n]),
      );
      const rows = some.map((one) => {
        const old = known.get(keyOf(one.tenant, one.id));
        if (old !== undefined && one.number !== undefined && old !== one.number) {
          throw new Error(`${one.id} has the number ${old} here, and ${one.number} there`);
        }
        return rowOf(one, one.number ?? old ?? ++number, ++position, shapes);
      });
      await shapes.keep(rows.filter(({ exists }) => exists));
      await history.deleteMany({ k: { $in: rows.map((row) => row.number) } });
      const instances = some.flatMap((one, at) => historyOf(one, (rows[at] as EntityRow).number));
      for (let from = 0; from < instances.length; from += AT_ONCE) {
        await history.bulkWrite(
          instances.slice(from, from + AT_ONCE).map((replacement) => ({
            replaceOne: { filter: { _id: replacement._id, k: replacement.k }, replacement, upsert: true },
          })) as never[],
          { ordered: false },
        );
      }
      await entities.bulkWrite(
        rows.map((row) => ({
          replaceOne: { filter: { _id: row.key }, replacement: row.document(outboxText({})), upsert: true },
        })) as never[],
        { ordered: false },
      );
      const clock = Math.max(0, ...some.map(({ state }) => highestStampIn(state)));
      await memory.updateOne({ _id: 'positions' }, { $max: { next: position } }, { upsert: true });
      await memory.updateOne({ _id: 'settled' }, { $max: { position, clock } }, { upsert: true });
    },

    async putDocuments(some) {
      await tenants.make(new Set(some.map(({ tenant }) => tenant)));
      for (let from = 0; from < some.length; from += AT_ONCE) {
        await documents.bulkWrite(some.slice(from, from + AT_ONCE).map(putDocument) as never[], { ordered: false });
      }
    },

    cursor: async () => (await memory.findOne({ _id: 'import' }))?.['cursor'] as string | undefined,
    moveCursor: async (cursor) => void (await set('import', { cursor })),

    async close() {
      await lease.release();
      await client.close();
    },
  };
}

function rowOf({ tenant, id, state, evolution }: TransferredEntity, number: number, order: number, shapes: Shapes): EntityRow {
  const known = {
    tenant,
    id,
    number,
    version: state ? order : 0,
    order,
    text: state && stateText(state),
    expires: state && expiryOf(state),
    shape: state && shapes.key(state),
    evolution: evolution !== undefined,
    past: pastOf(state?.types, evolution),
    rough: false,
  };
  return new EntityRow(known, state);
}

const historyOf = ({ tenant, instances }: TransferredEntity, number: number): HistoryDocument[] =>
  instances.map(({ number: _id, name, instance }) =>
    historyDocument(
      { tenant, number },
      _id,
      name,
      instance,
      instance.modifiedAt ?? instance.createdAt ?? ('1970-01-01T00:00:00Z' as never),
    ),
  );

const putDocument = ({ kind: k, tenant: t, id: i, body }: TransferredDocument) => ({
  updateOne: {
    filter: { _id: `${k} ${t} ${i}` },
    update: { $set: { k, t, i, b: storedText(body) }, $inc: { v: 1 } },
    upsert: true,
  },
});
