import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { inMemoryBroker, type TestBroker } from '../../support/broker.ts';
import { API, ERRORS, storedEntity } from '../../support/provision.ts';

const CONTEXTS = `${API}/jsonldContexts`;
const LD = { 'content-type': 'application/ld+json' };
const document = { '@context': { speed: 'https://example.org/speed', Car: 'https://example.org/Car' }, else: 'is not kept' };
const link = (url: string) => ({ link: `<${url}>; rel="http://www.w3.org/ns/json-ld#context"; type="application/ld+json"` });

let broker: TestBroker;
beforeEach(async () => {
  broker = await inMemoryBroker({ config: { publicUrl: 'https://broker.example' } });
  return () => broker[Symbol.asyncDispose]();
});

async function added(): Promise<string> {
  const answer = await broker.request('POST', CONTEXTS, document);
  expect(answer.statusCode).toBe(201);
  return String(answer.headers['location']);
}

/** A server of one @context, and how to change what it answers. */
const servers: (() => void)[] = [];
afterEach(() => {
  for (const stop of servers.splice(0)) stop();
});
async function remote() {
  const state = { status: 200, body: JSON.stringify(document) };
  const server = createServer((_request, response) => response.writeHead(state.status).end(state.body));
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  servers.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/c.jsonld`, state };
}

describe('hosted @contexts (5.13.2 to 5.13.5)', () => {
  it('are stored, listed, described and served, without what stands beside the @context', async () => {
    const path = await added();
    const url = `https://broker.example${path}`;
    expect((await broker.request('GET', path)).json()).toEqual({ '@context': document['@context'] });
    expect((await broker.request('GET', CONTEXTS)).json()).toContain(url);
    expect((await broker.request('GET', `${CONTEXTS}?kind=ImplicitlyCreated`)).json()).toEqual([]);
    const details = (await broker.request('GET', `${CONTEXTS}?details=true&kind=Hosted`)).json();
    expect(details).toEqual([
      { URL: url, localId: path.slice(CONTEXTS.length + 1), kind: 'Hosted', createdAt: expect.any(String) },
    ]);
    expect((await broker.request('GET', `${path}?details=true`)).json()).toEqual(details[0]);
  });

  it('can be used in requests, by whatever name the broker is known', async () => {
    const path = await added();
    for (const [at, url] of [path, `https://broker.example${path}`, `http://localhost:9${path}`].entries()) {
      const answer = await broker.request('POST', `${API}/entities`, { id: `urn:c:${at}`, type: 'Car' }, link(url));
      expect([url, answer.statusCode]).toEqual([url, 201]);
      expect((await storedEntity(broker, `urn:c:${at}`))?.types).toEqual(['https://example.org/Car']);
    }
  });

  it('are gone when deleted, also for requests that used them before', async () => {
    const path = await added();
    const create = (id: string) =>
      broker.request('POST', `${API}/entities`, { id, type: 'Car' }, link(`https://broker.example${path}`));
    expect((await create('urn:c:1')).statusCode).toBe(201);
    expect((await broker.request('DELETE', `${path}?reload=true`)).json()).toMatchObject({ type: `${ERRORS}BadRequestData` });
    expect((await broker.request('DELETE', path)).statusCode).toBe(204);
    expect((await broker.request('GET', path)).statusCode).toBe(404);
    expect((await broker.request('DELETE', path)).statusCode).toBe(404);
    expect((await create('urn:c:2')).json()).toMatchObject({ status: 504, type: `${ERRORS}LdContextNotAvailable` });
    expect(await storedEntity(broker, 'urn:c:2')).toBeUndefined();
  });

  it.each([
    ['no @context', { a: 1 }, 'InvalidRequest'],
    ['a null @context', { '@context': null }, 'BadRequestData'],
    ['a term that is no IRI', { '@context': { a: 'no iri' } }, 'BadRequestData'],
    ['a number in it', { '@context': ['http://127.0.0.1:1/x', 7] }, 'BadRequestData'],
  ])('are refused with %s, and nothing is stored', async (_what, body, type) => {
    expect((await broker.request('POST', CONTEXTS, body)).json()).toMatchObject({
      status: 400,
      type: ERRORS + type,
    });
    expect((await broker.request('GET', `${CONTEXTS}?kind=Hosted`)).json()).toEqual([]);
  });

  it('belong to their tenant (5.5.10)', async () => {
    const other = { 'ngsild-tenant': 'other' };
    const path = await added();
    expect((await broker.request('GET', path, undefined, other)).statusCode).toBe(404);
    expect((await broker.request('GET', `${CONTEXTS}?kind=Hosted`, undefined, other)).json()).toEqual([]);
    expect((await broker.request('DELETE', path, undefined, other)).statusCode).toBe(404);
    expect((await broker.request('GET', path)).statusCode).toBe(200);
  });

  it('know no other kinds', async () => {
    expect((await broker.request('GET', `${CONTEXTS}?kind=Borrowed`)).statusCode).toBe(400);
  });
});

describe('cached @contexts', () => {
  it('are listed by their URL, not served, reloaded and deleted', async () => {
    const { url, state } = await remote();
    const path = `${CONTEXTS}/${encodeURIComponent(url)}`;
    const create = (id: string) => broker.request('POST', `${API}/entities`, { id, type: 'Car', '@context': url }, LD);
    expect((await broker.request('GET', path)).statusCode).toBe(404);
    expect((await create('urn:c:1')).statusCode).toBe(201);
    expect((await broker.request('GET', `${CONTEXTS}?kind=Cached`)).json()).toContain(url);
    expect((await broker.request('GET', path)).json()).toMatchObject({ status: 422, type: `${ERRORS}OperationNotSupported` });
    expect((await broker.request('GET', `${path}?details=true`)).json()).toMatchObject({
      URL: url,
      kind: 'Cached',
      expiresAt: expect.any(String),
    });

    state.body = JSON.stringify({ '@context': { Car: 'https://example.org/Automobile' } });
    expect((await broker.request('DELETE', `${path}?reload=true`)).statusCode).toBe(204);
    await create('urn:c:2');
    expect((await storedEntity(broker, 'urn:c:2'))?.types).toEqual(['https://example.org/Automobile']);

    state.status = 500;
    expect((await broker.request('DELETE', `${path}?reload=true`)).json()).toMatchObject({ status: 504 });
    expect((await create('urn:c:3')).statusCode).toBe(201);
    expect((await broker.request('DELETE', path)).statusCode).toBe(204);
    expect((await create('urn:c:4')).statusCode).toBe(504);
  });
});

describe('@contexts that ship with the broker', () => {
  it('are described, not served, not deleted', async () => {
    const path = `${CONTEXTS}/${encodeURIComponent('https://uri.etsi.org/ngsi-ld/v1/ngsi-ld-core-context-v1.6.jsonld')}`;
    expect((await broker.request('GET', `${path}?details=true`)).json()).toMatchObject({ kind: 'Cached' });
    expect((await broker.request('GET', path)).statusCode).toBe(422);
    expect((await broker.request('DELETE', path)).json()).toMatchObject({ status: 400, type: `${ERRORS}BadRequestData` });
    expect((await broker.request('DELETE', `${path}?reload=true`)).statusCode).toBe(204);
  });
});

describe('implicitly created @contexts (5.13.1)', () => {
  it('give an answer something to link to', async () => {
    const query = { '@context': document['@context'], type: 'Query', entities: [{ type: 'Car' }] };
    const answer = await broker.request('POST', `${API}/entityOperations/query`, query, { ...LD, accept: 'application/json' });
    expect(answer.statusCode).toBe(200);
    const url = /<([^>]+)>/.exec(String(answer.headers['link']))?.[1] ?? '';
    expect(url).toMatch(/^https:\/\/broker\.example\/ngsi-ld\/v1\/jsonldContexts\//);
    const served = await broker.request('GET', url.slice('https://broker.example'.length));
    expect(served.json()['@context']).toEqual([document['@context'], expect.stringContaining('ngsi-ld-core-context')]);
    await expect.poll(async () => (await broker.request('GET', `${CONTEXTS}?kind=ImplicitlyCreated`)).json()).toEqual([url]);
  });

  it('are not made by requests whose answer names none', async () => {
    await broker.request('POST', `${API}/entities`, { id: 'urn:c:1', type: 'Car', ...document }, LD);
    expect((await broker.request('GET', `${CONTEXTS}?kind=ImplicitlyCreated`)).json()).toEqual([]);
  });
});
