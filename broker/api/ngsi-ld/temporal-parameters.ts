import type { FastifyRequest } from 'fastify';
import { badRequest, invalidRequest } from '../../domain/errors.ts';
import {
  AGGREGATION_METHODS,
  type Aggregation,
  type AggregationMethod,
  type TemporalFilter,
  type TimeProperty,
} from '../../domain/history.ts';
import type { JsonValue } from '../../domain/json.ts';
import { parsePeriod } from '../../domain/period.ts';
import type { Representation } from '../../domain/representation.ts';
import type { TemporalForm } from '../../domain/temporal-representation.ts';
import { instant, toMicros } from '../../domain/time.ts';
import type { EvolutionSelection } from '../../operations/history.ts';
import { parameter } from '../http/request.ts';

/** A temporal query (4.11, 5.2.21) as it comes: texts of a URL, or members of `temporalQ`, where lastN is a number. */
export interface TemporalText {
  readonly timerel?: JsonValue | undefined;
  readonly timeAt?: JsonValue | undefined;
  readonly endTimeAt?: JsonValue | undefined;
  readonly timeproperty?: JsonValue | undefined;
  readonly lastN?: JsonValue | undefined;
  readonly aggrMethods?: JsonValue | undefined;
  readonly aggrPeriodDuration?: JsonValue | undefined;
}

export const TEMPORAL_PARAMETERS = [
  'timerel',
  'timeAt',
  'endTimeAt',
  'timeproperty',
  'lastN',
  'aggrMethods',
  'aggrPeriodDuration',
] as const;

/** The keywords of `options` for temporal answers (6.3.11, 6.3.12). */
export const TEMPORAL_OPTIONS = ['temporalValues', 'aggregatedValues', 'normalized', 'sysAttrs'] as const;

const TIME_PROPERTIES: readonly TimeProperty[] = ['observedAt', 'createdAt', 'modifiedAt', 'deletedAt'];

export function temporalText(request: FastifyRequest): TemporalText {
  return Object.fromEntries(TEMPORAL_PARAMETERS.map((name) => [name, parameter(request, name)]));
}

/** 4.11. @throws DomainError BadRequestData */
export function temporalFilterOf(text: TemporalText): TemporalFilter {
  const { timerel, timeAt, endTimeAt, timeproperty = 'observedAt' } = text;
  const property = TIME_PROPERTIES.find((one) => one === timeproperty);
  if (property === undefined) {
    throw badRequest(`timeproperty must be one of ${TIME_PROPERTIES.join(', ')}, not ${JSON.stringify(timeproperty)}`);
  }
  if (timerel === undefined) {
    if (timeAt !== undefined || endTimeAt !== undefined)
      throw badRequest('timeAt and endTimeAt need timerel, which says how to compare');
    return { property };
  }
  if (timerel !== 'before' && timerel !== 'after' && timerel !== 'between') {
    throw badRequest(`timerel must be before, after or between, not ${JSON.stringify(timerel)}`);
  }
  if (timeAt === undefined) throw badRequest(`timerel=${timerel} needs timeAt`);
  const at = toMicros(instant(timeAt, 'timeAt'));
  if (timerel !== 'between') return { property, time: { relation: timerel, at } };
  if (endTimeAt === undefined) throw badRequest('timerel=between needs endTimeAt');
  return { property, time: { relation: 'between', at, end: toMicros(instant(endTimeAt, 'endTimeAt')) } };
}

/**
 * What to select of each evolution: what `attrs` names, else everything, because `pick` and `omit` only say what is shown (4.21).
 * @throws DomainError BadRequestData
 */
export function evolutionSelectionOf(text: TemporalText, { attrs, datasetIds }: Representation): EvolutionSelection {
  const lastN = lastNOf(text.lastN);
  return {
    filter: temporalFilterOf(text),
    ...(attrs === undefined ? {} : { attributes: attrs }),
    ...(datasetIds === undefined ? {} : { datasetIds }),
    ...(lastN === undefined ? {} : { lastN }),
  };
}

function lastNOf(given: JsonValue | undefined): number | undefined {
  if (given === undefined) return undefined;
  const number = typeof given === 'string' && /^\d{1,9}$/.test(given) ? Number(given) : given;
  if (typeof number === 'number' && Number.isInteger(number) && number > 0) return number;
  throw badRequest(`lastN must be a whole number of 1 or more, not ${JSON.stringify(given)}`);
}

/**
 * 6.3.12: `format` wins over `options`.
 * @param fallback if neither says
 * @throws DomainError InvalidRequest
 */
export function temporalFormOf(
  format: string | undefined,
  options: readonly string[],
  fallback: TemporalForm | 'aggregatedValues' = 'normalized',
): TemporalForm | 'aggregatedValues' {
  if (options.includes('temporalValues') && options.includes('aggregatedValues')) {
    throw invalidRequest('options has temporalValues and aggregatedValues; one of them is possible');
  }
  const keyword = format ?? options.find((option) => option !== 'sysAttrs') ?? fallback;
  if (keyword === 'normalized' || keyword === 'temporalValues' || keyword === 'aggregatedValues') return keyword;
  throw invalidRequest(`The format "${keyword}" is not one of normalized, temporalValues, aggregatedValues`);
}

/** 4.5.19.1. @throws DomainError BadRequestData */
export function aggregationOf({ aggrMethods, aggrPeriodDuration = 'PT0S' }: TemporalText): Aggregation {
  if (aggrMethods === undefined) throw badRequest('aggregatedValues needs aggrMethods');
  const names: readonly JsonValue[] = typeof aggrMethods === 'string' ? aggrMethods.split(',') : [aggrMethods].flat();
  const methods = names.map((name): AggregationMethod => {
    const method = AGGREGATION_METHODS.find((one) => one === (typeof name === 'string' ? name.trim() : name));
    if (method !== undefined) return method;
    throw badRequest(`aggrMethods must be of ${AGGREGATION_METHODS.join(', ')}, not ${JSON.stringify(name)}`);
  });
  if (methods.length === 0) throw badRequest('aggrMethods must name at least one method');
  return { methods: [...new Set(methods)], period: parsePeriod(aggrPeriodDuration) };
}
