import { type Iri, isIri, isTenantName, type TenantId } from '../../domain/iri.ts';
import type { IndexedPath } from './attribute-indexes.ts';
import type { Dictionary } from './dictionary.ts';

export interface IndexSettings {
  /** Of one tenant, made on demand. 0: none are. Default 16. */
  readonly limit?: number;
  /** Paths that get an index with the first query that looks at them, and keep it. */
  readonly pinned?: readonly string[];
  /** Paths that never have one. */
  readonly forbidden?: readonly string[];
}

/** {@link IndexSettings}, understood. */
export interface IndexRules {
  readonly limit: number;
  readonly pinned: (tenant: number, path: IndexedPath) => boolean;
  readonly forbidden: (tenant: number, path: IndexedPath) => boolean;
}

/** A path as operators write it: the IRI of the attribute, those of attributes inside it behind a space, and members of the value in brackets. */
export function pathText({ names, inside }: IndexedPath): string {
  return `${names.join(' ')}${inside === undefined ? '' : `[${inside.join('.')}]`}`;
}

/** @throws Error naming the rule that is none: `[tenant ]IRI[ IRI …][[member.member …]]` */
export function indexRules({ limit = 16, pinned = [], forbidden = [] }: IndexSettings, dictionary: Dictionary): IndexRules {
  return { limit, pinned: matcher(pinned, dictionary), forbidden: matcher(forbidden, dictionary) };
}

function matcher(rules: readonly string[], dictionary: Dictionary): (tenant: number, path: IndexedPath) => boolean {
  if (rules.length === 0) return () => false;
  const known = new Set(rules.map(checkedRule));
  return (tenant, path) => {
    const text = pathText(path);
    return known.has(text) || known.has(`${dictionary.tenantName(tenant) as TenantId} ${text}`);
  };
}

/** @returns the rule with single spaces */
function checkedRule(rule: string): string {
  const words = rule.trim().split(/\s+/);
  const [first = '', ...others] = words;
  const names = isIri(first) || !isTenantName(first) ? words : others;
  if (names.length === 0 || !names.every((name) => isIri(name.replace(/\[[^\]]*\]$/, '') as Iri))) {
    throw new Error(
      `"${rule}" is not the path of an index: the IRI of an attribute, perhaps behind the name of a tenant and a space`,
    );
  }
  return words.join(' ');
}
