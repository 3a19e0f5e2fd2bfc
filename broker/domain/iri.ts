/** Names that cannot be mixed up: an IRI is not any string, and a tenant is not an IRI. */

declare const brand: unique symbol;

/** An absolute IRI (RFC 3987). Entity ids, types, attribute names and datasetIds are IRIs inside the broker (5.5.7). */
export type Iri = string & { readonly [brand]: 'Iri' };

/** A tenant, 4.14. The default tenant, for callers that name none, is the empty string. */
export type TenantId = string & { readonly [brand]: 'TenantId' };

export const DEFAULT_TENANT = '' as TenantId;

/** The IRI that asks for a deletion, or says that something was deleted: the NGSI-LD Null of 4.5.0. */
export const NGSILD_NULL = 'urn:ngsi-ld:null' as Iri;

const SCHEME = /^[A-Za-z][A-Za-z0-9+.-]*:/;
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are exactly what an IRI must not contain
const FORBIDDEN = /[\u0000-\u0020<>"{}|\\^`]/;

/**
 * Characters beyond ASCII that RFC 3987 leaves out, or that nobody sees: spaces and line ends, formatting, surrogates, noncharacters,
 * variation selectors, fillers. Two ids must not look the same and be different.
 */
const INVISIBLE = /[\p{Z}\p{Cc}\p{Cf}\p{Cs}\p{Noncharacter_Code_Point}\p{Variation_Selector}\u115F\u1160\u2800\u3164\uFFA0]/u;
// biome-ignore lint/suspicious/noControlCharactersInRegex: the ASCII range, all of it
const ASCII = /^[\u0000-\u007F]*$/;

/** Most IRIs: plain ASCII without what is forbidden. */
const PLAIN = /^[A-Za-z][A-Za-z0-9+.-]*:[!#-;=?-[\]_a-z~]+$/;

/** True if `text` is an absolute IRI: a scheme, something after it, and no character that RFC 3987 forbids. */
export function isIri(text: unknown): text is Iri {
  if (typeof text !== 'string') return false;
  if (PLAIN.test(text)) return true;
  if (!SCHEME.test(text) || text.indexOf(':') === text.length - 1 || FORBIDDEN.test(text)) return false;
  return ASCII.test(text) || !INVISIBLE.test(text);
}

/** True if `text` may name a tenant: 1 to 64 of letters, digits, "_" and "-"; it becomes part of keys, subjects and paths. */
export function isTenantName(text: string): text is TenantId {
  return /^[A-Za-z0-9_-]{1,64}$/.test(text);
}
