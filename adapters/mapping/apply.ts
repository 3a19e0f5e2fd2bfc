import {
  type AttributeInstance,
  type Caller,
  type Fragment,
  type Instant,
  type Iri,
  isObject,
  type JsonValue,
  toMicros,
} from '../../broker/ports/ingest.ts';
import type { Measure, Reading } from '../reading.ts';
import { type CompiledAttribute, constantMembers, entityId, type Mapping } from './compile.ts';
import { scaled } from './units.ts';
import { valueMembers } from './values.ts';

/** What a mapping makes of a measure. */
export interface Applied {
  readonly fragments: readonly Fragment[];
  /** Readings that were left out and why, as sentences. */
  readonly warnings: readonly string[];
}

/** A time further ahead than this is a wrong clock. */
const AHEAD_MICROS = 24 * 3_600_000_000;

/**
 * Makes entity fragments of one measure. Pure: the same mapping, measure and time of reception give the same fragments.
 * Attributes are worked off in order, and what one yields, the expressions of the next can use. An expression whose variables are not all
 * there is not evaluated: the raw value passes, if the attribute has one.
 * @param receivedAt when the message came; the time of readings that have none
 */
export function applyMapping(mapping: Mapping, measure: Measure, caller: Caller, receivedAt: Instant): Applied {
  const warnings: string[] = [];
  const byAddress = new Map<string, Reading>();
  const known: Record<string, JsonValue> = Object.assign(Object.create(null), mapping.document.constants);
  for (const reading of measure.readings) {
    byAddress.set(reading.address, reading);
    known[reading.address] = calculable(reading.value);
  }
  const found: Record<Iri, AttributeInstance[]>[] = mapping.targets.map(() => ({}));
  const newest: (Instant | undefined)[] = [];

  for (const attribute of mapping.attributes) {
    const reading = attribute.address === undefined ? undefined : byAddress.get(attribute.address);
    const value = resultOf(attribute, reading, known);
    if (value === undefined) continue;
    known[attribute.document.name] = calculable(value);
    add(attribute, value, reading);
  }
  const kept = keeps(mapping, known);
  if (kept !== undefined) {
    for (const reading of byAddress.values()) {
      if (mapping.taken.has(reading.address) || !kept(reading.address)) continue;
      const attribute = mapping.own(reading.address);
      if (attribute === undefined) warnings.push(`"${reading.address.slice(0, 64)}" cannot be the name of an attribute`);
      else add(attribute, reading.value, reading);
    }
  }

  const fragments = mapping.targets.flatMap((target, at): Fragment[] => {
    const attributes = found[at] as Record<Iri, AttributeInstance[]>;
    if (Object.keys(attributes).length === 0) return [];
    const id = idByExpression(target, known) ?? target.id;
    if (id === undefined) {
      warnings.push('The expression for the entity id gives no id for this measure');
      return [];
    }
    const time = newest[at];
    if (time !== undefined) {
      for (const name of target.timeAttributes) attributes[name] = [{ type: 'Property', value: time, observedAt: time }];
    }
    const { types, statics, beside } = target;
    if (beside === undefined) return [{ caller, id, types, attributes }];
    return [{ caller, id, types, attributes: { ...statics, ...attributes }, beside }];
  });
  return { fragments, warnings };

  function add(attribute: CompiledAttribute, value: JsonValue, reading: Reading | undefined): void {
    const members = valueMembers(attribute.kind, attribute.cast, value, {
      geoOrder: attribute.document.geoOrder,
      expand: mapping.expand,
    });
    if (members === undefined) {
      warnings.push(
        `"${attribute.document.name}" has a value that does not suit its type ${attribute.document.type ?? ''}`.trim(),
      );
      return;
    }
    const observedAt =
      reading?.observedAt ??
      measure.observedAt ??
      attribute.constant.observedAt ??
      (mapping.document.receiveTime === false ? undefined : receivedAt);
    // Most measures have no time of their own, and reading one costs more than all the rest here.
    if (observedAt !== undefined && observedAt !== receivedAt && toMicros(observedAt) > toMicros(receivedAt) + AHEAD_MICROS) {
      warnings.push(`"${attribute.document.name}" has a time more than a day ahead: ${observedAt}`);
      return;
    }
    const instance = {
      ...members,
      ...(reading?.metadata === undefined ? attribute.constant : withMetadata(mapping, attribute, reading.metadata)),
      ...(observedAt !== undefined && { observedAt }),
      ...(reading?.quality !== undefined && reading.quality !== 'good' && withQuality(mapping, attribute, reading.quality)),
    } as AttributeInstance;
    const attributes = found[attribute.target] as Record<Iri, AttributeInstance[]>;
    const others = (attributes[attribute.iri] ?? []).filter((other) => other.datasetId !== instance.datasetId);
    attributes[attribute.iri] = [...others, instance];
    if (mapping.targets[attribute.target]?.timeAttributes.length === 0) return;
    const before = newest[attribute.target];
    if (observedAt !== undefined && (before === undefined || toMicros(observedAt) > toMicros(before))) {
      newest[attribute.target] = observedAt;
    }
  }
}

/** The value of an attribute in this measure; undefined: none. */
function resultOf(
  { document, expression }: CompiledAttribute,
  reading: Reading | undefined,
  known: Readonly<Record<string, JsonValue>>,
): JsonValue | undefined {
  let value = reading?.value;
  if (expression?.variables.every((name) => name in known)) {
    value = expression.evaluate(known);
  }
  if (value === undefined || value === null) return undefined;
  if (document.skipValue !== undefined && same(value, document.skipValue)) return undefined;
  if (document.invalid?.some((item) => same(item, value))) return undefined;
  // What is only passed on stays exact; what is calculated with is a number.
  if (typeof value === 'bigint')
    return document.factor === undefined && document.offset === undefined ? value : scaled(Number(value), document);
  return typeof value === 'number' ? scaled(value, document) : value;
}

/** Expressions calculate with numbers. */
const calculable = (value: JsonValue): JsonValue => (typeof value === 'bigint' ? Number(value) : value);

/** Which readings without an attribute of their own become one; undefined: none. */
function keeps(mapping: Mapping, known: Readonly<Record<string, JsonValue>>): ((address: string) => boolean) | undefined {
  const { unmapped } = mapping;
  if (typeof unmapped === 'boolean') return unmapped ? () => true : undefined;
  if ('has' in unmapped) return (address) => unmapped.has(address);
  const answer = unmapped.evaluate(known);
  if (Array.isArray(answer)) {
    const names = new Set(answer.map((item: JsonValue) => (isObject(item) ? item['object_id'] : item)));
    return (address) => names.has(address);
  }
  // explicitAttrs true means "only what is declared", so here nothing more; without an answer nothing is held back.
  return answer === true ? undefined : () => true;
}

function idByExpression(target: Mapping['targets'][number], known: Readonly<Record<string, JsonValue>>): Iri | undefined {
  const expression = target.idExpression;
  if (expression === undefined || !expression.variables.every((name) => name in known)) return undefined;
  const name = expression.evaluate(known);
  if (typeof name !== 'string' && typeof name !== 'number') return undefined;
  return name === '' ? undefined : entityId(String(name), target.typeName);
}

/** What the device says about a value joins what is provisioned, which wins. */
function withMetadata(
  mapping: Mapping,
  attribute: CompiledAttribute,
  metadata: NonNullable<Reading['metadata']>,
): Partial<AttributeInstance> {
  let said: Partial<AttributeInstance>;
  try {
    said = constantMembers({ name: attribute.document.name, type: attribute.kind, metadata }, mapping.expand);
  } catch {
    // A name that no sub-attribute can have costs the metadata, not the value.
    said = {};
  }
  const attributes = { ...said.attributes, ...attribute.constant.attributes };
  return {
    ...said,
    ...attribute.constant,
    ...(Object.keys(attributes).length > 0 && { attributes }),
  } as Partial<AttributeInstance>;
}

function withQuality(mapping: Mapping, attribute: CompiledAttribute, quality: string): Partial<AttributeInstance> {
  return {
    attributes: { ...attribute.constant.attributes, [mapping.expand('quality')]: [{ type: 'Property', value: quality }] },
  };
}

const same = (a: JsonValue, b: JsonValue): boolean => a === b || JSON.stringify(a) === JSON.stringify(b);
