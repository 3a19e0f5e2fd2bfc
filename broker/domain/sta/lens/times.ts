import type { AttributeInstance, Attributes } from '../../attribute.ts';
import type { Entity } from '../../entity.ts';
import type { Iri } from '../../iri.ts';
import { isObject, type JsonValue } from '../../json.ts';
import { parseMoment, parseSpan, type TimeSpan, toInstant, writeMoment } from '../time.ts';
import { localName, PHENOMENON_END, RESULT_TIME } from './vocabulary.ts';

/** Attributes of Smart Data Models that say when the measurements of their entity were made, for those that do not say it themselves (observedAt). */
const TIMES = new Set(
  'dateObserved dateObservedFrom dateObservedTo dateLastValueReported validFrom validTo validity dateIssued'.split(' '),
);
const FORECAST = /Forecast$/;

/** The attributes of an entity that say it. */
export const timeAttributes = ({ attributes }: Pick<Entity, 'attributes'>): readonly Iri[] =>
  (Object.keys(attributes) as Iri[]).filter((name) => TIMES.has(localName(name)));

export const isTimeAttribute = (name: Iri): boolean => TIMES.has(localName(name));

/** True if a series is dated by other attributes of its entity. */
export function isDatedByEntity(entity: Entity, name: Iri, datasetId: Iri | undefined): boolean {
  const instance = entity.attributes[name]?.find((one) => one.datasetId === datasetId);
  return instance !== undefined && instance.observedAt === undefined && timeAttributes(entity).length > 0;
}

/** When measurements were made, and when a forecast was. */
interface SaidTimes {
  readonly span: TimeSpan | undefined;
  readonly resultTime: string | undefined;
}

/** @param value of the attribute with this short name at the time in question */
function saidTimes(types: readonly Iri[], value: (short: string) => JsonValue | undefined): SaidTimes {
  const text = (short: string): string | undefined => {
    const said = value(short);
    const plain = isObject(said) ? said['@value'] : said;
    return typeof plain === 'string' ? plain : undefined;
  };
  const span = (short: string): TimeSpan | undefined => parseSpan(text(short) ?? '');
  const between = (start: string, end: string): TimeSpan | undefined => parseSpan(`${text(start)}/${text(end)}`) ?? span(start);
  if (types.some((type) => FORECAST.test(localName(type)))) {
    const issued = parseMoment(text('dateIssued') ?? '');
    return {
      span: between('validFrom', 'validTo') ?? span('validity'),
      resultTime: issued === undefined ? undefined : writeMoment(Math.floor(issued / 1000) * 1000),
    };
  }
  return {
    span: between('dateObservedFrom', 'dateObservedTo') ?? span('dateObserved') ?? span('dateLastValueReported'),
    resultTime: undefined,
  };
}

/** The instance with the times that its entity says; as it is, if it says its own, or the entity none. */
export function datedInstance(
  instance: AttributeInstance,
  types: readonly Iri[],
  value: (short: string) => JsonValue | undefined,
): AttributeInstance {
  if (instance.observedAt !== undefined) return instance;
  const { span, resultTime } = saidTimes(types, value);
  if (span === undefined && resultTime === undefined) return instance;
  const inner: Record<Iri, readonly AttributeInstance[]> = { ...instance.attributes };
  if (span?.to !== undefined) inner[PHENOMENON_END] = [{ type: 'Property', value: writeMoment(span.to) }];
  if (resultTime !== undefined && inner[RESULT_TIME] === undefined)
    inner[RESULT_TIME] = [{ type: 'Property', value: resultTime }];
  return {
    ...instance,
    ...(span === undefined ? {} : { observedAt: toInstant(span.from) }),
    ...(Object.keys(inner).length === 0 ? {} : { attributes: inner as Attributes }),
  };
}
