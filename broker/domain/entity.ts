import type { AttributeInstance, Attributes } from './attribute.ts';
import type { Iri } from './iri.ts';
import type { Stamp } from './stamp.ts';
import type { Instant } from './time.ts';

/** A stored entity (5.2.4), expanded: every name is an IRI. */
export interface Entity {
  readonly id: Iri;
  /** At least one. */
  readonly types: readonly Iri[];
  /** 4.18; absent if the entity has none. */
  readonly scopes?: readonly string[];
  readonly attributes: Attributes;
  readonly createdAt: Instant;
  readonly modifiedAt: Instant;
  /** 4.22: from this moment on the entity does not exist. */
  readonly expiresAt?: Instant;
  /** When id, types or scope were last written; attributes have their own. */
  readonly stamp: Stamp;
}

/**
 * An Entity or a part of it, as a client sends it (5.4): no system members. What is absent is not meant to change, and an NGSI-LD Null
 * as value asks for a deletion. {@link file://./patch.ts} says what becomes of it.
 */
export interface EntityFragment {
  readonly id?: Iri;
  readonly types?: readonly Iri[];
  /** `null`: remove the scope. */
  readonly scopes?: readonly string[] | null;
  readonly attributes: Attributes;
  /** `null`: the entity no longer expires. */
  readonly expiresAt?: Instant | null;
}

/** The instance with this datasetId; undefined asks for the default instance (4.5.5). */
export function instanceOf(entity: Entity, name: Iri, datasetId?: Iri): AttributeInstance | undefined {
  return entity.attributes[name]?.find((instance) => instance.datasetId === datasetId);
}
