import { describe, expect, it } from 'vitest';
import { inMemoryBroker } from '../../support/broker.ts';

const ENTITIES = '/ngsi-ld/v1/entities';

describe('VocabProperty (4.5.20)', () => {
  it('a term of a vocabulary need not be a name (C.2.2), and comes back as it was sent', async () => {
    await using broker = await inMemoryBroker();
    const entity = {
      id: 'urn:ngsi-ld:Car:1',
      type: 'Car',
      use: { type: 'VocabProperty', vocab: ['non-commercial', 'private'] },
    };
    expect((await broker.request('POST', ENTITIES, entity)).statusCode).toBe(201);
    expect((await broker.request('GET', `${ENTITIES}/urn:ngsi-ld:Car:1`)).json()).toEqual(entity);
    const found = await broker.request('GET', `${ENTITIES}?q=use=="non-commercial"&expandValues=use`);
    expect(found.json()).toHaveLength(1);
  });

  it('an attribute still needs a name (4.6.2)', async () => {
    await using broker = await inMemoryBroker();
    const answer = await broker.request('POST', ENTITIES, {
      id: 'urn:ngsi-ld:Car:1',
      type: 'Car',
      'non-commercial': { type: 'Property', value: 1 },
    });
    expect(answer.statusCode).toBe(400);
    expect((await broker.request('GET', `${ENTITIES}?type=Car`)).json()).toEqual([]);
  });
});
