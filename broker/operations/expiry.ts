import { deleteEntity } from '../domain/patch.ts';
import { toMicros } from '../domain/time.ts';
import type { Clock } from '../ports/clock.ts';
import type { EntityStore } from '../ports/entity-store.ts';

/** Entities deleted in one step. */
const AT_ONCE = 500;

/**
 * Deletes the entities whose `expiresAt` has passed (4.22). They are absent from every answer already; this makes their end a change like any
 * other, so that history, subscribers and peers hear of it.
 * @returns how many were deleted
 */
export async function sweepExpired(entities: EntityStore, clock: Clock): Promise<number> {
  let deleted = 0;
  for (;;) {
    const expired = await entities.expired(AT_ONCE);
    const outcomes = await entities.commit(
      expired.map(({ tenant, id }) => ({
        tenant,
        id,
        evenExpired: true as const,
        decide(current) {
          // Meanwhile it may have been given a new life, or be gone.
          if (current?.expiresAt === undefined || toMicros(current.expiresAt) > clock.micros()) return undefined;
          return deleteEntity(current, id, { at: clock.now(), stamp: clock.stamp() });
        },
      })),
    );
    deleted += outcomes.filter((outcome) => outcome.kind === 'committed').length;
    if (expired.length < AT_ONCE) return deleted;
  }
}
