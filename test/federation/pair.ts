import { expect } from 'vitest';
import type { Config } from '../../broker/config.ts';
import { inMemoryBroker } from '../support/broker.ts';

/** Two brokers, of which the second really listens, and can be registered with the first. */
export async function pair(config: { readonly near?: Partial<Config>; readonly far?: Partial<Config> } = {}) {
  const near = await inMemoryBroker({ config: { brokerId: 'near', mqtt: false, ...config.near } });
  const far = await inMemoryBroker({ config: { brokerId: 'far', mqtt: false, ...config.far } });
  const { url } = await far.broker.listen();
  return {
    near,
    far,
    url,
    async register(more: Record<string, unknown> = {}) {
      const answer = await near.request('POST', '/ngsi-ld/v1/csourceRegistrations', {
        id: 'urn:r:far',
        type: 'ContextSourceRegistration',
        information: [{ entities: [{ type: 'Car' }] }],
        endpoint: url,
        ...more,
      });
      expect(answer.statusCode, answer.body).toBe(201);
    },
    async [Symbol.asyncDispose]() {
      await near.broker.close();
      await far.broker.close();
    },
  };
}
