import { describe, expect, it } from 'vitest';
import { inMemoryBroker, type TestBroker } from '../support/broker.ts';
import { source } from './source.ts';

const CAR = 'urn:ngsi-ld:Car:1';
const PATH = `/ngsi-ld/v1/entities/${CAR}`;
const car = (speed: number) => ({ id: CAR, type: 'Car', speed: { type: 'Property', value: speed } });

async function register(broker: TestBroker, endpoint: string, more: Record<string, unknown> = {}, id = 'urn:r:1') {
  const answer = await broker.request('POST', '/ngsi-ld/v1/csourceRegistrations', {
    id,
    type: 'ContextSourceRegistration',
    information: [{ entities: [{ type: 'Car' }] }],
    operations: ['redirectionOps', 'queryBatch', 'updateBatch'],
    endpoint,
    ...more,
  });
  expect(answer.statusCode, answer.body).toBe(201);
}

describe('RegistrationManagementInfo (5.2.34)', () => {
  it.each([{ management: { localOnly: true } }, { localOnly: true }])(
    '%j: the source is asked for what it has itself',
    async (more) => {
      await using far = await source(() => ({ body: car(1) }));
      await using near = await inMemoryBroker({ config: { mqtt: false } });
      await register(near, far.url, more);
      expect((await near.request('GET', PATH)).json().speed.value).toBe(1);
      expect(far.heard[0]?.url).toContain('local=true');
    },
  );

  it('without localOnly the source may ask others', async () => {
    await using far = await source(() => ({ body: car(1) }));
    await using near = await inMemoryBroker({ config: { mqtt: false } });
    await register(near, far.url, { management: { timeout: 1000 } });
    await near.request('GET', PATH);
    expect(far.heard[0]?.url).not.toContain('local=');
  });

  it('cacheDuration: the same read is answered from the last reply and says so (110), until something is written there', async () => {
    await using far = await source((_, count) => ({ body: car(count) }));
    await using near = await inMemoryBroker({ config: { mqtt: false } });
    await register(near, far.url, { mode: 'redirect', management: { cacheDuration: 'PT1H' } });
    const ask = async (headers: Record<string, string> = {}) => near.request('GET', PATH, undefined, headers);
    const first = await ask();
    expect(first.json().speed.value).toBe(1);
    expect(first.headers).not.toHaveProperty('ngsild-warning');
    const second = await ask({ prefer: 'sources' });
    expect(second.json().speed.value).toBe(1);
    expect(second.headers['ngsild-warning']).toMatch(/^110 urn:r:1 /);
    // Nothing is missing, it is only older.
    expect(JSON.parse(String(second.headers['mizar-sources']))[1]).not.toHaveProperty('missing');
    expect(far.heard).toHaveLength(1);
    expect((await near.request('PATCH', `${PATH}/attrs`, { speed: { type: 'Property', value: 9 } })).statusCode).toBe(204);
    expect((await ask()).json().speed.value).toBe(3);
    expect((await near.request('GET', `${PATH}?local=true`)).statusCode).toBe(404);
  });

  it('cacheDuration: credentials that differ are not answered with what others were told', async () => {
    await using far = await source((_, count) => ({ body: car(count) }));
    await using near = await inMemoryBroker({ config: { mqtt: false } });
    await register(near, far.url, {
      management: { cacheDuration: 'PT1H' },
      contextSourceInfo: [{ key: 'X-Key', value: 'urn:ngsi-ld:request' }],
    });
    const as = async (key: string) => (await near.request('GET', PATH, undefined, { 'x-key': key })).json().speed.value;
    expect([await as('a'), await as('b'), await as('a')]).toEqual([1, 2, 1]);
  });

  it('cacheDuration: a failure is not kept, and nothing is without cacheDuration or with MIZAR_SOURCE_CACHE_BYTES=0', async () => {
    await using far = await source((_, count) => (count === 1 ? { status: 500 } : { body: car(count) }));
    await using near = await inMemoryBroker({ config: { mqtt: false, sourceCacheBytes: 0 } });
    await register(near, far.url, { management: { cacheDuration: 'PT1H' } });
    expect((await near.request('GET', PATH)).headers['ngsild-warning']).toMatch(/^299 /);
    expect((await near.request('GET', PATH)).json().speed.value).toBe(2);
    expect((await near.request('GET', PATH)).json().speed.value).toBe(3);
  });

  it('timeout: what takes longer has failed; cooldown: the endpoint is then left alone, for every registration that has it', async () => {
    await using far = await source(() => undefined);
    await using near = await inMemoryBroker({ config: { mqtt: false, sourceTimeoutMs: 60_000 } });
    await register(near, far.url, { management: { timeout: 50, cooldown: 3_600_000 } });
    await register(
      near,
      far.url,
      { management: { timeout: 50, cooldown: 3_600_000 }, information: [{ entities: [{ type: 'Bus' }] }] },
      'urn:r:2',
    );
    expect((await near.request('GET', '/ngsi-ld/v1/entities?type=Car')).headers['ngsild-warning']).toMatch(
      /^199 urn:r:1 .*50 ms/,
    );
    const again = await near.request('GET', '/ngsi-ld/v1/entities?type=Bus');
    expect(again.headers['ngsild-warning']).toMatch(/^199 urn:r:2 .*cooldown/);
    expect(far.heard).toHaveLength(1);
  });
});

describe('what is said to a source (4.3.6.6)', () => {
  const WORDS = {
    '@context': {
      Auto: 'https://uri.etsi.org/ngsi-ld/default-context/Car',
      v: 'https://uri.etsi.org/ngsi-ld/default-context/speed',
    },
  };

  it('jsonldContext: payload and parameters are in its terms, and the payload carries no @context', async () => {
    await using words = await source(() => ({ body: WORDS }));
    await using far = await source(({ method }) => (method === 'GET' ? { body: [] } : { status: 204 }));
    await using near = await inMemoryBroker({ config: { mqtt: false } });
    await register(near, far.url, { contextSourceInfo: [{ key: 'jsonldContext', value: `${words.url}/words.jsonld` }] });
    await near.request('GET', '/ngsi-ld/v1/entities?type=Car&attrs=speed&q=speed%3E5;speed.car==%22speed%22');
    const asked = new URL(far.heard[0]?.url ?? '', far.url).searchParams;
    expect(asked.get('type')).toBe('Auto');
    expect(asked.get('attrs')).toBe('v');
    expect(asked.get('q')).toBe('v>5;v.car=="speed"');
    expect(far.heard[0]?.headers['link']).toContain('words.jsonld');
    await near.request('PATCH', `${PATH}/attrs/speed`, { value: 7 });
    expect(far.heard[1]?.url).toContain('/attrs/v');
    await near.request(
      'PATCH',
      `${PATH}/attrs`,
      { '@context': 'https://uri.etsi.org/ngsi-ld/v1/ngsi-ld-core-context-v1.9.jsonld', speed: { type: 'Property', value: 8 } },
      { 'content-type': 'application/ld+json' },
    );
    expect(JSON.parse(far.heard[2]?.body ?? '')).toEqual({ v: { type: 'Property', value: 8 } });
    expect(far.heard[2]?.headers['content-type']).toBe('application/json');
  });

  it('ngsildConformance: the payload has what that version knows, and nothing else', async () => {
    await using far = await source(() => ({ status: 201 }));
    await using near = await inMemoryBroker({ config: { mqtt: false } });
    await register(near, far.url, { contextSourceInfo: [{ key: 'ngsildConformance', value: '1.3' }] });
    const name = { type: 'LanguageProperty', languageMap: { en: 'car' } };
    const body = { ...car(1), scope: '/a', name };
    expect((await near.request('POST', '/ngsi-ld/v1/entities', body)).statusCode).toBe(201);
    expect(JSON.parse(far.heard[0]?.body ?? '')).toMatchObject({
      speed: { value: 1 },
      name: { type: 'Property', value: { en: 'car' } },
    });
    expect(far.heard[0]?.body).not.toContain('scope');
    expect(far.heard[0]?.headers).not.toHaveProperty('ngsildconformance');
    // What is held here is what the client sent.
    expect((await near.request('GET', `${PATH}?local=true`)).json()).toMatchObject({ scope: '/a', name });
  });

  it('elements of a batch keep the @context that each of them brings (5.6.9)', async () => {
    await using far = await source(() => ({ status: 204 }));
    await using near = await inMemoryBroker({ config: { mqtt: false } });
    await register(near, far.url);
    const core = 'https://uri.etsi.org/ngsi-ld/v1/ngsi-ld-core-context-v1.9.jsonld';
    const other = [{ Auto: 'https://uri.etsi.org/ngsi-ld/default-context/Car' }, core];
    const batch = [
      { ...car(1), '@context': core },
      { id: 'urn:ngsi-ld:Car:2', type: 'Auto', speed: { type: 'Property', value: 2 }, '@context': other },
    ];
    await near.request('POST', '/ngsi-ld/v1/entityOperations/update', batch, { 'content-type': 'application/ld+json' });
    expect(far.heard[0]?.headers['content-type']).toBe('application/ld+json');
    expect(JSON.parse(far.heard[0]?.body ?? '')).toMatchObject([
      { type: 'Car', '@context': core },
      { type: 'Auto', '@context': other },
    ]);
  });

  it('what a proxied source does not cover, and is not here, is told of (5.6.2.4)', async () => {
    await using far = await source(() => ({ status: 204 }));
    await using near = await inMemoryBroker({ config: { mqtt: false } });
    const information = [{ entities: [{ id: CAR, type: 'Car' }], propertyNames: ['speed'] }];
    await register(near, far.url, { mode: 'exclusive', information });
    const patch = (body: object) => near.request('PATCH', `${PATH}/attrs`, body);
    expect((await patch({ speed: { type: 'Property', value: 8 } })).statusCode).toBe(204);
    const both = await patch({ speed: { type: 'Property', value: 8 }, doors: { type: 'Property', value: 4 } });
    expect(both.statusCode).toBe(207);
    expect(both.json().updated).toEqual(['https://uri.etsi.org/ngsi-ld/default-context/speed']);
    expect(JSON.stringify(both.json().notUpdated)).toContain('doors');
    expect(far.heard.map(({ body }) => Object.keys(JSON.parse(body)))).toEqual([['speed'], ['speed']]);
  });

  it('a source that says 207 and not what, is told of as such, and not taken for a success (5.6.3.4)', async () => {
    await using far = await source(() => ({ status: 207 }));
    await using near = await inMemoryBroker({ config: { mqtt: false } });
    await register(near, far.url, { mode: 'redirect' });
    const answer = await near.request('POST', `${PATH}/attrs?options=noOverwrite`, { speed: { type: 'Property', value: 8 } });
    expect(answer.statusCode).toBe(207);
    expect(answer.body).toContain('urn:r:1');
    expect(far.heard[0]?.url).toContain('noOverwrite');
  });
});
