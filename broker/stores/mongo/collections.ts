import type { Collection, Db, Document } from 'mongodb';
import type { Iri, TenantId } from '../../domain/iri.ts';
import type { Micros } from '../../domain/time.ts';
import type { Fact } from './facts.ts';
import type { Place } from './places.ts';

/**
 * An entity that exists, or whose history is known. What is queried are members of their own; the state itself is text, because values are
 * opaque to the broker (4.5.0): members named like operators, integers beyond 2^53 and their order come back as they came.
 */
export interface EntityDocument {
  /** Tenant, a space, id: neither contains one. In order of it the entities of a tenant lie in order of their ids. */
  readonly _id: string;
  readonly t: TenantId;
  /** Its number: never given to another entity. */
  readonly n: number;
  /** Position of the change that wrote the state; 0: there never was one. */
  readonly v: number;
  /** Position of the last write to this document: it grows with every one. Below it nothing of {@link c} is left to do. */
  readonly o: number;
  /** The state, see state-text.ts; absent: the entity does not exist now. */
  readonly e?: string;
  /** When the first thing in it expires (4.22). */
  readonly x?: Micros;
  /** Key of its shape: which types and attributes it has. */
  readonly h?: string;
  readonly y?: readonly Iri[];
  /** Scopes, each with a slash in front. */
  readonly s?: readonly string[];
  readonly q?: readonly Fact[];
  /** Some fact of {@link q} does not say all. */
  readonly r?: true;
  readonly g?: readonly Place[];
  /** GeoProperties that are too wide for an index of places: found whatever the place. */
  readonly w?: readonly Iri[];
  /** False: its temporal evolution was deleted (5.6.16), or never was. */
  readonly ev: boolean;
  /** JSON, what the temporal evolution knows beyond the state. */
  readonly p?: string;
  /** Types that only the temporal evolution has. */
  readonly z?: readonly Iri[];
  /** What the last write to this document adds to the history and the change log, as text; see outbox.ts. */
  readonly c: string;
}

/** One attribute instance at one time. */
export interface HistoryDocument {
  /** Its number: never given to another. */
  readonly _id: number;
  readonly t: TenantId;
  /** Number of the entity. */
  readonly k: number;
  readonly a: Iri;
  readonly d?: Iri;
  /** observedAt, or modifiedAt of an instance without it. */
  readonly at: Micros;
  /** `at` is observedAt. */
  readonly o: boolean;
  readonly c: Micros;
  readonly m: Micros;
  /** deletedAt, of what says "deleted here" (4.5.7). */
  readonly x?: Micros;
  /** expiresAt. */
  readonly u?: Micros;
  /** The value, if it is a number. */
  readonly v?: number;
  /** The rest of the instance, as text. */
  readonly i: string;
}

/** One change, as the feed tells it. */
export interface ChangeDocument {
  readonly _id: number;
  readonly t: TenantId;
  readonly i: Iri;
  /** See change-record.ts. */
  readonly r: string;
  /** The state after it, or, of a deletion, before; see state-text.ts. */
  readonly e: string;
}

export interface StoredBody {
  readonly _id: string;
  readonly k: string;
  readonly t: TenantId;
  readonly i: string;
  readonly v: number;
  readonly b: string;
}

export interface DeliveryDocument {
  readonly _id: string;
  readonly s: string;
  readonly p: number;
  readonly t: TenantId;
  readonly e: string;
  readonly a: number;
  readonly r: string;
  readonly dead: boolean;
}

export interface MessageDocument extends Omit<DeliveryDocument, '_id' | 'p'> {
  readonly _id: number;
  readonly b: string;
}

/** Whatever there is one of. */
export interface MemoryDocument extends Document {
  readonly _id: string;
}

export interface Collections {
  readonly entities: Collection<EntityDocument>;
  readonly history: Collection<HistoryDocument>;
  readonly changes: Collection<ChangeDocument>;
  readonly documents: Collection<StoredBody>;
  readonly deliveries: Collection<DeliveryDocument>;
  readonly messages: Collection<MessageDocument>;
  readonly cursors: Collection<{ readonly _id: string; readonly position: number }>;
  readonly tenants: Collection<{ readonly _id: string }>;
  readonly shapes: Collection<{ readonly _id: string; readonly text: string }>;
  /** Writes that belong together and are being carried out; see write-loop.ts. */
  readonly together: Collection<{ readonly _id: number; readonly entities: readonly EntityDocument[] }>;
  readonly memory: Collection<MemoryDocument>;
}

export function collectionsOf(database: Db): Collections {
  return {
    entities: database.collection('entities'),
    history: database.collection('history'),
    changes: database.collection('changes'),
    documents: database.collection('documents'),
    deliveries: database.collection('deliveries'),
    messages: database.collection('messages'),
    cursors: database.collection('cursors'),
    tenants: database.collection('tenants'),
    shapes: database.collection('shapes'),
    together: database.collection('together'),
    memory: database.collection('memory'),
  };
}

/** The key of an entity: {@link EntityDocument._id}. */
export const keyOf = (tenant: TenantId, id: Iri): string => `${tenant} ${id}`;

/** The id in a key. */
export const idOf = (key: string): Iri => key.slice(key.indexOf(' ') + 1) as Iri;

/** The keys of all entities of a tenant, as bounds: the character behind the space ends them. */
export const keysOf = (tenant: TenantId): { readonly $gt: string; readonly $lt: string } => ({
  $gt: `${tenant} `,
  $lt: `${tenant}!`,
});
