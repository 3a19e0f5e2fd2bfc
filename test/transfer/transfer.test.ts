import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type Config, readConfig } from '../../broker/config.ts';
import { DEFAULT_TENANT, type Iri, type TenantId } from '../../broker/domain/iri.ts';
import { openStore } from '../../broker/open-store.ts';
import { systemClock } from '../../broker/stores/system-clock.ts';
import { exportTo } from '../../broker/transfer/export.ts';
import { importFrom } from '../../broker/transfer/import.ts';
import { targetOf } from '../../broker/transfer/program.ts';
import { brokerSource, fileSource } from '../../broker/transfer/source.ts';
import { buildBroker } from '../../broker/wiring.ts';
import { MONGODB, newDatabase } from '../support/mongodb-url.ts';
import { creation, deletion, iri, point, property, removal, setting, urn } from '../support/writes.ts';

const CAR = iri('Car');
const SPEED = iri('speed');
const OTHER = 'other' as TenantId;
const clock = systemClock('test');
const BIG = { [SPEED]: [property(2n ** 60n), property('x', { datasetId: urn('d') })], [iri('location')]: [point(17, 48)] };

const configOf = (more: Partial<Config>): Config => ({
  ...readConfig({ MIZAR_HTTP_PORT: '0', MIZAR_MQTT: 'false', MIZAR_LOG_LEVEL: 'silent', MIZAR_BROKER_ID: 'test' }),
  ...more,
});

/** A broker that listens, with things of every kind in it. */
async function filled(config: Config) {
  const broker = await buildBroker(config);
  const { url } = await broker.listen();
  const { entities, history } = broker.store;
  const many = Array.from({ length: 230 }, (_, n) => creation(clock, urn(`car:${n}`), [CAR], { [SPEED]: [property(n)] }));
  await entities.commit([...many, creation(clock, urn('big'), [CAR], BIG), creation(clock, urn('gone'), [CAR], BIG)]);
  await entities.commit([creation(clock, urn('big'), [CAR], { [SPEED]: [property(5)] }, { tenant: OTHER, scopes: ['/A'] })]);
  for (let n = 0; n < 20; n++) {
    const observedAt = `2026-03-01T08:00:${String(n).padStart(2, '0')}.500Z` as never;
    await entities.commit([setting(clock, urn('car:7'), SPEED, property(n, { observedAt }))]);
  }
  await entities.commit([removal(clock, urn('car:8'), SPEED), deletion(clock, urn('gone'))]);
  const fragment = { types: [iri('Taxi')], attributes: { [SPEED]: [property(1, { observedAt: clock.now() })] } };
  await history.append(DEFAULT_TENANT, urn('past'), fragment, clock.now());
  await history.append(DEFAULT_TENANT, urn('car:9'), fragment, clock.now());
  await history.deleteEvolution(DEFAULT_TENANT, urn('car:10'));
  await broker.store.documents.put('device', OTHER, 'd', { id: 'd', n: 1 });
  return { broker, url };
}

const every = { filter: { property: 'modifiedAt' }, limitPerAttribute: 1_000 } as const;

/** What a target says, as a broker that opens it would. */
async function said(config: Config) {
  const store = await openStore(config, clock);
  const seen = async (tenant: TenantId, id: Iri) => ({
    stored: await store.entities.get(tenant, id).then((one) => one && { number: one.number, entity: one.entity }),
    evolution: await store.history.evolution(tenant, id, every),
    deleted: (await store.history.evolution(tenant, id, { ...every, filter: { property: 'deletedAt' } }))?.attributes,
  });
  const ids = ['car:7', 'car:8', 'car:9', 'car:10', 'big', 'gone', 'past'].map(urn);
  const answers = await Promise.all(ids.map((id) => seen(DEFAULT_TENANT, id)));
  const near = { type: 'Point', coordinates: [17, 48] } as const;
  const where = { kind: 'geo', property: iri('location'), relation: 'near', geometry: near, maxDistanceM: 10 } as const;
  const result = {
    answers,
    other: await seen(OTHER, urn('big')),
    near: (await store.entities.query(DEFAULT_TENANT, { where }, { limit: 5, count: true })).count,
    types: await store.entities.typeCounts(DEFAULT_TENANT),
    tenants: await store.entities.tenants(),
    device: (await store.documents.get('device', OTHER, 'd'))?.body,
    next: (await store.entities.commit([creation(clock, urn(`new`), [CAR], { [SPEED]: [property(1)] })]))[0]?.kind,
    numbers: (await store.entities.walk(DEFAULT_TENANT, {}, { limit: 2, descending: true })).map(({ id }) => id),
  };
  await store.close();
  return result;
}

const MONGO = MONGODB === undefined ? [] : (['MongoDB'] as const);
const STORES = ['SQLite', ...MONGO] as const;

describe('export and import', () => {
  for (const from of STORES) {
    for (const to of STORES) {
      it(`from a running broker on ${from} to ${to}: the same answers, numbers and instanceIds`, {
        timeout: 120_000,
      }, async () => {
        const folder = mkdtempSync(join(tmpdir(), 'mizar-transfer-'));
        await using databases = databasesOf();
        const source = configOf(from === 'SQLite' ? { dataDir: join(folder, 'a') } : { store: databases.next() });
        const target = configOf(to === 'SQLite' ? { dataDir: join(folder, 'b') } : { store: databases.next() });
        const { broker, url } = await filled(source);
        const told: string[] = [];
        const live = brokerSource(url);
        let changed = false;
        // Somebody writes while it is copied: what has changed is copied again.
        const busy = {
          ...live,
          async *entities(after?: Parameters<typeof live.entities>[0]) {
            for await (const page of live.entities(after)) {
              yield page;
              if (!changed) await broker.store.entities.commit([setting(clock, urn('car:0'), SPEED, property(99))]);
              changed = true;
            }
          },
        };
        const digest = await importFrom(busy, targetOf(target), (text) => told.push(text));
        expect(digest).toMatch(/^23[0-9]:/);
        expect(told.join('\n')).toMatch(/imported: \d+ of about \d+ entities, \d+ rows, \d+ rows\/s/);
        expect(told.join('\n')).toMatch(/1 entities differ, because they have changed meanwhile/);
        // Again: nothing is copied, all of it is compared.
        expect(await importFrom(live, targetOf(target), () => {})).toBe(digest);
        const file = join(folder, 'all.ndjson');
        expect(await exportTo(file, live, () => {})).toBe(digest);
        await broker.close();
        expect(await said(target)).toEqual(await said(source));
        rmSync(folder, { recursive: true });
      });
    }
  }

  it('goes on where it was interrupted, and takes no file that is damaged or not complete', { timeout: 120_000 }, async () => {
    const folder = mkdtempSync(join(tmpdir(), 'mizar-transfer-'));
    const { broker, url } = await filled(configOf({ dataDir: join(folder, 'a') }));
    const live = brokerSource(url);
    const cut = (pages: number) => ({
      ...live,
      async *entities(after?: Parameters<typeof live.entities>[0]) {
        let n = 0;
        for await (const page of live.entities(after)) {
          if (n++ === pages) throw new Error('the line was cut');
          yield page;
        }
      },
    });
    const target = configOf({ dataDir: join(folder, 'b') });
    await expect(importFrom(cut(1), targetOf(target), () => {})).rejects.toThrow('the line was cut');
    const told: string[] = [];
    const digest = await importFrom(live, targetOf(target), (text) => told.push(text));
    expect(told[0]).toMatch(/^goes on behind {2}urn:ngsi-ld:car:/);
    const file = join(folder, 'all.ndjson');
    await expect(exportTo(file, cut(2), () => {})).rejects.toThrow('the line was cut');
    await expect(
      importFrom(fileSource(`${file}.partial`), targetOf(configOf({ dataDir: join(folder, 'c') })), () => {}),
    ).rejects.toThrow('is not complete');
    writeFileSync(`${file}.partial`, readFileSync(`${file}.partial`, 'utf8').slice(0, -20));
    expect(await exportTo(file, live, () => {})).toBe(digest);
    await broker.close();
    expect(await importFrom(fileSource(file), targetOf(configOf({ dataDir: join(folder, 'd') })), () => {})).toBe(digest);
    writeFileSync(file, readFileSync(file, 'utf8').replace('"value":229', '"value":228'));
    await expect(importFrom(fileSource(file), targetOf(configOf({ dataDir: join(folder, 'e') })), () => {})).rejects.toThrow(
      'is damaged',
    );
    rmSync(folder, { recursive: true });
  });
});

function databasesOf() {
  const all: ReturnType<typeof newDatabase>[] = [];
  return {
    next(): string {
      const database = newDatabase();
      all.push(database);
      return database.url;
    },
    async [Symbol.asyncDispose]() {
      for (const one of all) await one[Symbol.asyncDispose]();
    },
  };
}
