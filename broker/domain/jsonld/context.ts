import type { Iri } from '../iri.ts';
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
  /** Term or compact IRI to IRI; a name that nothing defines goes to the default vocabulary. The answer is cached. */
  expand(term: string): Iri;
  /** The shortest name for an IRI: a term, a compact IRI, or the IRI itself. */
  compact(iri: Iri): string;
}
