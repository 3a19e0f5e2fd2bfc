// What a write makes of an entity: pure functions from (current state, what was sent, moment) to a ChangeDraft, or undefined if nothing changes.
// Three depths, not to be mixed up: Update and Append swap whole instances, Partial Update the members of one, Merge goes into values.
export {
  appendAttributes,
  deleteAttribute,
  dropAttributes,
  partialUpdate,
  replaceAttribute,
  updateAttributes,
  type WhichInstances,
} from './patch/attributes.ts';
export { asksForDeletion, type Moment, type Patched, sameInstance, type UpdateResult } from './patch/edit.ts';
export { createEntity, createOrReplaceEntity, deleteEntity, replaceEntity } from './patch/entity.ts';
export { expire, nextExpiry, type Remainder, withoutExpired, withoutExpiredMembers } from './patch/expiry.ts';
export { ingestFragment, type Measured } from './patch/ingest.ts';
export { type MergeOptions, mergeEntity } from './patch/merge.ts';
