import type { TenantId } from '../domain/iri.ts';
import type { JsonObject } from '../domain/json.ts';

/** What is not an entity, each kind in its own drawer. */
export const DOCUMENT_KINDS = [
  'subscription',
  'subscription-state',
  'registration',
  'registration-state',
  'registration-subscription',
  'registration-subscription-state',
  'subscription-copy',
  'context',
  'context-cache',
  'entity-map',
  'snapshot',
  'service-group',
  'device',
  'command',
  'adapter',
  'adapter-process',
  'import',
  'transformation',
  'bad-data-rule',
  'validation',
  'virtual-sensor',
  'health-rule',
  'mapping',
  'device-configuration',
  'lazy-attributes',
  'series-name',
  'setting',
] as const;
export type DocumentKind = (typeof DOCUMENT_KINDS)[number];

export interface StoredDocument {
  readonly kind: DocumentKind;
  readonly tenant: TenantId;
  readonly id: string;
  /** Grows with every put of this document. */
  readonly version: number;
  readonly body: JsonObject;
}

/** Small documents by kind, tenant and id. A resolved put or delete is on disk. */
export interface DocumentStore {
  get(kind: DocumentKind, tenant: TenantId, id: string): Promise<StoredDocument | undefined>;
  /** All of one tenant, ascending id; `tenant` undefined: of all tenants. */
  list(kind: DocumentKind, tenant: TenantId | undefined): Promise<readonly StoredDocument[]>;
  /** `expect`: 0 = must not exist yet, n = must have this version, undefined = whatever there is. @returns the new version, or undefined if the expectation failed */
  put(kind: DocumentKind, tenant: TenantId, id: string, body: JsonObject, expect?: number): Promise<number | undefined>;
  /** @returns false if there was none */
  delete(kind: DocumentKind, tenant: TenantId, id: string): Promise<boolean>;
}
