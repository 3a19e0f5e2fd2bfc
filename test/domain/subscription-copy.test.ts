import { beforeAll, describe, expect, it } from 'vitest';
import type { Iri } from '../../broker/domain/iri.ts';
import type { JsonObject } from '../../broker/domain/json.ts';
import type { Context } from '../../broker/domain/jsonld/context.ts';
import { notifiedChange } from '../../broker/domain/notified-change.ts';
import { readRegistration } from '../../broker/domain/registration-document.ts';
import { copyFragment, copyOf, judgesConditions } from '../../broker/domain/subscription-copy.ts';
import { readSubscription } from '../../broker/domain/subscription-document.ts';
import type { Instant } from '../../broker/domain/time.ts';
import { offlineContexts } from '../support/contexts.ts';

let core: Context;
let words: Context;
beforeAll(async () => {
  const contexts = await offlineContexts();
  core = await contexts.resolve(undefined);
  words = await contexts.resolve({
    Wagen: 'https://uri.etsi.org/ngsi-ld/default-context/Car',
    tempo: 'https://uri.etsi.org/ngsi-ld/default-context/speed',
  });
});

const ENDPOINT = 'http://near.example/ngsi-ld/ex/remote-notify';

function copy(
  subscription: JsonObject,
  registration: JsonObject,
  more: { context?: Context; split?: boolean } = {},
): JsonObject | undefined {
  const body = { type: 'Subscription', notification: { endpoint: { uri: 'http://subscriber.example/' } }, ...subscription };
  const document = readSubscription(body, core, 'urn:s:1' as Iri);
  const whole = { type: 'ContextSourceRegistration', endpoint: 'http://far.example', ...registration };
  const { registration: read } = readRegistration(whole, core, 'urn:r:1' as Iri);
  const terms = {
    registration: read,
    information: read.information,
    context: core,
    names: core,
    endpoint: ENDPOINT,
    split: false,
  };
  return copyOf(document, { ...terms, ...more });
}
const information = (...entities: JsonObject[]) => ({ information: [{ entities }] });

describe('The copy of a subscription is reduced to what is registered (5.8.1.4, 4.3.6.1)', () => {
  it.each([
    ['a type among several', { type: 'Bus,Car' }, { type: 'Car' }, [{ type: 'Car' }]],
    ['any type', { type: '*' }, { type: 'Car' }, [{ type: 'Car' }]],
    ['entities that have two types', { type: 'Car' }, { type: ['Car', 'Taxi'] }, [{ type: '(Car;Taxi)' }]],
    ['an id that is registered', { type: 'Car' }, { type: 'Car', id: 'urn:c:1' }, [{ type: 'Car', id: 'urn:c:1' }]],
    [
      'those ids that a pattern covers',
      { type: 'Car', id: ['urn:c:1', 'urn:x:1'] },
      { type: 'Car', idPattern: '^urn:c:' },
      [{ type: 'Car', id: 'urn:c:1' }],
    ],
    [
      'of two patterns the registered one',
      { type: 'Car', idPattern: '^urn:c' },
      { type: 'Car', idPattern: '^urn:c:1' },
      [{ type: 'Car', idPattern: '^urn:c:1' }],
    ],
    ['a pattern of its own', { type: 'Car', idPattern: '^urn:c' }, { type: 'Car' }, [{ type: 'Car', idPattern: '^urn:c' }]],
  ] as [string, JsonObject, JsonObject, JsonObject[]][])('%s', (_, selector, info, expected) => {
    expect(copy({ entities: [selector] }, information(info))?.['entities']).toEqual(expected);
  });

  it('each selector with each EntityInfo that it matches, and no others', () => {
    const entities = [{ type: 'Car' }, { type: 'Bus' }, { type: 'Boat' }];
    expect(copy({ entities }, information({ type: 'Bus' }, { type: 'Car' }))?.['entities']).toEqual([
      { type: 'Car' },
      { type: 'Bus' },
    ]);
  });

  it('attributes: those watched that are registered, and all registered are sent; none left, no copy', () => {
    const registered = { information: [{ entities: [{ type: 'Car' }], propertyNames: ['speed', 'colour'] }] };
    const entities = [{ type: 'Car' }];
    const watching = copy({ entities, watchedAttributes: ['speed', 'doors'] }, registered);
    expect(watching).toMatchObject({ watchedAttributes: ['speed'], notification: { attributes: ['speed', 'colour'] } });
    expect(copy({ entities }, registered)).toMatchObject({ watchedAttributes: ['speed', 'colour'] });
    expect(copy({ entities, watchedAttributes: ['doors'] }, registered)).toBeUndefined();
    const anything = copy({ watchedAttributes: ['speed'] }, { information: [{ propertyNames: ['speed'] }] });
    expect(anything).toMatchObject({ watchedAttributes: ['speed'] });
    expect(anything).not.toHaveProperty('entities');
  });

  it('conditions go along with whole entities, and stay here with those that are spread; what concerns the subscriber alone always stays', () => {
    const subscription = {
      entities: [{ type: 'Car' }],
      q: 'speed>10',
      geoQ: { georel: 'near;maxDistance==1', geometry: 'Point', coordinates: [1, 2] },
      scopeQ: '/a',
      throttling: 5,
      lang: 'de',
      csf: 'x==1',
      notificationTrigger: ['entityDeleted'],
      splitEntities: true,
      jsonldContext: 'https://uri.etsi.org/ngsi-ld/v1/ngsi-ld-core-context-v1.8.jsonld',
      notification: {
        format: 'concise',
        pick: ['id', 'speed'],
        join: 'flat',
        showChanges: true,
        endpoint: { uri: 'mqtt://subscriber.example/t', receiverInfo: [{ key: 'Authorization', value: 'secret' }] },
      },
    };
    const whole = copy(subscription, information({ type: 'Car' }));
    expect(whole).toEqual({
      entities: [{ type: 'Car' }],
      q: 'speed>10',
      geoQ: { ...subscription.geoQ, geoproperty: 'location' },
      scopeQ: '/a',
      throttling: 5,
      notificationTrigger: ['entityDeleted'],
      splitEntities: true,
      notification: {
        format: 'normalized',
        sysAttrs: true,
        showChanges: true,
        endpoint: { uri: ENDPOINT, accept: 'application/json' },
      },
    });
    const { q: _, geoQ: __, scopeQ: ___, throttling: ____, ...rest } = whole as Record<string, JsonObject>;
    expect(copy(subscription, information({ type: 'Car' }), { split: true })).toEqual(rest);
  });

  it('is not throttled if the source sends more than is wanted', () => {
    const subscription = { entities: [{ type: 'Car', idPattern: '^urn:c' }], throttling: 5 };
    expect(copy(subscription, information({ type: 'Car', idPattern: ':1$' }))).not.toHaveProperty('throttling');
    expect(copy(subscription, information({ type: 'Car' }))).toMatchObject({ throttling: 5 });
  });

  it('is written in the terms that the source wants (4.3.6.6)', () => {
    const subscription = { entities: [{ type: 'Car' }], watchedAttributes: ['speed'], q: 'speed>10;doors==4' };
    expect(copy(subscription, information({ type: 'Car' }), { context: words })).toMatchObject({
      entities: [{ type: 'Wagen' }],
      watchedAttributes: ['tempo'],
      q: 'tempo>10;doors==4',
    });
  });

  it('a fragment makes one copy another: changed members, and nulls for those that are gone', () => {
    const before = copy(
      { entities: [{ type: 'Car' }], q: 'speed>1', isActive: true },
      information({ type: 'Car' }),
    ) as JsonObject;
    const after = copy({ entities: [{ type: 'Car' }], isActive: false }, information({ type: 'Car' })) as JsonObject;
    expect(copyFragment(before, after)).toEqual({ q: 'urn:ngsi-ld:null', isActive: false });
    expect(copyFragment(after, after)).toEqual({});
    expect(copyFragment(undefined, after)).toMatchObject({ ...after, q: 'urn:ngsi-ld:null', localOnly: 'urn:ngsi-ld:null' });
  });

  it('conditions can be judged here only by what the source sends', () => {
    const body = {
      type: 'Subscription',
      entities: [{ type: 'Car' }],
      notification: { endpoint: { uri: 'http://s.example/' } },
    };
    const speed = readSubscription({ ...body, q: 'speed>1' }, core, 'urn:s:1' as Iri);
    const names = (...list: string[]) => [{ attributes: list.map((name) => core.expand(name)) }];
    expect(judgesConditions(speed, [{}])).toBe(true);
    expect(judgesConditions(speed, names('speed'))).toBe(true);
    expect(judgesConditions(speed, names('colour'))).toBe(false);
  });
});

describe('What a notification of another broker tells (5.3.1, 5.8.6)', () => {
  const at = '2026-03-01T07:00:00Z' as Instant;
  const speed = () => core.expand('speed');
  const told = (body: JsonObject) => notifiedChange({ id: 'urn:c:1', type: 'Car', ...body }, core, at);

  it('an attribute with its system times, and what it was before', () => {
    const instance = { type: 'Property', value: 2, previousValue: 1, modifiedAt: '2026-03-01T06:59:59Z' };
    const { entity, attributes, kind } = told({ speed: instance });
    expect(kind).toBe('updated');
    expect(entity.attributes[speed()]).toEqual([{ type: 'Property', value: 2, modifiedAt: '2026-03-01T06:59:59Z' }]);
    expect(attributes).toMatchObject([{ name: speed(), kind: 'updated', before: { value: 1 }, after: { value: 2 } }]);
  });

  it.each([
    ['by name alone', 'urn:ngsi-ld:null'],
    ['as a Property', { type: 'Property', value: 'urn:ngsi-ld:null' }],
    ['as a LanguageProperty', { type: 'LanguageProperty', languageMap: { '@none': 'urn:ngsi-ld:null' } }],
  ] as [string, JsonObject | string][])('a deleted attribute, %s', (_, value) => {
    const { entity, attributes } = told({ speed: value, colour: { type: 'Property', value: 'red' } });
    expect(Object.keys(entity.attributes)).toEqual([core.expand('colour')]);
    expect(attributes).toMatchObject([{ name: speed(), kind: 'deleted' }]);
  });

  it('one of several instances that is gone leaves the others', () => {
    const { entity, attributes } = told({
      speed: [
        { type: 'Property', value: 1 },
        { type: 'Property', value: 'urn:ngsi-ld:null', datasetId: 'urn:d:1', previousValue: 7 },
      ],
    });
    expect(entity.attributes[speed()]).toEqual([{ type: 'Property', value: 1 }]);
    expect(attributes).toMatchObject([{ kind: 'deleted', datasetId: 'urn:d:1', before: { value: 7, datasetId: 'urn:d:1' } }]);
  });

  it('a deleted entity, and when', () => {
    const gone = told({ deletedAt: '2026-03-01T06:00:00Z' });
    expect(gone).toMatchObject({ kind: 'deleted', at: '2026-03-01T06:00:00Z', entity: { attributes: {} } });
    // Terms of a vocabulary are read like those of now.
    const showing = told({
      deletedAt: '2026-03-01T06:00:00Z',
      kind: { type: 'VocabProperty', vocab: 'urn:ngsi-ld:null', previousVocab: 'fast' },
    });
    expect(showing.entity.attributes[core.expand('kind')]).toEqual([{ type: 'VocabProperty', vocab: core.expandTerm('fast') }]);
  });

  it.each([
    ['without an id', { id: 7 }],
    ['with an attribute that is none', { speed: { type: 'Speed', value: 1 } }],
    ['with a null that is no NGSI-LD Null', { speed: null }],
  ] as [string, JsonObject][])('is refused %s', (_, body) => {
    expect(() => told(body)).toThrow();
  });
});
