import type { FastifyRequest } from 'fastify';
import { badRequest, invalidRequest } from '../../domain/errors.ts';
import { type Iri, isIri } from '../../domain/iri.ts';
import type { Context } from '../../domain/jsonld/context.ts';
import { parseProjection, projectionDepth } from '../../domain/query/parse/projection.ts';
import { LOCATION, type Representation } from '../../domain/representation.ts';
import { GEO_JSON, type MediaType } from '../http/negotiation.ts';
import { listParameter, parameter } from '../http/request.ts';

/** What a client asks of the form of entities, as text: parameters of a URL or members of a Query (5.2.23). */
export interface RepresentationText {
  readonly attrs?: readonly string[] | undefined;
  readonly pick?: string | undefined;
  readonly omit?: string | undefined;
  readonly lang?: string | undefined;
  readonly datasetId?: readonly string[] | undefined;
  readonly geometryProperty?: string | undefined;
  readonly format?: string | undefined;
  readonly options: readonly string[];
}

/** The keywords of `options` that say how entities are written (6.3.7, 6.3.11). */
export const REPRESENTATION_OPTIONS = ['normalized', 'concise', 'simplified', 'keyValues', 'sysAttrs'] as const;

/** The parameters that {@link representationText} reads. */
export const REPRESENTATION_PARAMETERS = [
  'attrs',
  'pick',
  'omit',
  'lang',
  'datasetId',
  'geometryProperty',
  'format',
  'options',
] as const;

export function representationText(request: FastifyRequest, options: readonly string[]): RepresentationText {
  return {
    attrs: listParameter(request, 'attrs'),
    pick: parameter(request, 'pick'),
    omit: parameter(request, 'omit'),
    lang: parameter(request, 'lang'),
    datasetId: listParameter(request, 'datasetId'),
    geometryProperty: parameter(request, 'geometryProperty'),
    format: parameter(request, 'format'),
    options,
  };
}

/**
 * @param joinLevel how deep the request joins linked entities; 0: not at all
 * @throws DomainError BadRequestData, or InvalidRequest for an unknown format
 */
export function representationOf(text: RepresentationText, context: Context, media: MediaType, joinLevel = 0): Representation {
  const { attrs, pick, omit, lang, datasetId, geometryProperty } = text;
  if (geometryProperty !== undefined && media !== GEO_JSON) {
    throw badRequest('geometryProperty is for GeoJSON answers only: ask for application/geo+json');
  }
  if (attrs !== undefined && (pick !== undefined || omit !== undefined)) {
    throw badRequest('attrs does not go with pick or omit, which replace it');
  }
  const format = formatOf(text);
  const projection = parseProjection({ pick, omit }, context);
  const depth = projectionDepth(projection);
  if (depth > joinLevel) {
    throw badRequest(
      joinLevel === 0
        ? 'pick or omit names members of linked entities, which needs the parameter join'
        : `pick or omit goes over ${depth} relationships, but joinLevel is ${joinLevel}`,
    );
  }
  return {
    ...(format === 'normalized' ? {} : { format }),
    ...(media === GEO_JSON
      ? { geometryProperty: geometryProperty === undefined ? LOCATION : context.expand(geometryProperty) }
      : {}),
    ...(text.options.includes('sysAttrs') ? { sysAttrs: true } : {}),
    ...(lang === undefined ? {} : { lang }),
    ...(attrs === undefined ? {} : { attrs: attributeNames(attrs, context) }),
    ...projection,
    ...(datasetId === undefined ? {} : { datasetIds: datasetIdsOf(datasetId) }),
  };
}

/** `format` wins over `options`, and of several options the first. */
function formatOf({ format, options }: RepresentationText): NonNullable<Representation['format']> {
  const keyword = format ?? options.find((option) => option !== 'sysAttrs') ?? 'normalized';
  if (keyword === 'keyValues') return 'simplified';
  if (keyword === 'normalized' || keyword === 'concise' || keyword === 'simplified') return keyword;
  throw invalidRequest(`The format "${keyword}" is not one of normalized, concise, simplified, keyValues`);
}

/** Names of attributes, expanded. @throws DomainError BadRequestData for id, type and other keywords */
export function attributeNames(names: readonly string[], context: Context, what = 'attrs'): readonly Iri[] {
  return names.map((name) => {
    const iri = context.expand(name);
    if (iri.startsWith('@')) throw badRequest(`${what} names attributes, and ${name} is none`);
    return iri;
  });
}

/** @throws DomainError BadRequestData */
export function datasetIdsOf(texts: readonly string[]): readonly (Iri | '@none')[] {
  return texts.map((text) => {
    if (text === '@none' || isIri(text)) return text;
    throw badRequest(`datasetId must be IRIs or "@none", and ${JSON.stringify(text)} is neither`);
  });
}
