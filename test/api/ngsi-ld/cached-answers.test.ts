import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { inMemoryBroker, type TestBroker } from '../../support/broker.ts';
import { testClock } from '../../support/writes.ts';

/** What is asked again and again, in every form that something is kept for: pages, counts, texts of entities, whole answers, discovery. */
// The times of an entity itself are not asked for: they are those of the sweeper if it was there already.
const QUESTIONS: readonly (readonly [url: string, headers?: Readonly<Record<string, string>>])[] = [
  ['entities?type=A&limit=2'],
  ['entities?type=A&limit=2&offset=2'],
  ['entities?type=A,B&limit=3&count=true'],
  ['entities?type=B&limit=20&options=keyValues'],
  ['entities?type=B&limit=20&options=sysAttrs&pick=id,speed', { accept: 'application/ld+json' }],
  ['entities?type=A&q=speed>=2&limit=2&count=true'],
  ['entities?type=A&q=speed==1|name==%22x%22&limit=20'],
  ['entities?q=speed==1..2;name&limit=20&local=true'],
  ['entities?type=B&q=owner%7BA:speed%7D>1&limit=20&join=inline&joinLevel=1'],
  ['entities?type=A&orderBy=speed&limit=3'],
  ['entities?type=A&attrs=name&limit=20', { accept: 'application/geo+json' }],
  ['entities?type=A&georel=near;maxDistance==30000&geometry=Point&coordinates=%5B4,50%5D&limit=2'],
  ['entities?idPattern=:[1-3]$&limit=20&local=true'],
  ['entities?type=A&limit=0&count=true'],
  ['entities?type=A&limit=20', { link: 'CONTEXT' }],
  ['entities/urn:x:1'],
  ['entities/urn:x:1?options=concise', { link: 'CONTEXT' }],
  ['entities/urn:x:2?attrs=speed'],
  ['entities/urn:x:3?options=sysAttrs&pick=id,speed', { accept: 'application/ld+json' }],
  ['types'],
  ['types/A'],
  ['types?details=true'],
  ['attributes?details=true'],
  ['attributes/speed'],
];

type Request = readonly [method: 'POST' | 'PATCH' | 'DELETE', path: string, body?: unknown];
const id = fc.integer({ min: 1, max: 6 }).map((n) => `urn:x:${n}`);
const speed = fc.integer({ min: 0, max: 3 }).map((value) => ({ type: 'Property', value }));
const place = fc.integer({ min: 0, max: 3 }).map((n) => ({
  type: 'GeoProperty',
  value: { type: 'Point', coordinates: [4 + n / 5, 50] },
}));
const attributes = fc.record(
  {
    speed,
    name: fc.constantFrom('x', 'y').map((value) => ({ type: 'Property', value })),
    owner: id.map((object) => ({ type: 'Relationship', object })),
    location: place,
    // Ends at the second that a later step may reach.
    passing: fc
      .integer({ min: 1, max: 9 })
      .map((second) => ({ type: 'Property', value: second, expiresAt: `2026-03-01T07:00:0${second}Z` })),
  },
  { requiredKeys: [] },
);
const type = fc.constantFrom<string | string[]>('A', 'A', 'B', ['A', 'B']);
const entity = fc.tuple(id, type, attributes).map(([of, kind, rest]) => ({ id: of, type: kind, ...rest }));
const write: fc.Arbitrary<Request> = fc.oneof(
  { weight: 4, arbitrary: entity.map((body): Request => ['POST', 'entities', body]) },
  { weight: 3, arbitrary: fc.tuple(id, speed).map(([of, body]): Request => ['PATCH', `entities/${of}/attrs/speed`, body]) },
  { weight: 2, arbitrary: fc.tuple(id, attributes).map(([of, body]): Request => ['POST', `entities/${of}/attrs`, body]) },
  { weight: 2, arbitrary: fc.tuple(id, attributes).map(([of, body]): Request => ['PATCH', `entities/${of}`, body]) },
  { weight: 1, arbitrary: fc.tuple(id, fc.constantFrom('speed', 'name', 'location')).map(([of, name]): Request => ['DELETE', `entities/${of}/attrs/${name}`]) },
  { weight: 1, arbitrary: id.map((of): Request => ['DELETE', `entities/${of}`]) },
  { weight: 1, arbitrary: fc.array(entity, { minLength: 1, maxLength: 4 }).map((body): Request => ['POST', 'entityOperations/upsert', body]) },
  { weight: 1, arbitrary: fc.array(id, { minLength: 1, maxLength: 3 }).map((body): Request => ['POST', 'entityOperations/delete', body]) },
); // biome-ignore format: a table
const step = fc.record({
  write: fc.oneof({ weight: 8, arbitrary: write }, fc.constant('a second passes' as const)),
  tenant: fc.oneof({ weight: 3, arbitrary: fc.constant('') }, fc.constant('other')),
  questions: fc.uniqueArray(fc.integer({ min: 0, max: QUESTIONS.length - 1 }), { minLength: 4, maxLength: 8 }),
});

interface Asked {
  readonly broker: TestBroker;
  /** Where the broker serves a @context that was added to it. */
  readonly context: string;
  readonly clock: ReturnType<typeof testClock>;
}

async function start(cacheBytes: number): Promise<Asked> {
  const clock = testClock('2026-03-01T07:00:00Z', 'test');
  const broker = await inMemoryBroker({ clock, config: { cacheBytes, indexesPinned: [SPEED] } });
  const added = await broker.request('POST', '/ngsi-ld/v1/jsonldContexts', {
    '@context': { velocity: SPEED, A: 'https://uri.etsi.org/ngsi-ld/default-context/A' },
  });
  return { broker, clock, context: String(added.headers.location) };
}

const SPEED = 'https://uri.etsi.org/ngsi-ld/default-context/speed';

async function answer({ broker, context }: Asked, question: number, tenant: string): Promise<unknown> {
  const [url, headers] = QUESTIONS[question]!;
  const link = headers?.['link'] && {
    link: `<http://127.0.0.1:0${context}>; rel="http://www.w3.org/ns/json-ld#context"; type="application/ld+json"`,
  };
  const reply = await broker.request('GET', `/ngsi-ld/v1/${url}`, undefined, {
    ...headers,
    ...link,
    ...(tenant && { 'ngsild-tenant': tenant }),
  });
  const here = (value: unknown) => String(value).replaceAll(context, 'CONTEXT');
  return {
    status: reply.statusCode,
    link: here(reply.headers.link),
    count: reply.headers['ngsild-results-count'],
    body: here(reply.body),
  };
}

async function perform(
  { broker, clock }: Asked,
  { write: what, tenant }: { write: Request | string; tenant: string },
): Promise<number> {
  if (typeof what === 'string') {
    clock.advance(1);
    return 0;
  }
  const [method, path, body] = what as Request;
  return (await broker.request(method, `/ngsi-ld/v1/${path}`, body, tenant ? { 'ngsild-tenant': tenant } : {})).statusCode;
}

describe('what is kept for the next time', () => {
  it('never changes an answer: after any history of writes it is that of a broker that keeps nothing', async () => {
    const seen = new Set<number>();
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 20 }), async (steps) => {
        const kept = await start(64 * 1024 * 1024);
        const bare = await start(0);
        try {
          await kept.broker.broker.store.indexes.ensure('' as never, { names: [SPEED as never] });
          for (const one of steps) {
            expect(await perform(kept, one)).toBe(await perform(bare, one));
            for (const question of one.questions) {
              for (const tenant of ['', 'other']) {
                const expected = await answer(bare, question, tenant);
                // What was asked for twice is kept, and the third time it comes from there; also when others wrote meanwhile.
                for (let time = 0; time < 3; time++) expect(await answer(kept, question, tenant)).toEqual(expected);
                const { status } = expected as { status: number };
                expect(status, `${QUESTIONS[question]![0]} ${JSON.stringify(expected)}`).not.toBe(400);
                seen.add(status);
              }
            }
          }
        } finally {
          await kept.broker[Symbol.asyncDispose]();
          await bare.broker[Symbol.asyncDispose]();
        }
      }),
      { numRuns: 8, endOnFailure: true },
    );
    expect([...seen].sort()).toEqual([200, 404]);
  }, 300_000);
});
