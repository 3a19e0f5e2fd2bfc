import { describe, expect, it } from 'vitest';
import { temporalFilterOf } from '../../broker/api/ngsi-ld/temporal-parameters.ts';
import { allowEverything, type Caller } from '../../broker/domain/access.ts';
import { DEFAULT_TENANT, type Iri } from '../../broker/domain/iri.ts';
import type { JsonObject, JsonValue } from '../../broker/domain/json.ts';
import type { Context } from '../../broker/domain/jsonld/context.ts';
import { backOff } from '../../broker/operations/notify/back-off.ts';
import { messageNumbers } from '../../broker/operations/notify/messages.ts';
import { contextSourceRegistry, type Registry } from '../../broker/operations/registry.ts';
import type { DeliveryResult, OutgoingNotification } from '../../broker/ports/notifier.ts';
import { openSqliteStore, type SqliteStore } from '../../broker/stores/sqlite/sqlite-store.ts';
import { systemClock } from '../../broker/stores/system-clock.ts';
import { offlineContexts } from '../support/contexts.ts';

const caller: Caller = { tenant: DEFAULT_TENANT, principal: { kind: 'anonymous' } };
const subscription = (id: string, more: JsonObject = {}): JsonObject => ({
  id,
  type: 'Subscription',
  entities: [{ type: 'Station' }],
  notification: { endpoint: { uri: 'http://127.0.0.1:9/' } },
  ...more,
});
const registration = (id: string): JsonObject => ({
  id,
  type: 'ContextSourceRegistration',
  information: [{ entities: [{ type: 'Station' }] }],
  endpoint: 'http://127.0.0.1:9',
});

interface Run {
  readonly registry: Registry;
  readonly core: Context;
  /** Bodies that were sent, whether they arrived or not. */
  readonly sent: JsonObject[];
  until(condition: () => boolean | Promise<boolean>): Promise<void>;
}

/** A registry over a store, as after a start. */
async function run(
  store: SqliteStore,
  answer: (notification: OutgoingNotification) => DeliveryResult,
  resolveContext?: (source: JsonValue) => Promise<Context> | Context,
  retryHours = 1,
): Promise<Run> {
  const contexts = await offlineContexts();
  const core = await contexts.resolve(undefined);
  const sent: JsonObject[] = [];
  const { documents, entities, messages } = store;
  const registry = contextSourceRegistry({
    documents,
    entities,
    messages,
    number: await messageNumbers(messages),
    resolveContext: resolveContext ?? (() => core),
    core,
    clock: systemClock('test'),
    access: allowEverything,
    notifier: {
      deliver: async (notification) => {
        sent.push(JSON.parse(notification.body) as JsonObject);
        return answer(notification);
      },
      close: async () => {},
    },
    notificationTimeoutMs: 100,
    backOff: backOff(retryHours, { firstMs: 5, longestMs: 20 }),
    mostWaiting: 100,
    onError: (error) => {
      throw error;
    },
    source: { ask: async () => ({ kind: 'unreachable', reason: 'not asked here' }), close: async () => {} },
    sourceTimeoutMs: 100,
    sourceCacheBytes: 0,
    brokerId: 'test',
    temporalFilter: temporalFilterOf,
  });
  await registry.load();
  return {
    registry,
    core,
    sent,
    async until(condition) {
      while (!(await condition())) await new Promise((wake) => setTimeout(wake, 5));
    },
  };
}

const newStore = () => openSqliteStore({ file: ':memory:', clock: systemClock('test') });
const delivered = () => ({ delivered: true }) as const;
const failing = () => ({ delivered: false, reason: 'connection refused' }) as const;

describe('Context source registration subscriptions (5.11)', () => {
  it('one whose @context cannot be had holds up neither the start nor the others, and says nothing until it is there', async () => {
    const store = newStore();
    const before = await run(store, delivered);
    await before.registry.subscriptions.createSubscription(caller, subscription('urn:s:1'), before.core);
    const late = subscription('urn:s:2', { jsonldContext: 'http://unreachable.example/context' });
    await before.registry.subscriptions.createSubscription(caller, late, before.core);
    await before.registry.stop();
    const started = Date.now();
    const after = await run(store, delivered, (source) =>
      JSON.stringify(source).includes('unreachable') ? new Promise(() => {}) : before.core,
    );
    expect(Date.now() - started).toBeLessThan(2000);
    const shown = await after.registry.subscriptions.querySubscriptions(caller);
    expect(shown.map(({ document }) => document.id)).toEqual(['urn:s:1', 'urn:s:2']);
    await after.registry.registrations.registerContextSource(caller, registration('urn:r:1'), after.core);
    await after.until(() => after.sent.length > 0);
    expect(after.sent.map(({ subscriptionId }) => subscriptionId)).toEqual(['urn:s:1']);
    expect((await store.messages.endpoints()).some(({ endpoint }) => endpoint.includes('urn:s:2'))).toBe(true);
    await after.registry.stop();
    await store.close();
  });

  it('what was acknowledged is told although the endpoint is down and the broker restarts: in order, each with the id it had', async () => {
    const store = newStore();
    const before = await run(store, failing);
    const { registrations, subscriptions } = before.registry;
    await subscriptions.createSubscription(caller, subscription('urn:s:1'), before.core);
    await registrations.registerContextSource(caller, registration('urn:r:1'), before.core);
    await registrations.updateRegistration(caller, 'urn:r:1' as Iri, { description: 'a change' }, before.core);
    await registrations.deleteRegistration(caller, 'urn:r:1' as Iri);
    await before.until(() => before.sent.length > 2);
    const first = before.sent[0]?.['id'];
    await before.registry.stop();

    const after = await run(store, delivered);
    await after.until(() => after.sent.length >= 3);
    expect(after.sent.map(({ triggerReason }) => triggerReason)).toEqual(['newlyMatching', 'updated', 'noLongerMatching']);
    expect(after.sent[0]?.['id']).toBe(first);
    expect(after.sent[2]?.['data']).toMatchObject([{ id: 'urn:r:1', description: 'a change' }]);
    // Counters did not begin anew, and nothing waits any more.
    const { state } = await after.registry.subscriptions.retrieveSubscription(caller, 'urn:s:1' as Iri);
    expect(state.timesFailed).toBeGreaterThan(0);
    expect(state.timesSent).toBe(before.sent.length + 3);
    await after.until(async () => (await store.messages.endpoints()).length === 0);
    expect(after.sent).toHaveLength(3);
    await after.registry.stop();
    await store.close();
  });

  it('a start tells nobody again what matches: that was told when the subscription was made', async () => {
    const store = newStore();
    const before = await run(store, delivered);
    await before.registry.registrations.registerContextSource(caller, registration('urn:r:1'), before.core);
    await before.registry.subscriptions.createSubscription(caller, subscription('urn:s:1'), before.core);
    await before.until(async () => (await store.messages.endpoints()).length === 0);
    expect(before.sent).toHaveLength(1);
    await before.registry.stop();
    const after = await run(store, delivered);
    await after.registry.registrations.registerContextSource(caller, registration('urn:r:2'), after.core);
    await after.until(async () => (await store.messages.endpoints()).length === 0);
    expect(after.sent).toMatchObject([{ data: [{ id: 'urn:r:2' }] }]);
    await after.registry.stop();
    await store.close();
  });

  it('what is given up waits in the dead-letter list; what a deleted subscription was to hear is gone', async () => {
    const store = newStore();
    const { registry, core, until, sent } = await run(store, failing, undefined, 0);
    await registry.subscriptions.createSubscription(caller, subscription('urn:s:1'), core);
    await registry.registrations.registerContextSource(caller, registration('urn:r:1'), core);
    await until(async () => (await store.messages.dead(10)).length === 1);
    expect(await store.messages.dead(10)).toMatchObject([
      { subscription: 'urn:s:1', attempts: 1, reason: 'connection refused' },
    ]);
    expect(sent).toHaveLength(1);
    await registry.subscriptions.deleteSubscription(caller, 'urn:s:1' as Iri);
    expect(await store.messages.dead(10)).toEqual([]);
    await registry.stop();
    await store.close();
  });
});
