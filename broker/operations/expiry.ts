import { expire } from '../domain/patch.ts';
import type { Clock } from '../ports/clock.ts';
import type { EntityStore } from '../ports/entity-store.ts';
import type { HistoryStore } from '../ports/history-store.ts';

/** Entities, or instances of history, that are looked at in one step. */
const AT_ONCE = 500;

/**
 * Deletes the entities and attribute instances whose `expiresAt` has passed (4.22). They are absent from every answer already; this makes
 * their end a change like any other, so that history, subscribers and peers hear of it. What an instance that expires has left in history goes
 * with it; the evolution of an entity outlives its end, as it outlives a deletion.
 * @returns how many entities were changed or deleted
 */
export async function sweepExpired(entities: EntityStore, history: HistoryStore, clock: Clock): Promise<number> {
  let changed = 0;
  for (;;) {
    const expired = await entities.expired(AT_ONCE);
    const outcomes = await entities.commit(
      expired.map(({ tenant, id }) => ({
        tenant,
        id,
        evenExpired: true as const,
        decide(current) {
          // Meanwhile it may have been given a new life, or be gone.
          return current && expire(current, clock.micros(), { at: clock.now(), stamp: clock.stamp() });
        },
      })),
    );
    changed += outcomes.filter((outcome) => outcome.kind === 'committed').length;
    if (expired.length < AT_ONCE) break;
  }
  while ((await history.deleteExpired(AT_ONCE)) === AT_ONCE);
  return changed;
}
