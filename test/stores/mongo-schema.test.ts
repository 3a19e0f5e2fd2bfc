import { MongoClient } from 'mongodb';
import { expect, it } from 'vitest';
import { DEFAULT_TENANT } from '../../broker/domain/iri.ts';
import type { EntityQuery } from '../../broker/domain/query/query.ts';
import { openMongoStore } from '../../broker/stores/mongo/mongo-store.ts';
import { describeWithMongoDb, newDatabase } from '../support/mongodb.ts';
import { creation, iri, property, testClock, urn } from '../support/writes.ts';

const SPEED = iri('speed');
const bound = (operator: '>=' | '<', value: number) =>
  ({ kind: 'compare', path: { names: [SPEED] }, operator, value: { kind: 'literal', value } }) as const;
/** True of two values of which one is above 50 and the other below 60. */
const BETWEEN: EntityQuery = { where: { kind: 'and', of: [bound('>=', 50), bound('<', 60)] } };

describeWithMongoDb('the schema of a MongoDB database', () => {
  it('is brought up to date from version 2, so that entities written before are found', async () => {
    await using database = newDatabase();
    const clock = testClock();
    const open = () => openMongoStore({ url: database.url, clock });
    const first = await open();
    const two = [property(1), property(100, { datasetId: urn('dataset') })];
    await first.entities.commit([
      creation(clock, urn('both'), [iri('Car')], { [SPEED]: two }),
      creation(clock, urn('none'), [iri('Car')], { [SPEED]: [property(70)] }),
    ]);
    const found = async (store: typeof first) =>
      (await store.entities.query(DEFAULT_TENANT, { ...BETWEEN, datasetIds: ['@none', urn('dataset')] }, { limit: 10 }))
        .entities;
    expect((await found(first)).map(({ id }) => id)).toEqual([urn('both')]);
    await first.close();

    const client = await new MongoClient(database.url).connect();
    const [entities, memory] = [client.db().collection('entities'), client.db().collection('memory')];
    // As version 2 left it.
    await entities.updateMany({}, { $pull: { q: { p: /\r$/ } } as never });
    await memory.updateOne({ _id: 'schema' as never }, { $set: { version: 2 } });
    await client.close();

    const again = await open();
    expect((await found(again)).map(({ id }) => id)).toEqual([urn('both')]);
    await again.close();
  });
});
