import { expect, it } from 'vitest';
import { allowEverything, type Caller } from '../../broker/domain/access.ts';
import { DEFAULT_TENANT, type Iri } from '../../broker/domain/iri.ts';
import { registrationSubscriptionOperations } from '../../broker/operations/registration-subscriptions.ts';
import { registrationNotifications } from '../../broker/operations/registry/notify.ts';
import { registrationsInForce } from '../../broker/operations/registry/registrations-in-force.ts';
import { openSqliteStore } from '../../broker/stores/sqlite/sqlite-store.ts';
import { systemClock } from '../../broker/stores/system-clock.ts';
import { offlineContexts } from '../support/contexts.ts';

const caller: Caller = { tenant: DEFAULT_TENANT, principal: { kind: 'anonymous' } };
const subscription = {
  id: 'urn:s:1',
  type: 'Subscription',
  entities: [{ type: 'Station' }],
  notification: { endpoint: { uri: 'http://127.0.0.1:9/' } },
};

it('a subscription whose @context cannot be had holds up neither the start nor the others', async () => {
  const clock = systemClock('test');
  const store = openSqliteStore({ file: ':memory:', clock });
  const contexts = await offlineContexts();
  const { documents } = store;
  const core = await contexts.resolve(undefined);
  const notifier = { deliver: async () => ({ delivered: true }) as const, close: async () => {} };
  const open = (resolveContext: Parameters<typeof registrationSubscriptionOperations>[0]['resolveContext']) =>
    registrationSubscriptionOperations({
      documents,
      notifications: registrationNotifications({
        registrations: registrationsInForce(documents),
        notifier,
        clock,
        timeoutMs: 100,
      }),
      resolveContext,
      temporalFilter: () => ({ property: 'observedAt' }),
      clock,
      access: allowEverything,
      newId: () => 'urn:s:new' as Iri,
    });
  const before = open(() => core);
  await before.createRegistrationSubscription(caller, subscription, core);
  await before.createRegistrationSubscription(
    caller,
    { ...subscription, id: 'urn:s:2', jsonldContext: 'http://unreachable.example/context' },
    core,
  );
  const after = open((source) => (JSON.stringify(source).includes('unreachable') ? new Promise(() => {}) : core));
  const started = Date.now();
  await after.load();
  expect(Date.now() - started).toBeLessThan(2000);
  const shown = await after.queryRegistrationSubscriptions(caller);
  expect(shown.map(({ document }) => document.id)).toEqual(['urn:s:1']);
  await store.close();
});
