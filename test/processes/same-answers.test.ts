import fc from 'fast-check';
import type { FastifyInstance, LightMyRequestResponse } from 'fastify';
import { describe, expect, it } from 'vitest';
import type { Config } from '../../broker/config.ts';
import { DEFAULT_TENANT, type Iri } from '../../broker/domain/iri.ts';
import { inMemoryBroker } from '../support/broker.ts';
import { pair } from '../support/processes.ts';
import { testClock } from '../support/writes.ts';

const API = '/ngsi-ld/v1';

interface Step {
  readonly method: 'GET' | 'POST' | 'PATCH' | 'PUT' | 'DELETE';
  readonly path: string;
  readonly body?: unknown;
  readonly tenant?: string;
}

const id = fc.integer({ min: 0, max: 5 }).map((n) => `urn:ngsi-ld:E:${n}`);
const type = fc.constantFrom('Car', 'Bus');
const scalar = fc.oneof(fc.integer({ min: 0, max: 9 }), fc.constantFrom('x', 'y'));
const property = scalar.map((value) => ({ type: 'Property', value }));
const place = fc.tuple(fc.integer({ min: 0, max: 3 }), fc.integer({ min: 0, max: 3 })).map((coordinates) => ({
  type: 'GeoProperty',
  value: { type: 'Point', coordinates },
}));
const attributes = fc.record({ speed: property, name: property, location: place }, { requiredKeys: [] });
/** Some end soon: half a step is a second (4.22). */
const expiring = fc.option(fc.constantFrom('2026-03-01T07:00:05Z', '2026-03-01T07:00:10Z'), { nil: undefined, freq: 8 });
const entity = fc
  .tuple(id, type, attributes, expiring)
  .map(([of, kind, content, expiresAt]) => ({ id: of, type: kind, ...content, ...(expiresAt && { expiresAt }) }));
const tenant = fc.constantFrom(undefined, undefined, undefined, 'town');

const write: fc.Arbitrary<Step> = fc.oneof(
  entity.map((body): Step => ({ method: 'POST', path: `${API}/entities`, body })),
  fc.tuple(id, attributes).map(([of, body]): Step => ({ method: 'PATCH', path: `${API}/entities/${of}/attrs`, body })),
  fc.tuple(id, attributes).map(([of, body]): Step => ({ method: 'POST', path: `${API}/entities/${of}/attrs`, body })),
  fc.tuple(id, attributes).map(([of, body]): Step => ({ method: 'PATCH', path: `${API}/entities/${of}`, body })),
  fc
    .tuple(id, type, attributes)
    .map(([of, kind, body]): Step => ({ method: 'PUT', path: `${API}/entities/${of}`, body: { id: of, type: kind, ...body } })),
  id.map((of): Step => ({ method: 'DELETE', path: `${API}/entities/${of}` })),
  id.map((of): Step => ({ method: 'DELETE', path: `${API}/entities/${of}/attrs/speed` })),
  id.map((of): Step => ({ method: 'DELETE', path: `${API}/temporal/entities/${of}` })),
  fc.tuple(id, property).map(
    ([of, speed]): Step => ({
      method: 'POST',
      path: `${API}/temporal/entities`,
      body: { id: of, type: 'Car', speed: [{ ...speed, observedAt: '2026-02-01T00:00:00Z' }] },
    }),
  ),
  fc
    .array(entity, { minLength: 1, maxLength: 4 })
    .map((body): Step => ({ method: 'POST', path: `${API}/entityOperations/upsert?options=update`, body })),
);

const page = fc.constantFrom('', '&limit=2', '&limit=2&offset=1', '&limit=0&count=true', '&count=true', '&orderBy=speed');
const condition = fc.constantFrom(
  '',
  '&q=speed>4',
  '&q=speed==3',
  '&q=name==%22x%22',
  '&q=!speed',
  '&georel=near;maxDistance==150000&geometry=Point&coordinates=%5B1,1%5D',
  '&attrs=name',
);
const read: fc.Arbitrary<Step> = fc
  .oneof(
    fc.tuple(fc.constantFrom('Car', 'Bus', 'Car,Bus'), condition, page).map(([of, q, p]) => `/entities?type=${of}${q}${p}`),
    id.map((of) => `/entities/${of}`),
    id.map((of) => `/entities/${of}?options=sysAttrs`),
    fc.constantFrom('/types?details=true', '/types/Car', '/attributes?details=true', '/attributes/speed'),
    id.map((of) => `/temporal/entities/${of}?options=temporalValues`),
    fc.constantFrom(
      '/temporal/entities?type=Car&timerel=after&timeAt=2020-01-01T00:00:00Z&options=temporalValues',
      '/temporal/entities?type=Car&timerel=after&timeAt=2020-01-01T00:00:00Z&timeproperty=modifiedAt&lastN=1&options=temporalValues',
    ),
  )
  .map((path): Step => ({ method: 'GET', path: `${API}${path}` }));

const step = fc
  .tuple(fc.oneof(write, read, read), tenant, fc.boolean())
  .map(([one, of, atServer]) => ({ step: of === undefined ? one : { ...one, tenant: of }, atServer }));

const histories = fc.array(step, { minLength: 40, maxLength: 80, size: 'max' });

function ask(app: FastifyInstance, { method, path, body, tenant: of }: Step): Promise<LightMyRequestResponse> {
  const headers = of === undefined ? {} : { 'ngsild-tenant': of };
  return body === undefined
    ? app.inject({ method, url: path, headers })
    : app.inject({
        method,
        url: path,
        payload: JSON.stringify(body),
        headers: { ...headers, 'content-type': 'application/json' },
      });
}

/** What a client sees, but for the time of day. */
function shown({
  statusCode,
  headers: { date: _, connection: __, 'keep-alive': ___, ...headers },
  body,
}: LightMyRequestResponse) {
  return { statusCode, headers, body };
}

/** Most of what is written and asked of is there. */
const beginning: readonly Step[] = [undefined, 'town'].map((of) => ({
  method: 'POST',
  path: `${API}/entityOperations/create`,
  body: [0, 1, 2, 3].map((n) => ({
    id: `urn:ngsi-ld:E:${n}`,
    type: n % 2 === 0 ? 'Car' : 'Bus',
    speed: { type: 'Property', value: n },
    location: { type: 'GeoProperty', value: { type: 'Point', coordinates: [n, n] } },
  })),
  ...(of === undefined ? {} : { tenant: of }),
}));

async function sameAnswers(history: readonly { readonly step: Step; readonly atServer: boolean }[], config: Partial<Config>) {
  const clock = testClock();
  await using two = await pair({ config, clock });
  await using one = await inMemoryBroker({ config, clock });
  for (const { step: asked, atServer } of [...beginning.map((one) => ({ step: one, atServer: true })), ...history]) {
    const expected = shown(await ask(one.app, asked));
    const got = shown(await ask(atServer ? two.server : two.primary, asked));
    expect(got, `${asked.method} ${asked.path} at the ${atServer ? 'server' : 'primary'}`).toEqual(expected);
    clock.advance(0.5);
  }
}

describe('two processes answer as one does', () => {
  it('over random histories, whichever process each request goes to', async () => {
    await fc.assert(
      fc.asyncProperty(histories, (history) => sameAnswers(history, {})),
      { numRuns: 15 },
    );
  }, 120_000);

  it('also without room for caches', async () => {
    await fc.assert(
      fc.asyncProperty(histories, (history) => sameAnswers(history, { cacheBytes: 0 })),
      { numRuns: 5 },
    );
  }, 60_000);

  it('also the same page again and again, between changes that concern it and changes that do not', async () => {
    const again = { step: { method: 'GET', path: `${API}/entities?type=Car&q=speed>4&limit=3` } as Step, atServer: true };
    await fc.assert(
      fc.asyncProperty(fc.array(write, { minLength: 5, maxLength: 20 }), (writes) =>
        sameAnswers(
          writes.flatMap((one, at) => [{ step: one, atServer: at % 2 === 0 }, again, again]),
          {},
        ),
      ),
      { numRuns: 15 },
    );
  }, 120_000);

  it('also of a tenant that comes to have a context source registration, which only the primary knows', async () => {
    const registration = {
      id: 'urn:ngsi-ld:ContextSourceRegistration:1',
      type: 'ContextSourceRegistration',
      endpoint: 'http://127.0.0.1:1/',
      information: [{ entities: [{ type: 'Bus' }] }],
    };
    const steps: Step[] = [
      {
        method: 'POST',
        path: `${API}/entities`,
        body: { id: 'urn:ngsi-ld:E:1', type: 'Car', speed: { type: 'Property', value: 1 } },
      },
      { method: 'GET', path: `${API}/entities?type=Car` },
      { method: 'POST', path: `${API}/csourceRegistrations`, body: registration },
      { method: 'GET', path: `${API}/entities?type=Bus` },
      { method: 'GET', path: `${API}/entities?type=Car` },
      { method: 'DELETE', path: `${API}/csourceRegistrations/${registration.id}` },
      { method: 'GET', path: `${API}/entities?type=Bus` },
    ];
    await sameAnswers(
      steps.map((one) => ({ step: one, atServer: true })),
      {},
    );
  });

  it('also by an index that is made meanwhile, and gets values of a kind that it had none of', async () => {
    await using two = await pair();
    const write = (n: number, value: unknown) =>
      ask(two.primary, {
        method: 'POST',
        path: `${API}/entities`,
        body: { id: `urn:ngsi-ld:E:${n}`, type: 'Car', speed: { type: 'Property', value } },
      });
    const found = async (q: string) =>
      (await ask(two.server, { method: 'GET', path: `${API}/entities?type=Car&q=${q}` }))
        .json<{ id: string }[]>()
        .map(({ id: of }) => of);
    for (let n = 10; n < 80; n++) await write(n, n);
    expect(await found('speed==11')).toEqual(['urn:ngsi-ld:E:11']);
    const path = { names: ['https://uri.etsi.org/ngsi-ld/default-context/speed' as Iri] };
    await two.broker.store.indexes.ensure(DEFAULT_TENANT, path);
    expect(await found('speed==12')).toEqual(['urn:ngsi-ld:E:12']);
    // It is used by the server, which tells the primary every second or so.
    await expect.poll(() => two.broker.store.indexes.list()[0]?.uses, { timeout: 5_000 }).toBeGreaterThan(0);
    await write(90, 'fast');
    await write(91, 12);
    expect(await found('speed==%22fast%22')).toEqual(['urn:ngsi-ld:E:90']);
    expect(await found('speed==12')).toEqual(['urn:ngsi-ld:E:12', 'urn:ngsi-ld:E:91']);
  });

  it('also when a query makes an EntityMap, by its URL or in its body (5.14)', async () => {
    await using two = await pair();
    for (const url of [`${API}/entities?type=Car&entityMap=true`, `${API}/entities?type=Car&entity%4Dap=true`]) {
      expect((await two.server.inject({ method: 'GET', url })).statusCode).toBe(201);
    }
    const payload = { type: 'Query', entities: [{ type: 'Car' }], entityMap: true };
    const made = await two.server.inject({ method: 'POST', url: `${API}/entityOperations/query`, payload });
    expect(made.statusCode).toBe(201);
    expect((await two.primary.inject({ method: 'GET', url: String(made.headers['ngsild-entitymap']) })).statusCode).toBe(200);
  });
});
