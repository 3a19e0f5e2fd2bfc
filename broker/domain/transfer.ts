import type { AttributeInstance } from './attribute.ts';
import type { Entity } from './entity.ts';
import type { Iri, TenantId } from './iri.ts';
import type { JsonObject } from './json.ts';
import { fromMicros, type Instant, toMicros } from './time.ts';

/** What moves from one store to another: an entity with all that history has of it, or a document. */
export interface TransferredEntity {
  readonly tenant: TenantId;
  readonly id: Iri;
  /** Absent: only history knows the entity, and its number is of no use to anybody. */
  readonly number?: number;
  /** As it is now; absent: it does not exist. */
  readonly state?: Entity;
  /** What only history knows of it; absent: there is no temporal evolution. */
  readonly evolution?: {
    readonly types: readonly Iri[];
    readonly scopes?: readonly string[];
    readonly createdAt: Instant;
    readonly modifiedAt: Instant;
    readonly deletedAt?: Instant;
  };
  /** Ascending number. */
  readonly instances: readonly TransferredInstance[];
}

export interface TransferredInstance {
  readonly number: number;
  readonly name: Iri;
  /** Without its instanceId, which says where it is kept. */
  readonly instance: AttributeInstance;
}

export interface TransferredDocument {
  readonly kind: string;
  readonly tenant: TenantId;
  readonly id: string;
  readonly body: JsonObject;
}

/** What there is to move, and the numbers that the other store must go on from. */
export interface TransferSummary {
  /** What instanceIds of the store begin with. */
  readonly instancePrefix: string;
  /** No entity, and no instance, has a larger number. */
  readonly lastEntity: number;
  readonly lastInstance: number;
  readonly tenants: readonly { readonly tenant: TenantId; readonly entities: number }[];
}

/** The same text for the same content, whichever store it comes from: members in order, moments in the shortest form. */
export function canonicalText(item: TransferredEntity | TransferredDocument): string {
  return JSON.stringify(item, (key, value: unknown) => {
    if (MOMENTS.has(key) && typeof value === 'string') return fromMicros(toMicros(value as Instant));
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
    return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)));
  });
}

/** Set by the broker, and kept as moments by the stores. */
const MOMENTS = new Set(['createdAt', 'modifiedAt', 'deletedAt']);
