/**
 * The floor of a read from MongoDB: node:http and the driver, nothing else. GET /one/<n> finds one entity of the broker's database by its key, GET /page twenty of a type
 * in order of their ids; the stored text is sent as it is.
 */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { MongoClient } from 'mongodb';
import { DEFAULT_TENANT, type Iri } from '../../broker/domain/iri.ts';
import { collectionsOf, keyOf } from '../../broker/stores/mongo/collections.ts';

const url = process.argv[2] as string;
const client = await new MongoClient(url, { maxPoolSize: 64, enableUtf8Validation: false }).connect();
const { entities } = collectionsOf(client.db(undefined, { readConcern: { level: 'majority' } as never }));
const projection = { q: 0, g: 0, w: 0, c: 0, y: 0, s: 0, z: 0 };
const TYPE = 'https://uri.etsi.org/ngsi-ld/default-context/BenchEntity' as Iri;

const server = createServer((request, response) => {
  const send = (text: string): void => {
    response.setHeader('content-type', 'application/json');
    response.end(text);
  };
  const [, what, n] = (request.url ?? '').split('/');
  const found =
    what === 'one'
      ? entities
          .findOne({ _id: keyOf(DEFAULT_TENANT, `urn:ngsi-ld:BenchEntity:${n}` as Iri) }, { projection })
          .then((one) => one?.e ?? '')
      : entities
          .find({ t: DEFAULT_TENANT, y: TYPE }, { projection })
          .sort({ _id: 1 })
          .limit(20)
          .toArray()
          .then((all) => `[${all.map(({ e }) => e).join(',')}]`);
  found.then(send, (error: unknown) => {
    response.statusCode = 500;
    response.end(String(error));
  });
});
server.listen(0, '127.0.0.1', () => console.log((server.address() as AddressInfo).port));
