import fc from 'fast-check';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { inMemoryBroker } from '../support/broker.ts';
import { API, changesOf, ERRORS } from '../support/provision.ts';

const broker = await inMemoryBroker({ config: { contextTimeoutMs: 300 } });
afterAll(() => broker[Symbol.asyncDispose]());

/** After every refusal: nothing was stored, and the broker still works. */
afterEach(async () => {
  expect(await changesOf(broker)).toEqual([]);
  expect((await broker.request('GET', '/health')).statusCode).toBe(200);
});

const JSON_TYPE = { 'content-type': 'application/json' };
const LD = { 'content-type': 'application/ld+json' };
const good = { id: 'urn:a:1', type: 'A', a: { value: 1 } };
const nested = (depth: number, open: string, close: string) => `${open.repeat(depth)}1${close.repeat(depth)}`;

/** Every way in for an entity or a part of one. */
const DOORS = [
  ['POST', `${API}/entities`],
  ['PUT', `${API}/entities/urn:a:1`],
  ['PATCH', `${API}/entities/urn:a:1`],
  ['POST', `${API}/entities/urn:a:1/attrs`],
  ['PATCH', `${API}/entities/urn:a:1/attrs`],
  ['PATCH', `${API}/entities/urn:a:1/attrs/a`],
  ['PUT', `${API}/entities/urn:a:1/attrs/a`],
  ['POST', `${API}/entityOperations/create`],
  ['POST', `${API}/entityOperations/upsert`],
  ['POST', `${API}/entityOperations/update`],
  ['POST', `${API}/entityOperations/merge`],
  ['POST', `${API}/entityOperations/delete`],
] as const;

describe('bodies that are no JSON, through every door', () => {
  it.each(DOORS)('%s %s', async (method, url) => {
    const bodies: [string, string, number, string?][] = [
      ['nothing', '', 400, 'InvalidRequest'],
      ['half an object', '{"id": "urn:a:1", "type"', 400, 'InvalidRequest'],
      ['two documents', '{} {}', 400, 'InvalidRequest'],
      ['single quotes', "{'id': 'urn:a:1'}", 400, 'InvalidRequest'],
      ['a number too large for anything', '{"a": {"value": 1e999999}}', 400, 'InvalidRequest'],
      ['a byte order mark', '\uFEFF{}', 400],
      ['objects too deep', nested(5000, '{"a":', '}'), 400, 'InvalidRequest'],
      ['arrays too deep', nested(100_000, '[', ']'), 400, 'InvalidRequest'],
      ['__proto__', '{"id": "urn:a:1", "type": "A", "__proto__": {"admin": true}}', 400, 'InvalidRequest'],
      ['just a string', '"urn:a:1"', 400],
      ['just null', 'null', 400],
    ];
    for (const [what, payload, status, type] of bodies) {
      const headers = { ...JSON_TYPE, 'content-length': String(Buffer.byteLength(payload)) };
      const answer = await broker.app.inject({ method, url, payload, headers });
      expect([what, answer.statusCode]).toEqual([what, status]);
      expect(answer.headers['content-type']).toBe('application/json');
      expect(answer.json()).toMatchObject({ status, title: expect.any(String), detail: expect.any(String) });
      if (type !== undefined) expect([what, answer.json().type]).toEqual([what, ERRORS + type]);
    }
    expect(({} as Record<string, unknown>)['admin']).toBeUndefined();
  });
});

describe('bodies that are too large', () => {
  it('are refused with 413, announced or not', async () => {
    const large = JSON.stringify({ ...good, a: 'x'.repeat(11 * 1024 * 1024) });
    const answer = await broker.app.inject({ method: 'POST', url: `${API}/entities`, payload: large, headers: JSON_TYPE });
    expect(answer.statusCode).toBe(413);
    expect(answer.json()).toMatchObject({ status: 413, detail: expect.stringContaining('larger') });
  });
});

describe('JSON-LD that is none', () => {
  it.each([
    ['no @context', good, 400, 'BadRequestData'],
    ['a null @context', { ...good, '@context': null }, 400, 'BadRequestData'],
    ['a number as @context', { ...good, '@context': 5 }, 400, 'BadRequestData'],
    ['a relative @context', { ...good, '@context': 'context.jsonld' }, 400, 'BadRequestData'],
    ['a file as @context', { ...good, '@context': 'file:///etc/passwd' }, 400, 'BadRequestData'],
    ['a term that is no IRI', { ...good, '@context': { a: 'no iri' } }, 400, 'BadRequestData'],
    [
      'a scoped context',
      { ...good, '@context': { a: { '@id': 'https://a.example/a', '@context': {} } } },
      400,
      'BadRequestData',
    ],
    ['a context with terms in a circle', { ...good, '@context': { a: 'b:x', b: 'a:y' } }, 400, 'BadRequestData'],
    ['an unreachable @context', { ...good, '@context': 'http://127.0.0.1:1/c' }, 504, 'LdContextNotAvailable'],
    [
      'one unreachable of two',
      { ...good, '@context': [{ a: 'https://a.example/a' }, 'http://127.0.0.1:1/d'] },
      504,
      'LdContextNotAvailable',
    ],
    ['an @context inside an attribute', { ...good, '@context': {}, a: { value: 1, '@context': {} } }, 400, 'BadRequestData'],
    ['@graph', { '@context': {}, '@graph': [good] }, 400, 'BadRequestData'],
  ])('%s', async (_what, body, status, type) => {
    const answer = await broker.request('POST', `${API}/entities`, body, LD);
    expect(answer.json()).toMatchObject({ status, type: ERRORS + type });
  });
});

describe('entities that are none', () => {
  it.each([
    [
      'an unknown kind of attribute',
      { ...good, a: { type: 'Proberty', value: 1 } },
      'attribute a: "Proberty" is not a type of attribute',
    ],
    ['a kind of attribute that is no text', { ...good, a: { type: 5, value: 1 } }, 'attribute a'],
    [
      'a value that is missing',
      { ...good, temperature: { type: 'Property', unitCode: 'CEL' } },
      'attribute temperature: value is missing',
    ],
    [
      'a relationship to nowhere',
      { ...good, a: { type: 'Relationship', object: 'nowhere' } },
      'attribute a: object must be an absolute IRI',
    ],
    [
      'a point without coordinates',
      { ...good, location: { type: 'GeoProperty', value: { type: 'Point' } } },
      'attribute location',
    ],
    [
      'a point outside of the world',
      { ...good, location: { type: 'GeoProperty', value: { type: 'Point', coordinates: [500, 'x'] } } },
      'attribute location',
    ],
    [
      'a polygon that is open',
      {
        ...good,
        location: {
          type: 'Polygon',
          coordinates: [
            [
              [0, 0],
              [1, 1],
              [1, 0],
              [2, 2],
            ],
          ],
        },
      },
      'attribute location',
    ],
    ['a time without zone', { ...good, a: { value: 1, observedAt: '2026-01-01T00:00:00' } }, 'observedAt must be a DateTime'],
    [
      'a day that does not exist',
      { ...good, a: { value: 1, observedAt: '2026-02-30T00:00:00Z' } },
      'observedAt must be a DateTime',
    ],
    ['a name with a space', { ...good, 'my attribute': 1 }, '"my attribute" cannot be a name'],
    ['a name with brackets', { ...good, 'a<script>': 1 }, 'cannot be a name'],
    ['an empty name', { ...good, '': 1 }, 'cannot be a name'],
    ['an empty object as id', { ...good, id: {} }, 'The id of an entity'],
    ['an id with a line break', { ...good, id: 'urn:a:\n1' }, 'The id of an entity'],
    ['an empty id', { ...good, id: '' }, 'The id of an entity'],
    ['a type that is an object', { ...good, type: {} }, 'The type of an entity'],
    ['a scope with an empty level', { ...good, scope: '/a//b' }, 'is not a scope'],
  ])('%s', async (_what, body, detail) => {
    const answer = await broker.request('POST', `${API}/entities`, body);
    expect(answer.json()).toMatchObject({ status: 400, type: `${ERRORS}BadRequestData` });
    expect(answer.json().detail).toContain(detail);
  });
});

describe('headers and addresses that cannot be', () => {
  it.each([
    ['a tenant that is a path', 'GET', `${API}/entities?type=A`, { 'ngsild-tenant': '../../etc' }, 400],
    ['a tenant that is too long', 'GET', `${API}/entities?type=A`, { 'ngsild-tenant': 'x'.repeat(65) }, 400],
    ['broken percent-encoding in a path', 'DELETE', `${API}/entities/urn%3Aa%3A%E0%A4%A`, {}, 400],
    ['an id that is none', 'DELETE', `${API}/entities/../../../etc`, {}, 404],
    [
      'a Link header that names no URL',
      'DELETE',
      `${API}/entities/urn:a:1`,
      { link: '<nothing>; rel="http://www.w3.org/ns/json-ld#context"' },
      400,
    ],
    [
      'a Link header to a dead host',
      'DELETE',
      `${API}/entities/urn:a:1`,
      { link: '<http://127.0.0.1:1/e>; rel="http://www.w3.org/ns/json-ld#context"' },
      504,
    ],
    ['a parameter that does not exist', 'DELETE', `${API}/entities/urn:a:1?force=true`, {}, 400],
    ['a parameter twice', 'DELETE', `${API}/entities/urn:a:1?type=A&type=B`, {}, 400],
    ['a type selection that is none', 'DELETE', `${API}/entities/urn:a:1?type=((A`, {}, 400],
    ['a method that does not exist here', 'POST', `${API}/entities/urn:a:1`, {}, 405],
    ['an id that is missing where there is another resource', 'DELETE', `${API}/temporal/entities/`, undefined, 405],
    [
      'an attribute that is missing where there is another resource',
      'DELETE',
      `${API}/entities/urn:a:1/attrs/`,
      undefined,
      405,
    ],
    ['an entity id that is missing', 'PUT', `${API}/entities/`, {}, 400],
    ['an address that does not exist', 'POST', `${API}/entity`, {}, 404],
  ] as const)('%s', async (_what, method, url, headers, status) => {
    const answer = await broker.request(method, url, undefined, headers);
    expect(answer.json()).toMatchObject({ status, type: expect.stringContaining(ERRORS) });
  });
});

describe('noise', () => {
  it('of any shape is refused or stored, and never a 500', async () => {
    await using other = await inMemoryBroker();
    const noise = fc.oneof(
      fc.json({ maxDepth: 4 }),
      fc.string(),
      fc.json({ maxDepth: 2 }).map((value) => `{"id":"urn:a:1","type":"A","a":${value}}`),
    );
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...DOORS), noise, async ([method, url], payload) => {
        const { statusCode } = await other.app.inject({ method, url, payload, headers: JSON_TYPE });
        expect([200, 201, 204, 207, 400, 404, 409, 411]).toContain(statusCode);
      }),
      { numRuns: 400 },
    );
  });

  it('in addresses is never a 500', async () => {
    await fc.assert(
      // Not the empty id: that is the resource entities/, which answers a query. "." and ".." are taken out of a path by whoever sends it.
      fc.asyncProperty(
        fc.constantFrom('GET', 'DELETE'),
        fc.string({ minLength: 1 }).filter((id) => id !== '.' && id !== '..'),
        fc.string(),
        async (method, id, query) => {
          const url = `${API}/entities/${encodeURIComponent(id)}?type=${encodeURIComponent(query)}`;
          const { statusCode } = await broker.request(method as 'GET', url);
          expect([400, 404]).toContain(statusCode);
        },
      ),
      { numRuns: 200 },
    );
  });
});
