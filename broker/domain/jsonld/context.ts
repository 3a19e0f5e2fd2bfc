import { badRequest } from '../errors.ts';
import { type Iri, isIri } from '../iri.ts';
import type { JsonValue } from '../json.ts';

/**
 * A resolved @context as a table of terms (5.5.7). Made once, when a @context is first seen, from what the `jsonld` package found in it;
 * requests are expanded and compacted over it without any further JSON-LD processing. The core context is applied last, so its terms win.
 */
export interface Context {
  /** Identifies the table: equal keys, equal tables. Part of cache keys. */
  readonly key: string;
  /** What a JSON-LD answer carries as @context, as the client gave it, the core context included. */
  readonly source: JsonValue;
  /** What a Link header of an answer names; undefined if the context is inline and so cannot be linked. */
  readonly link: string | undefined;
  /**
   * Term or compact IRI to IRI; a name that nothing defines goes to the default vocabulary. An alias of a JSON-LD keyword becomes the
   * keyword ("id" is "@id"). The answer is cached.
   * @throws DomainError BadRequestData if the name can be none (4.6.2)
   */
  expand(term: string): Iri;
  /** Like {@link expand}, for values that are terms of a vocabulary (4.5.20): they need not be names, "non-commercial" is one too (C.2.2). */
  expandTerm(term: string): Iri;
  /** The shortest name for an IRI: a term, a compact IRI, or the IRI itself. */
  compact(iri: Iri): string;
}

/** One term definition of a @context. */
export interface Term {
  readonly iri: string;
  /** The term may stand before the colon of a compact IRI. */
  readonly prefix?: boolean;
  /** The term also says how its values are written (@type, @container …): as a name it is second choice. */
  readonly coerced?: boolean;
}

/** What a @context defines. */
export interface ContextTerms {
  readonly terms: ReadonlyMap<string, Term>;
  /** Where names go that nothing defines: an IRI that ends with "/" or "#". */
  readonly vocabulary: string;
}

export interface ContextParts extends ContextTerms {
  readonly key: string;
  readonly source: JsonValue;
  readonly link: string | undefined;
}

/** 4.6.2, for names that no @context defines: letters of any script, digits, "_". */
const NAME = /^\p{L}[\p{L}\p{N}_]*$/u;

/** For values: whatever makes an IRI behind the default vocabulary, and would not be taken for something else. */
const TERM = /^[\p{L}\p{N}_][^\s:/#?<>"{}|\\^`]*$/u;

/** What JSON-LD keeps for itself, and stays as it is. */
const KEYWORD = /^@[A-Za-z]+$/;

/** Names that were expanded once are remembered, but clients cannot fill the memory by inventing names. */
const REMEMBERED = 20_000;

/** The table as a {@link Context}. */
export function contextTable({ key, source, link, terms, vocabulary }: ContextParts): Context {
  const expanded = new Map<string, Iri>();
  const compacted = new Map<Iri, string>();
  const byIri = new Map<string, string>();
  const prefixes: { readonly prefix: string; readonly iri: string }[] = [];
  for (const [term, { iri, prefix }] of terms) {
    expanded.set(term, iri as Iri);
    const rival = byIri.get(iri);
    if (!iri.startsWith('@') && (rival === undefined || isBetter(term, rival))) byIri.set(iri, term);
    if (prefix) prefixes.push({ prefix: term, iri });
  }

  function isBetter(term: string, rival: string): boolean {
    const coerced = terms.get(term)?.coerced ?? false;
    if (coerced !== (terms.get(rival)?.coerced ?? false)) return !coerced;
    return term.length !== rival.length ? term.length < rival.length : term < rival;
  }

  function lookUp(name: string): Iri {
    const colon = name.indexOf(':');
    if (colon < 0) {
      if (KEYWORD.test(name)) return name as Iri;
      if (!NAME.test(name))
        throw badRequest(`${JSON.stringify(name)} cannot be a name: letters, digits and "_" make one (4.6.2)`);
      return `${vocabulary}${name}` as Iri;
    }
    const prefix = name.startsWith('//', colon + 1) ? undefined : terms.get(name.slice(0, colon));
    const iri = prefix?.prefix ? `${prefix.iri}${name.slice(colon + 1)}` : name;
    if (!isIri(iri)) throw badRequest(`${JSON.stringify(name)} cannot be a name: it is neither a term nor an IRI (4.6.2)`);
    return iri;
  }

  function expand(name: string): Iri {
    const known = expanded.get(name);
    if (known !== undefined) return known;
    const iri = lookUp(name);
    if (expanded.size > REMEMBERED + terms.size) expanded.clear();
    if (expanded.size === 0) for (const [term, definition] of terms) expanded.set(term, definition.iri as Iri);
    expanded.set(name, iri);
    return iri;
  }

  function shorten(iri: Iri): string {
    const term = byIri.get(iri);
    if (term !== undefined) return term;
    if (iri.startsWith(vocabulary)) {
      const rest = iri.slice(vocabulary.length);
      if (TERM.test(rest) && !terms.has(rest)) return rest;
    }
    let best: string | undefined;
    for (const { prefix, iri: start } of prefixes) {
      if (!iri.startsWith(start) || iri.length === start.length) continue;
      const candidate = `${prefix}:${iri.slice(start.length)}`;
      if (iri.startsWith('//', start.length) || (terms.has(candidate) && terms.get(candidate)?.iri !== iri)) continue;
      if (best === undefined || candidate.length < best.length || (candidate.length === best.length && candidate < best))
        best = candidate;
    }
    return best ?? iri;
  }

  return {
    key,
    source,
    link,
    expand,
    expandTerm: (term) =>
      !expanded.has(term) && TERM.test(term) && !NAME.test(term) ? (`${vocabulary}${term}` as Iri) : expand(term),
    compact(iri) {
      const known = compacted.get(iri);
      if (known !== undefined) return known;
      const name = shorten(iri);
      if (compacted.size > REMEMBERED) compacted.clear();
      compacted.set(iri, name);
      return name;
    },
  };
}
