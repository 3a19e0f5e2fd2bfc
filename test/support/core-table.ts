import { termsOf, unprotected } from '../../broker/operations/contexts/terms.ts';
import type { PreparedTerms } from '../../contexts/index.ts';
import { offlineDocument } from './contexts.ts';

/** What the `jsonld` package finds in a pinned core context now. */
export async function coreTable(url: string): Promise<PreparedTerms> {
  const { terms, vocabulary } = await termsOf([unprotected(await offlineDocument(url))], offlineDocument);
  const entries = [...terms].map(([term, { iri, prefix, coerced }]) => [
    term,
    [iri, `${prefix ? 'p' : ''}${coerced ? 'c' : ''}`],
  ]);
  return { vocabulary, terms: Object.fromEntries(entries) as PreparedTerms['terms'] };
}
