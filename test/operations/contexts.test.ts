import jsonld from 'jsonld';
import { describe, expect, it } from 'vitest';
import { DomainError } from '../../broker/domain/errors.ts';
import type { Iri } from '../../broker/domain/iri.ts';
import type { JsonValue } from '../../broker/domain/json.ts';
import type { Context } from '../../broker/domain/jsonld/context.ts';
import { type ContextResolver, contextResolver } from '../../broker/operations/contexts/resolve.ts';
import { BUNDLED, bundledContext, NEWEST_CORE } from '../../contexts/index.ts';

const CORE = 'https://uri.etsi.org/ngsi-ld/v1/ngsi-ld-core-context-v1.8.jsonld';
const WEATHER = 'https://raw.githubusercontent.com/smart-data-models/dataModel.Weather/master/context.jsonld';
const DEFAULT = 'https://uri.etsi.org/ngsi-ld/default-context/';

/** Documents by URL, after the bundled ones; counts what is asked for. */
async function resolverOver(documents: Record<string, JsonValue> = {}, coreUrl = CORE) {
  const asked: string[] = [];
  const load = async (url: string): Promise<JsonValue> => {
    const bundled = await bundledContext(url);
    if (bundled !== undefined) return JSON.parse(bundled);
    asked.push(url);
    const document = documents[url];
    if (document === undefined) throw new DomainError('LdContextNotAvailable', `nothing at ${url}`);
    return document;
  };
  return { resolver: await contextResolver({ load, coreUrl }), asked };
}

const refusal = async (work: () => unknown): Promise<string> => {
  try {
    await work();
  } catch (error) {
    return (error as DomainError).type;
  }
  return 'nothing refused';
};

describe('bundled contexts', () => {
  // The data-integrity context is there for the core to refer to; as a client's own context it is refused, because its terms are scoped.
  it.each(Object.keys(BUNDLED).filter((url) => !url.includes('w3id.org')))(
    '%s is the pinned copy, and can be a table',
    async (url) => {
      const { resolver, asked } = await resolverOver();
      const context = await resolver.resolve(url);
      expect(context.expand('Property')).toBe('https://uri.etsi.org/ngsi-ld/Property');
      expect(asked).toEqual([]);
    },
  );

  it.each(Object.keys(BUNDLED).filter((url) => url.includes('core-context')))('%s can be the core', async (coreUrl) => {
    const { resolver } = await resolverOver({}, coreUrl);
    expect(resolver.core.expand('location')).toBe('https://uri.etsi.org/ngsi-ld/location');
    expect(resolver.core.source).toBe(coreUrl);
  });
});

describe('names (5.5.7)', () => {
  it('are expanded by the core context if there is no other', async () => {
    const { core } = (await resolverOver()).resolver;
    expect(core.expand('id')).toBe('@id');
    expect(core.expand('observedAt')).toBe('https://uri.etsi.org/ngsi-ld/observedAt');
    expect(core.expand('ngsi-ld:Property')).toBe('https://uri.etsi.org/ngsi-ld/Property');
    expect(core.expand('pm25')).toBe(`${DEFAULT}pm25`);
    expect(core.expand('https://example.org/a')).toBe('https://example.org/a');
    expect(core.expand('Straße')).toBe(`${DEFAULT}Straße`);
  });

  it('are compacted back to what they came from', async () => {
    const { resolver } = await resolverOver();
    const context = await resolver.resolve([{ ex: 'https://example.org/ns#', PM: 'https://example.org/ns#particulates' }]);
    for (const name of ['pm25', 'location', 'PM', 'ex:other', 'https://example.com/x', 'urn:a:b', 'description']) {
      expect(context.compact(context.expand(name))).toBe(name);
    }
    expect(context.compact('https://example.org/ns#particulates' as Iri)).toBe('PM');
    // "PM" alone would be expanded to something else.
    expect(context.compact(`${DEFAULT}PM` as Iri)).toBe('ngsi-ld:default-context/PM');
    expect(context.expand('ngsi-ld:default-context/PM')).toBe(`${DEFAULT}PM`);
  });

  it.each(['', 'two words', '9lives', 'a-b', 'urn:', 'x:<y>', 'dé{f}'])('refuses %j', async (name) => {
    const { core } = (await resolverOver()).resolver;
    expect(await refusal(() => core.expand(name))).toBe('BadRequestData');
  });

  it('gives core terms precedence wherever the core is named, and tolerates protected ones being redefined', async () => {
    const own = { location: 'https://example.org/location', temperature: 'https://example.org/temperature' };
    const { resolver } = await resolverOver();
    const core9 = NEWEST_CORE;
    for (const source of [own, [own], [core9, own], [own, core9], [{ '@protected': true, ...own }, core9]]) {
      const context = await resolver.resolve(source);
      expect(context.expand('location')).toBe('https://uri.etsi.org/ngsi-ld/location');
      expect(context.expand('temperature')).toBe('https://example.org/temperature');
    }
  });

  it('lets a context use the prefixes of the core', async () => {
    const { resolver } = await resolverOver();
    const context = await resolver.resolve({ speed: 'ngsi-ld:default-context/speed' });
    expect(context.expand('speed')).toBe(`${DEFAULT}speed`);
  });

  it('expands and compacts as the jsonld package does', async () => {
    const { resolver } = await resolverOver();
    const sources: JsonValue[] = [
      WEATHER,
      NEWEST_CORE,
      { ex: 'https://example.org/', a: 'ex:one', '@vocab': 'https://example.org/v/' },
    ];
    const names = ['temperature', 'windSpeed', 'location', 'nowhere', 'a', 'ex:b', 'urn:x:y', 'Property', 'geojson:Point'];
    const documentLoader = async (url: string) => ({
      document: JSON.parse((await bundledContext(url)) ?? '{}'),
      documentUrl: url,
    });
    for (const source of sources) {
      const context = await resolver.resolve(source);
      // The package processes contexts in order, so it gets the core last, and unprotected so that it may redefine.
      const core = JSON.parse((await bundledContext(CORE)) ?? '')['@context'];
      const inOrder = [...(source === NEWEST_CORE ? [] : [source]), { ...core, '@protected': undefined }].map((item) =>
        typeof item === 'object' ? JSON.parse(JSON.stringify(item)) : item,
      );
      for (const name of names) {
        const document = { '@context': inOrder, [name]: { '@id': 'urn:x:1' } };
        const [expanded] = (await jsonld.expand(document as never, { documentLoader } as never)) as unknown as [
          Record<string, unknown>,
        ];
        expect([name, context.expand(name)]).toEqual([name, Object.keys(expanded)[0]]);
      }
    }
  });
});

describe('what a @context may be', () => {
  const A = 'https://a.example/context.jsonld';
  const B = 'https://b.example/context.jsonld';

  it('follows URLs inside documents, in order', async () => {
    const { resolver } = await resolverOver({
      [A]: { '@context': [B, { x: 'https://a.example/x' }] },
      [B]: { '@context': { x: 'https://b.example/x', y: 'https://b.example/y' } },
    });
    const context = await resolver.resolve([[A]]);
    expect(context.expand('x')).toBe('https://a.example/x');
    expect(context.expand('y')).toBe('https://b.example/y');
  });

  it.each([
    ['a circle', A, { [A]: { '@context': [A] } }, 'BadRequestData'],
    ['a document without @context', A, { [A]: { x: 1 } }, 'BadRequestData'],
    ['a document that is not there', A, {}, 'LdContextNotAvailable'],
    ['a scoped context', { x: { '@id': 'https://a.example/x', '@context': {} } }, {}, 'BadRequestData'],
    ['something else than http', 'file:///etc/passwd', {}, 'BadRequestData'],
    ['a number', 7, {}, 'BadRequestData'],
    ['a term that is no IRI', { x: 'not an iri' }, {}, 'BadRequestData'],
    ['a keyword redefined', { '@type': 'https://a.example/type' }, {}, 'BadRequestData'],
    ['a definition that is a number', { x: 5 }, {}, 'BadRequestData'],
  ])('%s', async (_what, source, documents, expected) => {
    const { resolver } = await resolverOver(documents as Record<string, JsonValue>);
    expect(await refusal(() => resolver.resolve(source as JsonValue))).toBe(expected);
  });
});

describe('resolving', () => {
  const A = 'https://a.example/context.jsonld';
  const B = 'https://b.example/context.jsonld';

  it('answers a known context at once, and asks once for an unknown one', async () => {
    const { resolver, asked } = await resolverOver({ [A]: { '@context': { x: 'https://a.example/x' } } });
    const [one, two] = await Promise.all([resolver.resolve(A), resolver.resolve(A)]);
    expect(one).toBe(two);
    expect(asked).toEqual([A]);
    expect(resolver.resolve(A)).toBe(one);
    expect(resolver.resolve(undefined)).toBe(resolver.core);
  });

  it('takes over what a context has become, without making anybody wait, and keeps the table if nothing changed', async () => {
    const documents: Record<string, JsonValue> = { [A]: { '@context': { x: 'https://a.example/1' } } };
    const load = async (url: string): Promise<JsonValue> => documents[url] ?? JSON.parse((await bundledContext(url)) ?? '');
    const resolver: ContextResolver = await contextResolver({ load, coreUrl: CORE, recheckMs: -1 });
    const first = await resolver.resolve(A);
    expect(resolver.resolve(A)).toBe(first);
    await new Promise((done) => setTimeout(done, 50));
    expect(resolver.resolve(A)).toBe(first);
    documents[A] = { '@context': { x: 'https://a.example/2' } };
    await new Promise((done) => setTimeout(done, 50));
    resolver.resolve(A);
    await new Promise((done) => setTimeout(done, 50));
    const later = resolver.resolve(A) as Context;
    expect(later.expand('x')).toBe('https://a.example/2');
    expect(later.key).not.toBe(first.key);
  });

  it('names in answers what the client named, and the core', async () => {
    const { resolver } = await resolverOver({ [A]: { '@context': {} }, [B]: { '@context': [{}, NEWEST_CORE] } });
    const described = async (source: JsonValue) => {
      const { source: whole, link } = await resolver.resolve(source);
      return { whole, link };
    };
    expect(await described(A)).toEqual({ whole: [A, CORE], link: A });
    expect(await described([A, NEWEST_CORE])).toEqual({ whole: [A, NEWEST_CORE], link: A });
    expect(await described(B)).toEqual({ whole: B, link: B });
    expect(await described([A, { x: 'https://x.example/' }])).toEqual({
      whole: [A, { x: 'https://x.example/' }, CORE],
      link: undefined,
    });
    expect(await described(NEWEST_CORE)).toEqual({ whole: NEWEST_CORE, link: NEWEST_CORE });
  });
});
