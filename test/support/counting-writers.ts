import { expect } from 'vitest';
import type { DomainError } from '../../broker/domain/errors.ts';
import { DEFAULT_TENANT, type Iri } from '../../broker/domain/iri.ts';
import type { Store } from '../../broker/stores/store.ts';
import { systemClock } from '../../broker/stores/system-clock.ts';
import { creation, iri, property, setting, urn } from './writes.ts';

const CAR = iri('Car');
const SPEED = iri('speed');
export const clock = systemClock('test');

/** Writers that count up, each in an entity of its own, and remember what was acknowledged. */
export function writers(store: Store, count: number) {
  const acknowledged = new Map<Iri, number[]>();
  const unexpected: unknown[] = [];
  let refused = 0;
  let longestMs = 0;
  let stopped = false;
  const write = async (id: Iri): Promise<void> => {
    const done: number[] = [];
    acknowledged.set(id, done);
    for (let n = 1; !stopped; n++) {
      const began = Date.now();
      try {
        const write =
          done.length === 0 ? creation(clock, id, [CAR], { [SPEED]: [property(n)] }) : setting(clock, id, SPEED, property(n));
        const [outcome] = await store.entities.commit([write]);
        if (outcome?.kind === 'committed') done.push(n);
        // It was created by a write that was not acknowledged.
        else if (done.length === 0) done.push(0);
      } catch (error) {
        if ((error as DomainError).type !== 'Unavailable') unexpected.push(error);
        refused++;
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      longestMs = Math.max(longestMs, Date.now() - began);
    }
  };
  const all = Array.from({ length: count }, (_, n) => write(urn(`car:${n}`)));
  return {
    acknowledged,
    total: () => [...acknowledged.values()].reduce((sum, { length }) => sum + length, 0),
    unexpected,
    refused: () => refused,
    longestMs: () => longestMs,
    async stop() {
      stopped = true;
      await Promise.all(all);
    },
  };
}

/** Everything that was acknowledged is in the history once and in order, is current or was replaced by something newer, and was told. */
export async function expectNothingLost(store: Store, acknowledged: ReadonlyMap<Iri, readonly number[]>): Promise<void> {
  const told = new Map<Iri, number[]>();
  for (let after = 0; ; ) {
    const changes = await store.feed.read(after, 1_000);
    if (changes.length === 0) break;
    for (const { id, entity, position } of changes) {
      expect(position).toBeGreaterThan(after);
      after = position;
      told.set(id, [...(told.get(id) ?? []), numberIn(entity.attributes[SPEED]?.[0])]);
    }
  }
  for (const [id, all] of acknowledged) {
    const numbers = all.filter((n) => n > 0);
    const selection = { filter: { property: 'modifiedAt' }, limitPerAttribute: 1_000_000 } as const;
    const evolution = await store.history.evolution(DEFAULT_TENANT, id, selection);
    const stored = (evolution?.attributes[SPEED] ?? []).map(numberIn);
    expect(numbers.filter((n) => !stored.includes(n))).toEqual([]);
    expect(stored).toEqual([...new Set(stored)].sort((a, b) => a - b));
    expect(told.get(id)).toEqual(stored);
    const current = await store.entities.get(DEFAULT_TENANT, id);
    expect(numberIn(current?.entity.attributes[SPEED]?.[0])).toBe(stored.at(-1));
  }
}

const numberIn = (instance: unknown): number => Number((instance as { readonly value?: unknown } | undefined)?.value);

/** Resolves when the condition holds. @throws Error if it does not in time */
export async function until(condition: () => boolean | Promise<boolean>, what: string, ms = 30_000): Promise<void> {
  for (const end = Date.now() + ms; !(await condition()); ) {
    if (Date.now() > end) throw new Error(`${what} did not come to be in time`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
