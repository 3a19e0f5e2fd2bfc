import type { ChangeDraft } from '../../domain/change.ts';
import type { Entity } from '../../domain/entity.ts';
import type { Clock } from '../../ports/clock.ts';
import { allAttributes } from './change-log.ts';

/** 4.22: the deletion of an entity whose time is over. */
export function expiry(entity: Entity, clock: Clock): ChangeDraft {
  return {
    kind: 'deleted',
    before: entity,
    attributes: allAttributes('deleted', entity),
    at: clock.now(),
    stamp: clock.stamp(),
  };
}
