import type { Attributes, Iri, KnownDevice } from '../../broker/ports/ingest.ts';
import { compileMapping } from '../mapping/compile.ts';
import { provisionedMapping } from '../mapping/provisioned.ts';

/** The entity of a device before it has measured anything: its static attributes. @throws PayloadError if its mapping cannot be used */
export function staticEntity(known: KnownDevice): {
  readonly id: Iri;
  readonly types: readonly Iri[];
  readonly attributes: Attributes;
} {
  const [own] = compileMapping(provisionedMapping(known), (term) => known.expand(term)).targets;
  return { id: own?.id as Iri, types: own?.types ?? [], attributes: own?.statics ?? {} };
}
