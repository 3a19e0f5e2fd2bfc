import { type AttributeInstance, type Attributes, instanceValue, VALUE_MEMBER } from '../../../domain/attribute.ts';
import type { Entity } from '../../../domain/entity.ts';
import { DomainError } from '../../../domain/errors.ts';
import type { Iri } from '../../../domain/iri.ts';
import { isObject, type JsonValue } from '../../../domain/json.ts';
import type { Context } from '../../../domain/jsonld/context.ts';
import { expandEntity } from '../../../domain/jsonld/expand.ts';
import { NoResult } from '../../../domain/processing/formula.ts';
import { type Reference, renderSensor, type VirtualSensor } from '../../../domain/processing/virtual-sensor.ts';
import type { Instant } from '../../../domain/time.ts';

/** An attribute of an entity that a virtual sensor reads or writes. */
export interface Place {
  readonly entity: Iri;
  readonly attribute: Iri;
}

/** A virtual sensor with its names resolved. */
export interface CompiledSensor {
  readonly sensor: VirtualSensor;
  readonly types: readonly Iri[];
  readonly inputs: readonly Place[];
  readonly outputs: readonly Place[];
  /**
   * What the sensor says.
   * @param instanceOf the value of an input; undefined: there is none
   * @throws NoResult saying why it says nothing now
   */
  evaluate(at: Instant, instanceOf: (place: Place) => AttributeInstance | undefined): Attributes;
}

/** @throws DomainError if a name can be none */
export function compileSensor(sensor: VirtualSensor, context: Context): CompiledSensor {
  const placeOf = new Map<Reference, Place>();
  const inputs = new Map<string, Place>();
  const place = ({ entity, path }: Reference): Place => ({
    entity: entity as Iri,
    attribute: context.expand(path[0] as string),
  });
  for (const reference of sensor.references) {
    const input = place(reference);
    placeOf.set(reference, input);
    inputs.set(placeKey(input), input);
  }
  const names = sensor.template.kind === 'object' ? sensor.template.members.map(([name]) => name) : [];
  const sources = [...new Set(sensor.references.map(({ entity }) => entity as Iri))].sort();
  const marks: Attributes = {
    [context.expand('virtual')]: [{ type: 'Property', value: true }],
    [context.expand('derivedFrom')]: [{ type: 'Relationship', object: sources.length === 1 ? (sources[0] as Iri) : sources }],
  };
  return {
    sensor,
    types: [context.expand(sensor.type)],
    inputs: [...inputs.values()],
    outputs: names.map((name) => ({ entity: sensor.id, attribute: context.expand(name) })),
    evaluate(at, instanceOf) {
      const body = renderSensor(sensor, at, (reference) => {
        const instance = instanceOf(placeOf.get(reference) ?? place(reference));
        const value = instance === undefined ? undefined : valueAlong(instance, reference.path.slice(1), context);
        if (value !== undefined && value !== null) return value;
        if (sensor.poll && reference.fallback !== undefined) return reference.fallback;
        throw new NoResult(`{${reference.entity}>${reference.path.join('.')}} has no value`);
      });
      let attributes: Attributes;
      try {
        attributes = expandEntity(body, context).attributes;
      } catch (error) {
        if (error instanceof DomainError) throw new NoResult(error.message);
        throw error;
      }
      return Object.fromEntries(
        Object.entries(attributes).map(([name, instances]) => [
          name,
          instances.map((instance) => ({ observedAt: at, ...instance, attributes: { ...instance.attributes, ...marks } })),
        ]),
      ) as Attributes;
    },
  };
}

export const placeKey = ({ entity, attribute }: Place): string => `${entity}\n${attribute}`;

/** What instances of attributes have beside their value, as templates can refer to it. */
const MEMBERS = ['observedAt', 'unitCode', 'modifiedAt', 'createdAt', 'datasetId'];

/** The value behind a path: the instance's own, a member or sub-attribute of it, and from there inside the value. */
export function valueAlong(
  instance: AttributeInstance,
  path: readonly string[],
  context: Pick<Context, 'expand'>,
): JsonValue | undefined {
  const [head, ...rest] = path;
  if (head === undefined) return instanceValue(instance);
  if (head === VALUE_MEMBER[instance.type]) return inside(instanceValue(instance), rest);
  if (MEMBERS.includes(head)) return (instance as unknown as Record<string, JsonValue>)[head];
  let sub: AttributeInstance | undefined;
  try {
    sub = instance.attributes?.[context.expand(head)]?.[0];
  } catch {
    sub = undefined;
  }
  return sub === undefined ? inside(instanceValue(instance), path) : valueAlong(sub, rest, context);
}

function inside(value: JsonValue, path: readonly string[]): JsonValue | undefined {
  let at: JsonValue | undefined = value;
  for (const step of path) {
    if (Array.isArray(at)) at = /^\d{1,9}$/.test(step) ? (at[Number(step)] as JsonValue | undefined) : undefined;
    else if (isObject(at)) at = Object.hasOwn(at, step) ? at[step] : undefined;
    else return undefined;
  }
  return at;
}

/** The default instance: what a reference means. */
export const defaultInstance = (entity: Entity | undefined, { attribute }: Place): AttributeInstance | undefined =>
  entity?.attributes[attribute]?.find(({ datasetId }) => datasetId === undefined);

/**
 * The sensors that one would feed itself through, in their order; undefined: it feeds none.
 * @param others all of the tenant without `sensor`
 */
export function cycleThrough(sensor: CompiledSensor, others: readonly CompiledSensor[]): readonly string[] | undefined {
  const readers = new Map<string, CompiledSensor[]>();
  for (const one of [...others, sensor]) {
    for (const input of one.inputs) {
      const key = placeKey(input);
      const list = readers.get(key);
      if (list === undefined) readers.set(key, [one]);
      else list.push(one);
    }
  }
  const seen = new Set<CompiledSensor>();
  const visit = (from: CompiledSensor, trail: readonly string[]): readonly string[] | undefined => {
    for (const output of from.outputs) {
      for (const reader of readers.get(placeKey(output)) ?? []) {
        if (reader === sensor) return trail;
        if (seen.has(reader)) continue;
        seen.add(reader);
        const found = visit(reader, [...trail, reader.sensor.name]);
        if (found !== undefined) return found;
      }
    }
    return undefined;
  };
  return visit(sensor, [sensor.sensor.name]);
}
