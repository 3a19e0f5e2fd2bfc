import { connect } from 'node:net';
import type { FastifyInstance, FastifyPluginAsync } from 'fastify';
import { pino } from 'pino';
import { afterEach, describe, expect, it } from 'vitest';
import { accepted, contextSource, sendBody } from '../../broker/api/http/negotiation.ts';
import { pagingHeaders, pagingOf } from '../../broker/api/http/paging.ts';
import { contextOf } from '../../broker/api/http/request.ts';
import { DomainError } from '../../broker/domain/errors.ts';
import type { Iri } from '../../broker/domain/iri.ts';
import type { Context } from '../../broker/domain/jsonld/context.ts';
import { type HttpLimits, httpServer } from '../../broker/transport/http.ts';

const ERRORS = 'https://uri.etsi.org/ngsi-ld/errors/';
const LINK = (url: string) => `<${url}>; rel="http://www.w3.org/ns/json-ld#context"; type="application/ld+json"`;

const contextNamed = (name: string): Context => ({
  key: name,
  source: name,
  link: name,
  expand: (term) => term as Iri,
  expandTerm: (term) => term as Iri,
  compact: (iri) => iri,
});

/** Routes that show what the edge did with a request. */
const routes: FastifyPluginAsync = async (app) => {
  app.post('/echo', { config: { clause: '5.6.1', query: ['local'] } }, async (request, reply) => {
    const context = await contextOf(request);
    return reply.send({ tenant: request.caller.tenant, context: context.key, body: request.body });
  });
  app.patch('/echo', { config: { clause: '5.6.4', query: [] } }, async (request) => ({ body: request.body }));
  app.delete('/echo', { config: { clause: '5.6.6', query: [] } }, async (request) => ({
    context: contextSource(request, undefined) ?? 'core',
  }));
  app.get('/list', { config: { clause: '5.7.2', query: ['limit', 'offset', 'count', 'q'] } }, async (request, reply) => {
    const media = accepted(request, true);
    const paging = pagingOf(request);
    pagingHeaders(request, reply, paging, { more: true, ...(paging.count && { count: 57 }) }, media);
    return sendBody(request, reply, { media, context: await contextOf(request), body: '[]' });
  });
  app.get('/things/:id', { config: { clause: '5.7.1', query: [] } }, async (request) => request.params);
  app.get('/fail', async (request) => {
    const { kind } = request.query as { kind?: string };
    if (kind === 'ours') throw new Error('password=hunter2 in some file');
    throw new DomainError('Unavailable', 'Too much is waiting to be written');
  });
};

const open: FastifyInstance[] = [];
async function edge(limits?: Partial<HttpLimits>): Promise<FastifyInstance> {
  const app = await httpServer({
    logger: pino({ level: 'silent' }),
    resolveContext: (source) => contextNamed(source === undefined ? 'core' : JSON.stringify(source)),
    routes: { '/x': [routes] },
    ...(limits && { limits }),
  });
  open.push(app);
  return app;
}
afterEach(async () => {
  await Promise.all(open.splice(0).map((app) => app.close()));
});

describe('requests that cannot be read (5.5.4, 6.3.2, 6.3.4)', () => {
  const post = (app: FastifyInstance, payload: string, type = 'application/json', headers = {}) =>
    app.inject({ method: 'POST', url: '/x/echo', payload, headers: { 'content-type': type, ...headers } });

  it.each([
    ['malformed JSON', '{"a": 1,}', 400, 'InvalidRequest'],
    ['a member called __proto__', '{"a": {"__proto__": {"admin": true}}}', 400, 'InvalidRequest'],
    ['an escaped __proto__', '{"\\u005f_proto__": 1}', 400, 'InvalidRequest'],
    ['a depth bomb', '['.repeat(100_000) + ']'.repeat(100_000), 400, 'InvalidRequest'],
    ['a body beyond the limit', JSON.stringify('x'.repeat(600_000)), 413, 'InvalidRequest'],
  ])('refuses %s with a problem', async (_what, payload, status, type) => {
    const answer = await post(await edge({ bodyLimitBytes: 500_000 }), payload);
    expect(answer.statusCode).toBe(status);
    expect(answer.headers['content-type']).toBe('application/json');
    expect(answer.json()).toMatchObject({ type: ERRORS + type, status });
    expect(answer.json().title).not.toBe('');
    expect(answer.json().detail).not.toBe('');
  });

  it('accepts nesting up to the limit', async () => {
    const payload = '['.repeat(64) + ']'.repeat(64);
    expect((await post(await edge(), payload)).statusCode).toBe(200);
  });

  it('says where malformed JSON breaks', async () => {
    expect((await post(await edge(), '{"a": nope}')).json().detail).toContain('{"a": nope}');
  });

  it('answers an unsupported media type with just 415', async () => {
    const answer = await post(await edge(), 'a=1', 'application/x-www-form-urlencoded');
    expect(answer.statusCode).toBe(415);
    expect(answer.body).toBe('');
  });

  it('answers a body without any media type with InvalidRequest, not with 415 (6.3.4)', async () => {
    const app = await edge();
    await app.listen({ port: 0, host: '127.0.0.1' });
    const { port } = app.server.address() as { port: number };
    const answer = await raw(port, 'POST /x/echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}');
    expect(answer).toMatch(/^HTTP\/1\.1 400 /);
    expect(answer).toContain('errors/InvalidRequest');
  });

  it('takes merge-patch for PATCH, and only there', async () => {
    const app = await edge();
    const type = 'application/merge-patch+json';
    const patch = await app.inject({ method: 'PATCH', url: '/x/echo', payload: '{"a":1}', headers: { 'content-type': type } });
    expect(patch.json()).toEqual({ body: { a: 1 } });
    expect((await post(app, '{}', type)).statusCode).toBe(415);
  });

  it('answers a missing Content-Length with just 411', async () => {
    const app = await edge();
    await app.listen({ port: 0, host: '127.0.0.1' });
    const { port } = app.server.address() as { port: number };
    const head =
      'POST /x/echo HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n';
    const answer = await raw(port, head);
    expect(answer).toMatch(/^HTTP\/1\.1 411 /);
    expect(answer.split('\r\n\r\n')[1]).toBe('');
  });

  it('answers what is not HTTP, and headers beyond the limit, with a problem', async () => {
    const app = await edge({ headerLimitBytes: 4096 });
    await app.listen({ port: 0, host: '127.0.0.1' });
    const { port } = app.server.address() as { port: number };
    expect(await raw(port, 'nonsense\r\n\r\n')).toMatch(/^HTTP\/1\.1 400 [\s\S]*errors\/InvalidRequest/);
    expect(await raw(port, `GET / HTTP/1.1\r\nHost: x\r\nX-Long: ${'x'.repeat(8000)}\r\n\r\n`)).toMatch(/^HTTP\/1\.1 431 /);
    expect((await app.inject('/x/list')).statusCode).toBe(200);
  });

  it('refuses a broken percent-encoding and a URL beyond the limit', async () => {
    const app = await edge({ urlLimitChars: 200 });
    expect((await app.inject('/x/things/%zz')).json()).toMatchObject({ type: `${ERRORS}InvalidRequest`, status: 400 });
    expect((await app.inject(`/x/list?q=${'a'.repeat(300)}`)).statusCode).toBe(414);
  });
});

describe('refusals', () => {
  it('tells a wrong path from a wrong method, and names the methods there are', async () => {
    const app = await edge();
    const nowhere = await app.inject('/x/nowhere');
    expect(nowhere.statusCode).toBe(404);
    expect(nowhere.json()).toMatchObject({ type: `${ERRORS}ResourceNotFound` });
    const wrong = await app.inject({ method: 'PUT', url: '/x/things/urn:a:b' });
    expect(wrong.statusCode).toBe(405);
    expect(wrong.headers['allow']).toBe('GET, HEAD');
    expect(wrong.json()).toMatchObject({ status: 405 });
  });

  it('shows nothing of our insides when something unforeseen fails', async () => {
    const answer = await (await edge()).inject('/x/fail?kind=ours');
    expect(answer.statusCode).toBe(500);
    expect(answer.json().type).toBe(`${ERRORS}InternalError`);
    expect(answer.body).not.toContain('hunter2');
  });

  it('says when to try again if the broker is overloaded', async () => {
    const answer = await (await edge()).inject('/x/fail');
    expect(answer.statusCode).toBe(503);
    expect(answer.headers['retry-after']).toBe('1');
  });

  it('refuses parameters that the operation does not have, or has twice (6.3.20)', async () => {
    const app = await edge();
    const unknown = await app.inject('/x/list?limit=1&colour=red');
    expect(unknown.json()).toMatchObject({ type: `${ERRORS}InvalidRequest`, status: 400 });
    expect(unknown.json().detail).toContain('"colour"');
    expect((await app.inject('/x/list?limit=1&limit=2')).json()).toMatchObject({ type: `${ERRORS}InvalidRequest` });
  });
});

describe('tenant (6.3.14)', () => {
  it('is known to the route and echoed, also by errors', async () => {
    const app = await edge();
    const headers = { 'ngsild-tenant': 'city_1', 'content-type': 'application/json' };
    const fine = await app.inject({ method: 'POST', url: '/x/echo', payload: '{}', headers });
    expect(fine.json().tenant).toBe('city_1');
    expect(fine.headers['ngsild-tenant']).toBe('city_1');
    expect((await app.inject({ url: '/x/nowhere', headers })).headers['ngsild-tenant']).toBe('city_1');
    expect((await app.inject('/x/list')).headers['ngsild-tenant']).toBeUndefined();
  });

  it('is refused if it cannot be a name', async () => {
    const answer = await (await edge()).inject({ url: '/x/list', headers: { 'ngsild-tenant': '../etc' } });
    expect(answer.json()).toMatchObject({ type: `${ERRORS}BadRequestData`, status: 400 });
  });
});

describe('which @context a request means (6.3.5)', () => {
  const A = 'https://example.org/a.jsonld';
  const post = async (type: string, payload: object, link?: string) =>
    (await edge()).inject({
      method: 'POST',
      url: '/x/echo',
      payload: JSON.stringify(payload),
      headers: { 'content-type': type, ...(link && { link }) },
    });

  it('takes it from the Link header for JSON, or the core context', async () => {
    expect((await post('application/json', {})).json().context).toBe('core');
    expect((await post('application/json', {}, LINK(A))).json().context).toBe(JSON.stringify(A));
    const among = `<https://example.org/next,page>; rel="next", ${LINK(A)}`;
    expect((await post('application/json', {}, among)).json().context).toBe(JSON.stringify(A));
    expect((await post('application/json', {}, '<https://example.org/next>; rel="next"')).json().context).toBe('core');
  });

  it('takes it from the body for JSON-LD', async () => {
    const answer = await post('application/ld+json; charset=utf-8', { '@context': [A] });
    expect(answer.json().context).toBe(JSON.stringify([A]));
  });

  it.each([
    ['an @context in a JSON body', 'application/json', { '@context': A }, undefined],
    ['JSON-LD without @context', 'application/ld+json', {}, undefined],
    ['JSON-LD with a Link header', 'application/ld+json', { '@context': A }, LINK(A)],
    ['two contexts in the Link header', 'application/json', {}, `${LINK(A)}, ${LINK('https://example.org/b.jsonld')}`],
  ])('refuses %s', async (_what, type, payload, link) => {
    expect((await post(type, payload, link)).json()).toMatchObject({ type: `${ERRORS}BadRequestData`, status: 400 });
  });

  it('looks only at the header for GET and DELETE', async () => {
    const app = await edge();
    const answer = await app.inject({
      method: 'DELETE',
      url: '/x/echo',
      headers: { link: LINK(A), 'content-type': 'application/json' },
    });
    expect(answer.json()).toEqual({ context: A });
  });
});

describe('how answers are represented (6.3.4, 6.3.6)', () => {
  const typeFor = async (accept?: string) =>
    (await (await edge()).inject({ url: '/x/list', headers: accept === undefined ? {} : { accept } })).headers['content-type'];

  it.each([
    [undefined, 'application/json'],
    ['*/*', 'application/json'],
    ['application/ld+json, application/json', 'application/json'],
    ['application/ld+json;q=0.9, application/json;q=0.1', 'application/ld+json'],
    ['application/*;q=0.5, application/json;q=0', 'application/ld+json'],
    ['application/geo+json', 'application/geo+json'],
    ['text/html, application/geo+json;q=0.2', 'application/geo+json'],
  ])('Accept: %s is answered as %s', async (accept, type) => expect(await typeFor(accept)).toBe(type));

  it('lists what there is if nothing is acceptable', async () => {
    const answer = await (await edge()).inject({ url: '/x/list', headers: { accept: 'text/html' } });
    expect(answer.statusCode).toBe(406);
    expect(answer.json().availableRepresentations).toEqual(['application/json', 'application/ld+json', 'application/geo+json']);
  });

  it('links the @context for JSON, and not for JSON-LD or errors', async () => {
    const app = await edge();
    expect((await app.inject('/x/list?limit=0&count=true')).headers['link']).toBe(LINK('core'));
    const ld = await app.inject({ url: '/x/list?limit=0&count=true', headers: { accept: 'application/ld+json' } });
    expect(ld.headers['link'] ?? '').not.toContain('json-ld#context');
    expect((await app.inject('/x/list?limit=x')).headers['link']).toBeUndefined();
  });

  it('puts the @context of GeoJSON where Prefer says', async () => {
    const app = await edge();
    const accept = 'application/geo+json';
    const url = '/x/list?limit=0&count=true';
    expect((await app.inject({ url, headers: { accept } })).headers['link']).toBeUndefined();
    expect((await app.inject({ url, headers: { accept, prefer: 'body=json' } })).headers['link']).toBe(LINK('core'));
    expect((await app.inject({ url, headers: { accept, prefer: 'body=ld+json' } })).headers['link']).toBeUndefined();
  });

  it('says which version it conforms to, when asked', async () => {
    const answer = await (await edge()).inject({ url: '/x/list', headers: { prefer: 'ngsi-ld=1.6' } });
    expect(answer.headers['preference-applied']).toBe('ngsi-ld=1.6');
  });
});

describe('paging (6.3.10, 6.3.13)', () => {
  it('links to the next and previous page with all other parameters, always in one order and spelling', async () => {
    const answer = await (await edge()).inject('/x/list?q=a%3E1&limit=10&offset=5');
    const links = String(answer.headers['link']);
    expect(links).toContain('</x/list?limit=10&offset=15&q=a%3E1>; rel="next"; type="application/json"');
    expect(links).toContain('</x/list?limit=10&offset=0&q=a%3E1>; rel="prev"; type="application/json"');
    const other = await (await edge()).inject('/x/list?q=%61%3a%22b,c%22;d%2B+e&limit=10');
    // A comma would end the link for who splits the header at commas, and a quotation mark its target.
    expect(other.headers['link']).toContain('</x/list?limit=10&offset=10&q=a:%22b%2Cc%22%3Bd%2B%20e>; rel="next"');
    expect(String(other.headers['link']).split('rel="next"')[0]).not.toMatch(/[",;] ?d/);
  });

  it('counts only when asked', async () => {
    const app = await edge();
    expect((await app.inject('/x/list?count=true')).headers['ngsild-results-count']).toBe('57');
    expect((await app.inject('/x/list')).headers['ngsild-results-count']).toBeUndefined();
  });

  it.each([
    ['limit=-1', 'BadRequestData', 400],
    ['limit=1.5', 'BadRequestData', 400],
    ['offset=abc', 'BadRequestData', 400],
    ['count=maybe', 'BadRequestData', 400],
    ['limit=0', 'BadRequestData', 400],
    ['limit=1001', 'TooManyResults', 403],
  ])('refuses %s', async (query, type, status) => {
    expect((await (await edge()).inject(`/x/list?${query}`)).json()).toMatchObject({ type: ERRORS + type, status });
  });
});

describe('documentation', () => {
  it('is OpenAPI 3.1 made from the routes, with parameters and clauses', async () => {
    const document = (await (await edge()).inject('/openapi.json')).json();
    expect(document.openapi).toBe('3.1.0');
    const list = document.paths['/x/list'].get;
    expect(list.description).toContain('Clause 5.7.2');
    expect(list.parameters.map((parameter: { name: string }) => parameter.name)).toContain('offset');
    expect(document.paths['/openapi.json']).toBeUndefined();
  });

  it('has a page to browse it', async () => {
    const page = await (await edge()).inject('/docs/');
    expect(page.statusCode).toBe(200);
    expect(page.headers['content-type']).toContain('text/html');
  });
});

function raw(port: number, text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let answer = '';
    const socket = connect(port, '127.0.0.1', () => socket.write(text));
    socket.setEncoding('utf8');
    socket.on('data', (chunk) => {
      answer += chunk;
    });
    socket.on('close', () => resolve(answer));
    socket.on('error', reject);
  });
}
