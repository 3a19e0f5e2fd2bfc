/**
 * The floor of a read from MongoDB: node:http and the driver, nothing else. It understands the requests of these benchmarks, finds the same documents of a broker's
 * database by the same filters and indexes, and sends their stored text as it is. Prints its port.
 */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { MongoClient } from 'mongodb';
import { DEFAULT_TENANT, type Iri } from '../../broker/domain/iri.ts';
import type { Condition } from '../../broker/domain/query/query.ts';
import { collectionsOf, keyOf } from '../../broker/stores/mongo/collections.ts';
import { compileQuery } from '../../broker/stores/mongo/compile-query.ts';

const url = process.argv[2] as string;
const client = await new MongoClient(url, { maxPoolSize: 64, enableUtf8Validation: false }).connect();
const { entities } = collectionsOf(client.db(undefined, { readConcern: { level: 'majority' } as never }));
const projection = { q: 0, g: 0, w: 0, c: 0, y: 0, s: 0, z: 0 };
const PREFIX = 'https://uri.etsi.org/ngsi-ld/default-context/';
const TYPE = `${PREFIX}BenchEntity` as Iri;
const ENTITIES = '/ngsi-ld/v1/entities/';

const compared = (name: string, operator: '==' | '>=' | '<', value: string | number): Condition => ({
  kind: 'compare',
  path: { names: [`${PREFIX}${name}` as Iri] },
  operator,
  value: { kind: 'literal', value },
});

/** The condition of one of random-queries.ts; undefined: none. */
function conditionOf(query: string): Condition | undefined {
  const place = /isParked==%22(.+?)%22/.exec(query);
  if (place) return compared('isParked', '==', place[1] as string);
  const range = /speed>=([\d.]+);speed<([\d.]+)/.exec(query);
  if (range) {
    return { kind: 'and', of: [compared('speed', '>=', Number(range[1])), compared('speed', '<', Number(range[2]))] };
  }
  const near = /maxDistance==(\d+).*coordinates=%5B(.+?),(.+?)%5D/.exec(query);
  if (!near) return undefined;
  return {
    kind: 'geo',
    property: 'https://uri.etsi.org/ngsi-ld/location' as Iri,
    relation: 'near',
    geometry: { type: 'Point', coordinates: [Number(near[2]), Number(near[3])] },
    maxDistanceM: Number(near[1]),
  };
}

async function page(query: string): Promise<string> {
  const where = conditionOf(query);
  const asked = { types: { kind: 'type', type: TYPE } as const, ...(where ? { where } : {}) };
  const { filter } = compileQuery(DEFAULT_TENANT, asked, { places: true, elements: true });
  const found = await entities.find(filter, { projection }).sort({ _id: 1 }).limit(20).toArray();
  return `[${found.map(({ e }) => e).join(',')}]`;
}

async function one(id: string): Promise<string> {
  return (await entities.findOne({ _id: keyOf(DEFAULT_TENANT, id as Iri) }, { projection }))?.e ?? '';
}

const server = createServer((request, response) => {
  const path = request.url ?? '';
  const found = path.startsWith(ENTITIES) ? one(path.slice(ENTITIES.length)) : page(path);
  found.then(
    (text) => {
      response.setHeader('content-type', 'application/json');
      response.end(text);
    },
    (error: unknown) => {
      response.statusCode = 500;
      response.end(String(error));
    },
  );
});
server.listen(0, '127.0.0.1', () => console.log((server.address() as AddressInfo).port));
