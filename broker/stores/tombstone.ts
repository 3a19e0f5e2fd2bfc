import type { AttributeInstance } from '../domain/attribute.ts';
import { type Iri, NGSILD_NULL } from '../domain/iri.ts';
import type { Instant } from '../domain/time.ts';

/** 4.5.6: the scope's evolution is told like that of a Property, under this name. */
export const SCOPE = 'https://uri.etsi.org/ngsi-ld/scope' as Iri;

/** 4.5.7, 4.5.8: the instance that says "deleted here". */
export function tombstone(of: AttributeInstance, at: Instant): AttributeInstance {
  const common = {
    ...(of.datasetId === undefined ? {} : { datasetId: of.datasetId }),
    ...(of.createdAt === undefined ? {} : { createdAt: of.createdAt }),
    modifiedAt: at,
    deletedAt: at,
  };
  switch (of.type) {
    case 'Property':
    case 'GeoProperty':
      return { type: of.type, value: NGSILD_NULL, ...common };
    case 'Relationship':
      return { type: of.type, object: NGSILD_NULL, ...common };
    case 'LanguageProperty':
      return { type: of.type, languageMap: { '@none': NGSILD_NULL }, ...common };
    case 'VocabProperty':
      return { type: of.type, vocab: NGSILD_NULL, ...common };
    case 'ListProperty':
      return { type: of.type, valueList: NGSILD_NULL, ...common };
    case 'ListRelationship':
      return { type: of.type, objectList: NGSILD_NULL, ...common };
    case 'JsonProperty':
      return { type: of.type, json: NGSILD_NULL, ...common };
  }
}
