import type { AttributeInstance, AttributeType } from './attribute.ts';
import type { AggregatedEvolution, TemporalEvolution, TimeProperty } from './history.ts';
import type { Iri } from './iri.ts';
import type { JsonObject, JsonValue } from './json.ts';
import { compactInstance, compactValue, type InstanceStyle, oneOrAll } from './jsonld/compact.ts';
import type { Context } from './jsonld/context.ts';
import { chooseLanguage, parseLanguages } from './language.ts';
import { type Representation, type Shown, shownMembers } from './representation.ts';

/** How temporal evolutions are written: normalized (4.5.6) or simplified, which is `temporalValues` (4.5.9). */
export type TemporalForm = 'normalized' | 'temporalValues';

const SCOPE = 'https://uri.etsi.org/ngsi-ld/scope' as Iri;

/** The member that holds the data points of an attribute in the simplified form (4.5.9). */
const SERIES_MEMBER: Record<AttributeType, string> = {
  Property: 'values',
  GeoProperty: 'values',
  Relationship: 'objects',
  LanguageProperty: 'languageMaps',
  VocabProperty: 'vocabs',
  ListProperty: 'valueLists',
  ListRelationship: 'objectLists',
  JsonProperty: 'jsons',
};

/** Simplified values that are wrapped in an object, to say what they are (4.5.9). */
const WRAPPED: Partial<Record<AttributeType, string>> = {
  LanguageProperty: 'languageMap',
  VocabProperty: 'vocab',
  JsonProperty: 'json',
};

/**
 * Makes the JSON object of a temporal evolution, without @context.
 * @param property the temporal property of the query: the time of each data point in the simplified form
 */
export function evolutionWriter(
  context: Context,
  representation: Representation,
  form: TemporalForm,
  property: TimeProperty,
): (evolution: TemporalEvolution) => JsonObject {
  const style: InstanceStyle = {
    context,
    format: form === 'normalized' ? 'normalized' : 'simplified',
    sysAttrs: representation.sysAttrs ?? false,
    languages: representation.lang === undefined ? undefined : parseLanguages(representation.lang),
    temporal: true,
  };
  const shows = shownMembers(representation);
  return (evolution) => {
    const out = head(evolution, shows, context);
    const attributes = withScope(evolution);
    if (style.sysAttrs && shows.system) {
      out['createdAt'] = evolution.createdAt;
      out['modifiedAt'] = evolution.modifiedAt;
      if (evolution.deletedAt !== undefined) out['deletedAt'] = evolution.deletedAt;
    }
    for (const name in attributes) {
      const instances = attributes[name as Iri] ?? [];
      if (!(name === SCOPE ? shows.scope : shows.attribute(name as Iri))) continue;
      // Without an instance in the span that is covered (6.3.10) it is an empty array, in both forms.
      out[context.compact(name as Iri)] =
        form === 'normalized' || instances.length === 0
          ? instances.map((instance) => compactInstance(instance, style))
          : series(instances, style, property);
    }
    return out;
  };
}

/** 4.5.6: the scope is written like a Property. Where its history was not kept, what is known of it stands for it. */
function withScope({ attributes, scopes, createdAt, modifiedAt }: TemporalEvolution): TemporalEvolution['attributes'] {
  if (scopes === undefined || scopes.length === 0 || attributes[SCOPE] !== undefined) return attributes;
  return { [SCOPE]: [{ type: 'Property', value: oneOrAll(scopes), createdAt, modifiedAt }], ...attributes };
}

/** 4.5.9: one object per datasetId, with the data points as pairs of value and time. */
function series(instances: readonly AttributeInstance[], style: InstanceStyle, property: TimeProperty): JsonValue {
  const byDataset = new Map<string | undefined, AttributeInstance[]>();
  for (const instance of instances) {
    const same = byDataset.get(instance.datasetId);
    if (same === undefined) byDataset.set(instance.datasetId, [instance]);
    else same.push(instance);
  }
  return oneOrAll(
    [...byDataset].map(([datasetId, points]) => {
      const { type } = points[0] as AttributeInstance;
      const plainLanguage = type === 'LanguageProperty' && style.languages !== undefined;
      return {
        type: plainLanguage ? 'Property' : type,
        ...(datasetId === undefined ? {} : { datasetId }),
        [plainLanguage ? 'values' : SERIES_MEMBER[type]]: points.map((point) => [
          pointValue(point, style),
          point[property] ?? null,
        ]),
      };
    }),
  );
}

function pointValue(instance: AttributeInstance, style: InstanceStyle): JsonValue {
  if (instance.type === 'LanguageProperty' && style.languages !== undefined) {
    const tag = chooseLanguage(instance.languageMap, style.languages);
    return tag === undefined ? '' : (instance.languageMap[tag] as JsonValue);
  }
  const value = compactValue(instance, style);
  const wrapper = WRAPPED[instance.type];
  return wrapper === undefined ? value : { [wrapper]: value };
}

/** 4.5.19: per method an array of [value, start, end]. Methods and attributes without any value are left out. */
export function aggregateWriter(
  context: Context,
  representation: Representation,
): (evolution: AggregatedEvolution) => JsonObject {
  const shows = shownMembers(representation);
  return (evolution) => {
    const out = head(evolution, shows, context);
    for (const name in evolution.attributes) {
      if (!shows.attribute(name as Iri)) continue;
      const written = (evolution.attributes[name as Iri] ?? []).flatMap(({ type, datasetId, values }) => {
        const methods: Record<string, JsonValue> = {};
        for (const [method, results] of Object.entries(values)) {
          if (results.length > 0) methods[method] = results.map(({ value, from, to }) => [value, from, to]);
        }
        return Object.keys(methods).length === 0
          ? []
          : [{ type, ...(datasetId === undefined ? {} : { datasetId }), ...methods }];
      });
      if (written.length > 0) out[context.compact(name as Iri)] = oneOrAll(written);
    }
    return out;
  };
}

function head(
  evolution: { readonly id: Iri; readonly types: readonly Iri[] },
  shows: Shown,
  context: Context,
): Record<string, JsonValue> {
  const out: Record<string, JsonValue> = {};
  if (shows.id) out['id'] = evolution.id;
  if (shows.type) out['type'] = oneOrAll(evolution.types.map((type) => context.compact(type)));
  return out;
}
