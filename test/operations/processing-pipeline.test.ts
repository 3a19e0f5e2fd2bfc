import fc from 'fast-check';
import pino from 'pino';
import { describe, expect, it, onTestFinished } from 'vitest';
import { commandsOf } from '../../adapters/commands/targets.ts';
import { deviceIntake } from '../../adapters/intake.ts';
import { checkMapping } from '../../adapters/interpret.ts';
import { allowEverything } from '../../broker/domain/access.ts';
import { DomainError } from '../../broker/domain/errors.ts';
import type { Iri, TenantId } from '../../broker/domain/iri.ts';
import type { JsonObject } from '../../broker/domain/json.ts';
import { deviceOperations } from '../../broker/operations/devices.ts';
import { ingest } from '../../broker/operations/ingest.ts';
import { processingRecords } from '../../broker/operations/processing/records.ts';
import type { Ingest } from '../../broker/ports/ingest.ts';
import { processingSide } from '../../broker/processing-side.ts';
import { openSqliteStore } from '../../broker/stores/sqlite/sqlite-store.ts';
import { offlineContexts } from '../support/contexts.ts';
import { CITY } from '../support/devices.ts';
import { documentsInMemory } from '../support/documents.ts';
import { testClock } from '../support/writes.ts';

const TENANT = 'city' as TenantId;

/** Intake, processing and store as the broker ties them together, with documents that are there from the start. */
async function city(rules: Readonly<Record<string, object>>) {
  const clock = testClock('2026-03-01T09:00:00Z');
  const store = openSqliteStore({ file: ':memory:', clock });
  const { documents, series, feed, entities } = store;
  const { resolve: resolveContext } = await offlineContexts();
  const access = allowEverything;
  for (const [name, body] of Object.entries(rules)) await documents.put('bad-data-rule', TENANT, name, body as JsonObject);
  const devices = await deviceOperations({ documents, access, resolveContext, checkMapping, commandsOf, clock });
  const real = ingest({ entities, clock, access });
  let gone = false;
  let reads = 0;
  const flaky: Ingest = {
    async accept(batch) {
      if (gone) throw new DomainError('Unavailable', 'The store is gone');
      return real.accept(batch);
    },
  };
  const counted: typeof series = {
    ...series,
    read(...asked) {
      reads++;
      return series.read(...asked);
    },
  };
  const logger = pino({ level: 'silent' });
  const figures = { add: () => {} } as unknown as Parameters<typeof processingSide>[0]['figures'];
  const shared = { documents, series: counted, feed, entities, clock, access, resolveContext, logger, figures };
  const side = processingSide({ ...shared, ingest: real });
  await side.load(devices);
  const intake = deviceIntake({
    ingest: flaky,
    processing: side.messages,
    directory: devices,
    commands: { answered: async () => false, fetch: async () => [], open: () => [] },
    onRefused: devices.refusals.note,
    now: clock.now,
  });
  onTestFinished(async () => {
    await side.stop();
    await store.close();
  });
  await devices.createGroups(CITY, [{ resource: '/iot/json', apikey: 'k', entity_type: 'Thing' }]);
  const say = (device: string, ...bodies: readonly object[]) =>
    intake.mqtt(
      bodies.map((body) => ({
        topic: `/json/k/${device}/attrs`,
        payload: Buffer.from(JSON.stringify(body)),
        session: { kind: 'anonymous' } as const,
      })),
    );
  const values = async (device: string): Promise<Record<string, unknown>> => {
    const entity = (await entities.get(TENANT, `urn:ngsi-ld:Thing:${device}` as Iri))?.entity;
    const prefix = 'https://uri.etsi.org/ngsi-ld/default-context/';
    return Object.fromEntries(
      Object.entries(entity?.attributes ?? {}).map(([name, [instance]]) => [
        name.replace(prefix, ''),
        instance?.type === 'Property' ? instance.value : undefined,
      ]),
    );
  };
  return { clock, say, values, reads: () => reads, fail: (failing: boolean) => (gone = failing), side };
}

const discard = (select: object, when: object) => ({ select, when, action: 'discard' });

describe('processing on the way to the store', () => {
  it('one bad value never costs another: what is good is stored, what is bad is told, whatever the message (random messages)', async () => {
    const { say, values } = await city({
      low: discard({ attribute: 'a' }, { range: { min: 10 } }),
      high: discard({ attribute: 'b' }, { range: { max: 10 } }),
    });
    const message = fc.record(
      { a: fc.integer({ min: 0, max: 20 }), b: fc.integer({ min: 0, max: 20 }), c: fc.integer() },
      { requiredKeys: [] },
    );
    let devices = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(message, { minLength: 1, maxLength: 5 }), async (messages) => {
        const device = `d${++devices}`;
        const outcomes = await say(device, ...messages);
        const expected: Record<string, number> = {};
        messages.forEach((body, at) => {
          const bad = Object.entries(body).filter(
            ([name, value]) => (name === 'a' && value < 10) || (name === 'b' && value > 10),
          );
          for (const [name, value] of Object.entries(body)) if (!bad.some(([other]) => other === name)) expected[name] = value;
          const outcome = outcomes[at];
          expect(outcome?.accepted).toBe(true);
          expect(outcome?.accepted === true && (outcome.warnings ?? []).length).toBe(bad.length);
        });
        expect(await values(device)).toEqual(expected);
      }),
      { numRuns: 50 },
    );
  });

  it('what could not be stored is not what later values are compared with', async () => {
    const { say, values, fail } = await city({ twice: discard({}, { duplicate: { seconds: 60 } }) });
    const first = { n: 1, TimeInstant: '2026-03-01T08:59:00Z' };
    fail(true);
    await expect(say('d', first)).rejects.toThrow('The store is gone');
    fail(false);
    // The device sends it again, as it must: it is no duplicate of itself.
    expect(await say('d', first)).toEqual([{ accepted: true, identity: expect.any(String) }]);
    expect(await values('d')).toEqual({ n: 1 });
    const [again] = await say('d', { n: 1, TimeInstant: '2026-03-01T08:59:30Z' });
    expect(again).toMatchObject({ accepted: true, warnings: [expect.stringContaining('discarded by the rule twice')] });
  });

  it('history is read once for an attribute, and not at all for rules that compare with nothing', async () => {
    const steep = await city({ steep: discard({ attribute: 'n' }, { rate: { maxPerMinute: 1 } }) });
    for (let n = 0; n < 20; n++) await steep.say('d', { n: 1, other: n });
    expect(steep.reads()).toBe(1);
    const range = await city({ range: discard({}, { range: { min: 0 } }) });
    for (let n = 0; n < 20; n++) await range.say('d', { n });
    expect(range.reads()).toBe(0);
  });

  it('nothing is asked while nothing is configured', async () => {
    const { say, side, values } = await city({});
    expect(side.messages.active).toBe(false);
    await say('d', { n: 1 });
    expect(await values('d')).toEqual({ n: 1 });
  });
});

it('a document that cannot be used at the start is said, keeps nothing from starting, and is used when what it needs is there', async () => {
  const documents = documentsInMemory();
  await documents.put('validation', TENANT, 'good', { mode: 'flag' });
  await documents.put('validation', TENANT, 'needy', { mode: 'flag' });
  let isThere = false;
  const said: string[] = [];
  const changes: string[] = [];
  const records = processingRecords<JsonObject>({
    documents,
    access: allowEverything,
    kind: 'validation',
    noun: 'Validation',
    notFound: 'VALIDATION_NOT_FOUND',
    read(name, body) {
      if (name === 'needy' && !isThere) throw new Error('its @context is away');
      return body;
    },
    onChange: ({ name }) => void changes.push(name),
    onUnreadable: (name) => said.push(name),
  });
  await records.load();
  expect([said, records.of(TENANT).map(({ name }) => name)]).toEqual([['needy'], ['good']]);
  await records.retry();
  expect(changes).toEqual([]);
  isThere = true;
  await records.retry();
  expect([changes, records.of(TENANT).map(({ name }) => name)]).toEqual([['needy'], ['good', 'needy']]);
});
