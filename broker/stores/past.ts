import type { ChangeDraft } from '../domain/change.ts';
import type { Entity } from '../domain/entity.ts';
import type { Iri } from '../domain/iri.ts';

/** What the temporal evolution knows of an entity beyond its state. */
export interface Past {
  readonly types: readonly Iri[];
  readonly scopes?: readonly string[];
  readonly createdAt: string;
  readonly modifiedAt: string;
  readonly deletedAt?: string;
}

/** What is left to be known of an entity that a change deletes. */
export function deletedPast(entity: Entity, draft: ChangeDraft): Past {
  return {
    types: entity.types,
    ...(entity.scopes === undefined ? {} : { scopes: entity.scopes }),
    createdAt: entity.createdAt,
    modifiedAt: draft.at,
    deletedAt: draft.at,
  };
}

/**
 * What a temporal evolution says of the entity itself: of the state, and of what only history knows.
 * @param entity undefined: it does not exist now, and then there is a past
 */
export function summaryOf(entity: Entity | undefined, past: Past | undefined): Past {
  if (entity === undefined) return past as Past;
  const { types, scopes, createdAt, modifiedAt } = entity;
  return {
    types: past ? [...new Set([...types, ...past.types])] : types,
    ...(scopes === undefined ? {} : { scopes }),
    createdAt,
    modifiedAt,
  };
}
