import type { AttributeInstance } from '../attribute.ts';
import { badRequest } from '../errors.ts';
import { type Iri, NGSILD_NULL } from '../iri.ts';
import { isObject } from '../json.ts';

const PROOF = 'https://uri.etsi.org/ngsi-ld/ngsildproof' as Iri;

/**
 * 4.5.2.2: `ngsildproof` is a Property whose value is the W3C Data Integrity proof of the attribute it belongs to (C.11), and no other attribute
 * says which id and type of an entity are sealed.
 * @param name what the client calls the attribute; core contexts before 1.9 do not know the term
 * @throws DomainError BadRequestData
 */
export function checkProof(name: string, iri: Iri, instances: readonly AttributeInstance[], what: string): void {
  const isProof = name === 'ngsildproof' || iri === PROOF;
  for (const instance of instances) {
    if (!isProof) {
      if ('entityIdSealed' in instance || 'entityTypeSealed' in instance) {
        throw badRequest(`${what}: entityIdSealed and entityTypeSealed are possible in ngsildproof only (4.5.2.2)`);
      }
      continue;
    }
    if (instance.type !== undefined && instance.type !== 'Property') throw badRequest(`${what} must be a Property (4.5.2.2)`);
    const { value } = instance as { readonly value?: unknown };
    if (value !== undefined && value !== NGSILD_NULL && !isObject(value)) {
      throw badRequest(`${what}: the value must be an object, the Data Integrity proof (4.5.2.2)`);
    }
  }
}
