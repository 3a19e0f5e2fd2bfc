import type { AttributeType } from '../attribute.ts';
import { badRequest } from '../errors.ts';
import { parseGeometry } from '../geometry.ts';
import { type Iri, isIri, NGSILD_NULL } from '../iri.ts';
import { isObject, type JsonValue } from '../json.ts';
import type { Context } from './context.ts';

/** What an operation makes of NGSI-LD Nulls (5.5.4): nothing, members to delete, or also members of compound values (5.5.12). */
export type Nulls = 'refused' | 'members' | 'everywhere';

/** RFC 5646, as far as its syntax needs no registry; "@none" is text without a language (4.6.5). */
const LANGUAGE = /^(?:@none|[A-Za-z]{1,8}(?:-[A-Za-z0-9]{1,8})*)$/;

/** True for the NGSI-LD Null of any kind of attribute: the IRI, an array of just that, or `{"@none": …}` (4.5.0). */
export function isNullValue(value: unknown): boolean {
  if (value === NGSILD_NULL) return true;
  if (Array.isArray(value)) return value.length === 1 && value[0] === NGSILD_NULL;
  if (!isObject(value) || value['@none'] !== NGSILD_NULL) return false;
  for (const key in value) if (key !== '@none') return false;
  return true;
}

/**
 * Checks the value of an attribute and brings it into the stored form: IRIs and vocabulary terms expanded, everything else as it is.
 * @param what   how the attribute is called in messages
 * @throws DomainError BadRequestData that says what the kind of attribute wants instead
 */
export function expandValue(type: AttributeType, value: JsonValue, what: string, context: Context, nulls: Nulls): JsonValue {
  if (value === null)
    throw badRequest(`${what}: null is not a value in NGSI-LD; ${NGSILD_NULL} deletes where deleting is possible`);
  switch (type) {
    case 'Property':
      if (typeof value === 'object' && nulls !== 'everywhere') refuseNullsInside(value, what);
      return value;
    case 'JsonProperty':
      if (typeof value !== 'object') throw badRequest(`${what}: json must be a JSON object or an array (4.5.24)`);
      return value;
    case 'GeoProperty':
      return parseGeometry(typeof value === 'string' ? geometryFromText(value, what) : value, what) as unknown as JsonValue;
    case 'Relationship':
      return relationshipObject(value, what);
    case 'LanguageProperty':
      return languageMap(value, what, nulls);
    case 'VocabProperty':
      return vocabulary(value, what, context);
    case 'ListProperty':
      if (!Array.isArray(value)) throw badRequest(`${what}: valueList must be an array`);
      return value;
    case 'ListRelationship':
      if (!Array.isArray(value)) throw badRequest(`${what}: objectList must be an array of IRIs`);
      return value.map((item) => listObject(item, what));
  }
}

/** 5.5.4: inside a compound value the NGSI-LD Null means something in a merge only. */
function refuseNullsInside(value: JsonValue, what: string): void {
  if (Array.isArray(value)) {
    for (const item of value) if (typeof item === 'object' && item !== null) refuseNullsInside(item, what);
  } else if (isObject(value)) {
    for (const key in value) {
      const member = value[key];
      if (member === NGSILD_NULL)
        throw badRequest(`${what}: ${NGSILD_NULL} inside a value ("${key}") is possible in a merge only`);
      if (typeof member === 'object' && member !== null) refuseNullsInside(member, what);
    }
  }
}

/** 4.7.2: a geometry may come as JSON text, so that it survives JSON-LD expansion; it is kept as an object. */
function geometryFromText(text: string, what: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw badRequest(`${what}: ${shown(text)} is not a GeoJSON geometry`);
  }
}

function relationshipObject(value: JsonValue, what: string): JsonValue {
  if (Array.isArray(value)) {
    if (value.length === 0) throw badRequest(`${what}: object must name at least one entity`);
    for (const item of value) requireIri(item, what, 'object');
    return value;
  }
  return requireIri(value, what, 'object');
}

function listObject(value: JsonValue, what: string): JsonValue {
  if (Array.isArray(value)) return value.map((item) => listObject(item, what));
  if (isObject(value) && value['object'] !== undefined) return requireIri(value['object'], what, 'objectList');
  return requireIri(value, what, 'objectList');
}

function requireIri(value: unknown, what: string, member: string): Iri {
  if (isIri(value)) return value;
  throw badRequest(`${what}: ${member} must be an absolute IRI such as urn:ngsi-ld:Device:17, not ${shown(value)}`);
}

function languageMap(value: JsonValue, what: string, nulls: Nulls): JsonValue {
  if (!isObject(value)) throw badRequest(`${what}: languageMap must be an object of language tags and texts`);
  for (const tag in value) {
    if (!LANGUAGE.test(tag)) throw badRequest(`${what}: "${tag}" is not a language tag such as "en" or "de-AT"`);
    const text = value[tag];
    if (text === NGSILD_NULL && nulls !== 'everywhere') throw badRequest(`${what}: one language is deleted by a merge only`);
    const isText = typeof text === 'string' || (Array.isArray(text) && text.every((item) => typeof item === 'string'));
    if (!isText) throw badRequest(`${what}: the text for "${tag}" must be a string or an array of strings`);
  }
  return value;
}

function vocabulary(value: JsonValue, what: string, context: Context): JsonValue {
  const one = (term: unknown): Iri => {
    if (typeof term !== 'string') throw badRequest(`${what}: vocab must be a term or an array of terms`);
    return context.expandTerm(term);
  };
  if (Array.isArray(value)) {
    if (value.length === 0) throw badRequest(`${what}: vocab must name at least one term`);
    return value.map(one);
  }
  return one(value);
}

/** A value in a message: short, and recognizable. */
export function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}
