import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import type { DomainError } from '../../broker/domain/errors.ts';
import { contextLoader } from '../../broker/egress/context-loader.ts';
import { egressGuard } from '../../broker/egress/guard.ts';
import { NEWEST_CORE } from '../../contexts/index.ts';
import { documentsInMemory } from '../support/documents.ts';

const CONTEXT = { '@context': { x: 'https://example.org/x' } };
const cleanUp: (() => unknown)[] = [];
afterEach(async () => {
  for (const step of cleanUp.splice(0)) await step();
});

async function serverThat(answer: (request: IncomingMessage, response: ServerResponse) => void) {
  const seen: string[] = [];
  const server: Server = createServer((request, response) => {
    seen.push(request.url ?? '');
    answer(request, response);
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  cleanUp.push(() => {
    server.closeAllConnections();
    return new Promise((done) => server.close(done));
  });
  return { base: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, seen };
}

function loaderWith(options: Partial<Parameters<typeof contextLoader>[0]> = {}) {
  const loader = contextLoader({
    guard: egressGuard({ privateAddresses: true, allow: [] }),
    documents: documentsInMemory(),
    timeoutMs: 1000,
    limitBytes: 10_000,
    ...options,
  });
  cleanUp.push(() => loader.close());
  return loader;
}

const json = (response: ServerResponse, body: unknown, headers = {}) =>
  response.writeHead(200, { 'content-type': 'application/ld+json', ...headers }).end(JSON.stringify(body));

const failure = (work: Promise<unknown>) =>
  work.then(
    () => undefined,
    (error: DomainError) => error,
  );

describe('loading a @context', () => {
  it('asks nobody for a bundled one', async () => {
    const loader = loaderWith({
      guard: {
        check: () => Promise.reject(new Error('asked')),
        checkAddress: () => {
          throw new Error('asked');
        },
        lookup: (host, _options, found) => found(new Error(`${host} was looked up`), []),
      },
    });
    expect(await loader.load(NEWEST_CORE)).toHaveProperty('@context');
    expect(await loader.load(NEWEST_CORE.replace('https:', 'http:'))).toHaveProperty('@context');
  });

  it('fetches once for all who ask, and never again while it is fresh, not even after a restart', async () => {
    const { base, seen } = await serverThat((_request, response) => json(response, CONTEXT));
    const documents = documentsInMemory();
    const loader = loaderWith({ documents });
    const url = `${base}/context.jsonld`;
    expect(await Promise.all([loader.load(url), loader.load(url), loader.load(url)])).toEqual([CONTEXT, CONTEXT, CONTEXT]);
    await loader.load(url);
    expect(await loaderWith({ documents }).load(url)).toEqual(CONTEXT);
    expect(seen).toEqual(['/context.jsonld']);
  });

  it('answers one that is no longer fresh (6.3.16) at once, and fetches it in the background', async () => {
    let version = 1;
    const { base, seen } = await serverThat((_request, response) =>
      json(response, { '@context': { v: `https://example.org/${version}` } }, { 'cache-control': 'max-age=60' }),
    );
    let now = 0;
    const loader = loaderWith({ now: () => now });
    const first = await loader.load(base);
    now = 59_000;
    await loader.load(base);
    expect(seen.length).toBe(1);
    version = 2;
    now = 61_000;
    expect(await loader.load(base)).toEqual(first);
    await expect.poll(() => loader.load(base)).toEqual({ '@context': { v: 'https://example.org/2' } });
  });

  it('follows redirects, but only a few', async () => {
    const { base } = await serverThat((request, response) => {
      if (request.url === '/there') json(response, CONTEXT);
      else response.writeHead(302, { location: request.url === '/circle' ? '/circle' : '/there' }).end();
    });
    const loader = loaderWith();
    expect(await loader.load(`${base}/here`)).toEqual(CONTEXT);
    expect((await failure(loader.load(`${base}/circle`)))?.message).toContain('redirected');
  });

  it.each([
    ['answers 404', (response: ServerResponse) => response.writeHead(404).end(), 'answered 404'],
    ['never answers', () => {}, 'within 1000 ms'],
    ['answers endlessly', (response: ServerResponse) => response.writeHead(200).end(Buffer.alloc(50_000, 32)), 'larger than'],
  ])('says why if the server %s', async (_what, answer, why) => {
    const { base } = await serverThat((_request, response) => answer(response));
    const error = await failure(loaderWith().load(base));
    expect(error?.type).toBe('LdContextNotAvailable');
    expect(error?.message).toContain(base);
    expect(error?.message).toContain(why);
  });

  it('calls it wrong data if the server answers a web page (5.5.4)', async () => {
    const { base } = await serverThat((_request, response) => response.writeHead(200).end('<html>'));
    const error = await failure(loaderWith().load(base));
    expect(error?.type).toBe('BadRequestData');
    expect(error?.message).toContain(base);
  });

  it('does not ask a failing server again at once, and asks it again later', async () => {
    let status = 500;
    const { base, seen } = await serverThat((_request, response) =>
      status === 200 ? json(response, CONTEXT) : response.writeHead(status).end(),
    );
    let now = 0;
    const loader = loaderWith({ now: () => now });
    expect((await failure(loader.load(base)))?.type).toBe('LdContextNotAvailable');
    expect((await failure(loader.load(base)))?.type).toBe('LdContextNotAvailable');
    expect(seen.length).toBe(1);
    now = 60_000;
    status = 200;
    expect(await loader.load(base)).toEqual(CONTEXT);
  });

  it('refuses private addresses unless they are allowed, also behind a redirect', async () => {
    const { base, seen } = await serverThat((_request, response) => json(response, CONTEXT));
    const loader = loaderWith({ guard: egressGuard({ privateAddresses: false, allow: [] }) });
    expect((await failure(loader.load(base)))?.message).toContain('not a public address');
    expect((await failure(loader.load(base.replace('127.0.0.1', 'localhost'))))?.type).toBe('LdContextNotAvailable');
    expect(seen).toEqual([]);
    const allowed = loaderWith({ guard: egressGuard({ privateAddresses: false, allow: ['127.0.0.1'] }) });
    expect(await allowed.load(base)).toEqual(CONTEXT);
    const inward = await serverThat((_request, response) =>
      response.writeHead(302, { location: base.replace('127.0.0.1', 'localhost') }).end(),
    );
    expect((await failure(allowed.load(inward.base)))?.message).toContain('not a public address');
  });
});
