/** Fills a data folder with entities of a made-up city, through the store itself: a million in a minute or two, as no API could. */
import { join } from 'node:path';
import { DEFAULT_TENANT, type Iri } from '../../broker/domain/iri.ts';
import type { Context } from '../../broker/domain/jsonld/context.ts';
import { expandEntity, requireWhole } from '../../broker/domain/jsonld/expand.ts';
import { createEntity } from '../../broker/domain/patch.ts';
import type { Write } from '../../broker/ports/entity-store.ts';
import { openSqliteStore, type SqliteStore } from '../../broker/stores/sqlite/sqlite-store.ts';
import type { Store } from '../../broker/stores/store.ts';
import { systemClock } from '../../broker/stores/system-clock.ts';
import { offlineContexts } from '../support/contexts.ts';

/** As many entities park at one place, on average. */
export const AT_ONE_PLACE = 25;
/** Speeds lie between 0 and this, in hundredths. */
export const TOP_SPEED = 130;
/** West, south, and the size of the square that all entities lie in, in degrees. */
export const CITY = { west: 4.1, south: 50.7, size: 0.5 };

/** Numbers that look random and are the same in every run: one for each (n, salt), from 0 up to and without 1. */
export function fraction(n: number, salt: number): number {
  let x = Math.imul(n + 0x9e3779b9, 0x85ebca6b) ^ Math.imul(salt + 1, 0xc2b2ae35);
  x = Math.imul(x ^ (x >>> 15), 0x2c1b3c6d);
  x = Math.imul(x ^ (x >>> 12), 0x297a2d39);
  return ((x ^ (x >>> 15)) >>> 0) / 2 ** 32;
}

export const idOf = (n: number): Iri => `urn:ngsi-ld:BenchEntity:${n}` as Iri;

/** The shape of shapes.ts with values that select: about 550 bytes. @param of how many there are in all */
export function cityEntity(n: number, of: number): Record<string, unknown> {
  const place = Math.floor(fraction(n, 1) * (of / AT_ONE_PLACE));
  return {
    id: idOf(n),
    type: 'BenchEntity',
    speed: {
      type: 'Property',
      value: Math.round(fraction(n, 2) * TOP_SPEED * 100) / 100,
      unitCode: 'KMH',
      observedAt: '2026-03-01T07:00:00Z',
    },
    name: { type: 'Property', value: `Measuring point number ${n} of the benchmark` },
    isParked: { type: 'Relationship', object: `urn:ngsi-ld:OffStreetParking:${place}` },
    location: {
      type: 'GeoProperty',
      value: {
        type: 'Point',
        coordinates: [CITY.west + fraction(n, 3) * CITY.size, CITY.south + fraction(n, 4) * CITY.size].map(
          (degrees) => Math.round(degrees * 1e6) / 1e6,
        ),
      },
    },
    category: {
      type: 'Property',
      value: ['mobile', 'outdoor'],
      providedBy: { type: 'Relationship', object: 'urn:ngsi-ld:Agent:city' },
    },
  };
}

/** The write that creates an entity, as an operation would make it. */
export function creationOf(entity: Record<string, unknown>, context: Context, clock: ReturnType<typeof systemClock>): Write {
  const whole = expandEntity(entity as never, context);
  requireWhole(whole);
  return {
    tenant: DEFAULT_TENANT,
    id: whole.id,
    decide: (current) => createEntity(current, whole, { at: clock.now(), stamp: clock.stamp() }),
  };
}

/** Opens the store of a data folder, as the broker would. */
export function openFolder(dataDir: string): SqliteStore & { readonly clock: ReturnType<typeof systemClock> } {
  const clock = systemClock('bench');
  return { ...openSqliteStore({ file: join(dataDir, 'mizar.db'), clock, cacheBytes: 8 * 1024 * 1024 }), clock };
}

/** Attributes that the queries of random-queries.ts compare. */
export const COMPARED = ['speed', 'isParked'].map((name) => `https://uri.etsi.org/ngsi-ld/default-context/${name}` as Iri);

/**
 * Puts `count` entities into a data folder whose broker does not run.
 * @param indexed with an index of each compared attribute from the beginning, which is sooner done than building it afterwards
 * @returns how many a second
 */
export async function fillFolder(dataDir: string, count: number, indexed = false): Promise<number> {
  const store = openFolder(dataDir);
  if (indexed) for (const name of COMPARED) await store.indexes.ensure(DEFAULT_TENANT, { names: [name] });
  return fillStore(store, count);
}

/** Puts `count` entities into a store, and closes it. @returns how many a second */
export async function fillStore(
  store: Store & { readonly clock: ReturnType<typeof systemClock> },
  count: number,
): Promise<number> {
  const context = (await offlineContexts()).core;
  const began = performance.now();
  for (let n = 0; n < count; ) {
    const writes: Write[] = [];
    for (const end = Math.min(count, n + 2000); n < end; n++)
      writes.push(creationOf(cityEntity(n, count), context, store.clock));
    await store.entities.commit(writes);
  }
  await store.close();
  return (count * 1000) / (performance.now() - began);
}

if (import.meta.main) {
  const [, , dataDir, count, indexed] = process.argv;
  console.log(`${Math.round(await fillFolder(dataDir!, Number(count), indexed === 'indexed'))} entities/s`);
}
