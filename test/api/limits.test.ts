import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Config } from '../../broker/config.ts';
import { inMemoryBroker } from '../support/broker.ts';

const ENTITIES = '/ngsi-ld/v1/entities';
const entity = (more: Record<string, unknown> = {}) => ({ id: 'urn:ngsi-ld:Room:1', type: 'Room', ...more });
const point = (count: number) => ({
  type: 'GeoProperty',
  value: { type: 'MultiPoint', coordinates: Array.from({ length: count }, (_, at) => [at, 1]) },
});
const nested = (depth: number): unknown => (depth === 0 ? 1 : { a: nested(depth - 1) });

interface Case {
  /** Name in /health. */
  readonly limit: string;
  readonly config: Partial<Config>;
  /** Within and beyond the limit. */
  readonly within: Request;
  readonly beyond: Request;
  readonly status?: number;
}
type Request = readonly [method: 'GET' | 'POST', url: string, body?: unknown];

const query = (parameters: string): Request => ['GET', `${ENTITIES}?${parameters}`];
const create = (more: Record<string, unknown>): Request => ['POST', ENTITIES, entity(more)];

const CASES: readonly Case[] = [
  {
    limit: 'bodyBytes',
    config: { bodyLimitBytes: 2000 },
    within: create({ a: 'x'.repeat(1000) }),
    beyond: create({ a: 'x'.repeat(3000) }),
    status: 413,
  },
  {
    limit: 'jsonDepth',
    config: { jsonDepth: 10 },
    within: create({ a: { value: nested(5) } }),
    beyond: create({ a: { value: nested(20) } }),
  },
  {
    limit: 'urlChars',
    config: { urlLimitChars: 300 },
    within: query('type=Room'),
    beyond: query(`type=${'R'.repeat(400)}`),
    status: 414,
  },
  {
    limit: 'batchEntities',
    config: { batchLimit: 2 },
    within: ['POST', '/ngsi-ld/v1/entityOperations/upsert', [entity(), entity()]],
    beyond: ['POST', '/ngsi-ld/v1/entityOperations/upsert', [entity(), entity(), entity()]],
    status: 413,
  },
  {
    limit: 'pageEntities',
    config: { pageLimit: 50 },
    within: query('type=Room&limit=50'),
    beyond: query('type=Room&limit=51'),
    status: 403,
  },
  {
    limit: 'queryChars',
    config: { queryChars: 40 },
    within: query('type=Room&q=a==1'),
    beyond: query(`type=Room&q=a=="${'x'.repeat(50)}"`),
  },
  { limit: 'queryTerms', config: { queryTerms: 3 }, within: query('q=a;b;c'), beyond: query('q=a;b;c;d') },
  { limit: 'queryDepth', config: { queryDepth: 2 }, within: query('q=((a;b)|c)'), beyond: query('q=((((a;b)|c);d)|e)') },
  {
    limit: 'patternChars',
    config: { patternChars: 5 },
    within: query('type=Room&idPattern=.*1'),
    beyond: query('type=Room&idPattern=.*12345'),
  },
  {
    limit: 'positions',
    config: { geometryPositions: 5 },
    within: create({ location: point(5) }),
    beyond: create({ location: point(6) }),
  },
  {
    limit: 'joinLevels',
    config: { joinLevels: 2 },
    within: query('type=Room&join=flat&joinLevel=2'),
    beyond: query('type=Room&join=flat&joinLevel=3'),
    status: 403,
  },
  {
    limit: 'orders',
    config: { queryOrders: 1 },
    within: query('type=Room&local=true&orderBy=a'),
    beyond: query('type=Room&local=true&orderBy=a,b'),
  },
];

/** Limits that are no refusal of one request: where each of them is tested. */
const ELSEWHERE: Readonly<Record<string, string>> = {
  ...Object.fromEntries(
    [
      'contextBytes', 'contextDepth', 'contextMs', 'temporalInstances', 'joinedEntities', 'entityMapEntities', 'entityMaps', 'snapshots', 'snapshotEntities',
      'sourceEntities', 'sourceInstances', 'sourceMs', 'sourceCacheBytes',
    ].map((limit) => [limit, 'api/limits-of-answers.test.ts']),
  ), // biome-ignore format: a list to be read as one
  sourceReplyBytes: 'federation/distributed.test.ts',
  sourceFanOut: 'federation/distributed.test.ts',
  waitingWrites: 'contract/entity-store.contract.ts',
  waitingNotifications: 'federation/subscriptions-durable.test.ts',
  notificationMs: 'egress/notifiers.test.ts',
  mqttConnections: 'transport/mqtt.test.ts',
  mqttPacketBytes: 'transport/mqtt.test.ts',
};

describe('limits on what others control', () => {
  it('that /health shows are all tested, and the tests are there', async () => {
    await using broker = await inMemoryBroker({ config: { mqtt: false } });
    const { limits } = (await broker.request('GET', '/health')).json() as { limits: Record<string, number> };
    const tested = [...CASES.map(({ limit }) => limit), ...Object.keys(ELSEWHERE)];
    expect(Object.keys(limits).sort()).toEqual(tested.sort());
    for (const file of Object.values(ELSEWHERE)) expect(existsSync(join(import.meta.dirname, '..', file)), file).toBe(true);
  });

  it.each(CASES)(
    '$limit is shown in /health, and beyond it a request is refused and nothing stored',
    async ({ limit, config, within, beyond, status }) => {
      await using broker = await inMemoryBroker({ config });
      const { limits } = (await broker.request('GET', '/health')).json() as { limits: Record<string, number> };
      expect(limits[limit]).toBe(Object.values(config)[0]);
      const refused = await broker.request(...beyond);
      expect(refused.statusCode, refused.body).toBe(status ?? 400);
      expect(refused.json().detail).toMatch(/\S+ \S+/);
      expect((await broker.request('GET', `${ENTITIES}?type=Room`)).json()).toEqual([]);
      const accepted = await broker.request(...within);
      expect(accepted.statusCode, accepted.body).toBeLessThan(300);
    },
  );
});
