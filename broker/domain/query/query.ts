import type { Geometry } from '../geometry.ts';
import type { Iri } from '../iri.ts';

/**
 * The one query. NGSI-LD `q`, `georel`, `scopeQ` and type selection, SensorThings `$filter` and the conditions of subscriptions compile
 * to it; evaluate.ts says what it means on one entity, and a store that compiles it to its own language must agree.
 * Every name in it is an IRI.
 */
export interface EntityQuery {
  /** The entity's id is one of these. */
  readonly ids?: readonly Iri[];
  /** The entity's id matches this regular expression somewhere (4.17 of the API tables: idPattern). */
  readonly idPattern?: string;
  readonly types?: TypeSelection;
  /** The entity is one that at least one of these selects, by all that it says (5.2.33): several selectors in the body of a query. */
  readonly anyOf?: readonly EntitySelector[];
  /** The entity has at least one of these attributes. */
  readonly anyAttribute?: readonly Iri[];
  readonly scopes?: ScopeSelection;
  readonly where?: Condition;
  /** Instances considered by `where` and by projection: only these datasetIds; "@none" is the default instance (4.5.5). */
  readonly datasetIds?: readonly (Iri | '@none')[];
}

/** 5.2.33: some ids, or a pattern of ids, or any id; and the types. */
export type EntitySelector = Pick<EntityQuery, 'ids' | 'idPattern' | 'types'>;

/** 4.17: `A,B` and `A|B` are any, `A;B` is all. */
export type TypeSelection =
  | { readonly kind: 'type'; readonly type: Iri }
  | { readonly kind: 'any'; readonly of: readonly TypeSelection[] }
  | { readonly kind: 'all'; readonly of: readonly TypeSelection[] };

/** 4.19: a pattern is a list of levels; "+" stands for one level, "#" as last level for the scope itself and everything below it. */
export type ScopeSelection =
  | { readonly kind: 'scope'; readonly levels: readonly string[] }
  | { readonly kind: 'any'; readonly of: readonly ScopeSelection[] }
  | { readonly kind: 'all'; readonly of: readonly ScopeSelection[] };

export type Condition =
  | { readonly kind: 'and'; readonly of: readonly Condition[] }
  | { readonly kind: 'or'; readonly of: readonly Condition[] }
  | { readonly kind: 'not'; readonly of: Condition }
  | { readonly kind: 'exists'; readonly path: AttributePath }
  | Comparison
  | GeoCondition;

export interface Comparison {
  readonly kind: 'compare';
  readonly path: AttributePath;
  readonly operator: '==' | '!=' | '>' | '>=' | '<' | '<=' | '~=' | '!~=';
  readonly value: Operand;
}

/** The right side of a comparison. Lists and ranges go with `==` and `!=` only; a pattern goes with `~=` and `!~=` only (4.9). */
export type Operand =
  | { readonly kind: 'literal'; readonly value: string | number | bigint | boolean }
  /** Compared as moments, dates or times of day, not as text (4.9). */
  | { readonly kind: 'dateTime' | 'date' | 'time'; readonly value: string }
  | { readonly kind: 'uri'; readonly value: Iri }
  | { readonly kind: 'list'; readonly of: readonly Operand[] }
  /** Both ends included. */
  | { readonly kind: 'range'; readonly from: Operand; readonly to: Operand }
  | { readonly kind: 'pattern'; readonly source: string };

/** What a condition looks at: `speed`, `speed.accuracy`, `address[city.name]`, `name[en]`, `locatedIn{City:population}`. */
export interface AttributePath {
  /** The attribute, then sub-attributes, outermost first; at least one. System members (`createdAt` …) appear as their core IRIs. */
  readonly names: readonly Iri[];
  /** Members inside the value: keys of a JSON object, one language tag of a languageMap, or "*" for any language. */
  readonly inside?: readonly string[];
  /** The value is a Relationship to follow, and the rest of the path starts at the linked entity (4.5.23). */
  readonly linked?: { readonly types?: readonly Iri[]; readonly path: AttributePath };
  /** The attribute is listed in `expandValues`: the operand with its terms expanded, for comparing with a VocabProperty. */
  readonly expanded?: Operand;
}

/** 4.10. Distances are metres along the earth's surface. */
export interface GeoCondition {
  readonly kind: 'geo';
  /** The GeoProperty to test; any of its instances may match. */
  readonly property: Iri;
  readonly relation: 'near' | 'within' | 'contains' | 'intersects' | 'equals' | 'disjoint' | 'overlaps';
  readonly geometry: Geometry;
  readonly maxDistanceM?: number;
  readonly minDistanceM?: number;
}

/** 4.23. The id is always the last tie-break. */
export interface Order {
  readonly by: AttributePath | 'id' | 'type' | 'createdAt' | 'modifiedAt';
  readonly direction: 'asc' | 'desc' | 'dist-asc' | 'dist-desc';
  /** The place that distances are measured from. */
  readonly from?: Geometry;
  /** A BCP 47 collation; absent: root collation. */
  readonly collation?: string;
}
