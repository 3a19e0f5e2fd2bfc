import type { DeviceAttribute, Iri, JsonValue, KnownDevice, StaticAttribute } from '../../broker/ports/ingest.ts';
import { entityId } from './compile.ts';
import { compileExpression } from './expressions.ts';
import type { MappedAttribute, MappingDocument, StaticValue, Target } from './mapping.ts';

/**
 * The mapping that a service group and a device write down in the words of the IoT Agent API. The device beats the group; attribute lists are
 * merged by name. It is made at use, so a change of the group reaches the next measure.
 */
export function provisionedMapping(known: Pick<KnownDevice, 'device' | 'group' | 'tenant' | 'servicePath'>): MappingDocument {
  const { device, group } = known;
  const type = device.entity_type ?? group?.entity_type ?? 'Thing';
  const statics = merged(group?.static_attributes, device.static_attributes);
  const entityName = device.entity_name ?? device.device_id;
  const idExpression = device.entityNameExp ?? group?.entityNameExp;
  const targets: Target[] = [
    {
      id: entityName,
      ...(idExpression !== undefined && { idExpression }),
      type,
      statics: statics.map((attribute): StaticValue => attribute),
    },
  ];
  const attributes = merged(group?.attributes, device.attributes).map((attribute) =>
    mapped(attribute, type, entityName, targets),
  );
  const linked = statics.flatMap((attribute) => linkedAttributes(attribute, attributes, entityId(entityName, type), targets));
  const receiveTime = device.timestamp ?? group?.timestamp;
  return {
    targets,
    attributes: [...attributes, ...linked],
    unmapped: unmappedOf(device.explicitAttrs ?? group?.explicitAttrs),
    ...(receiveTime === false && { receiveTime: false }),
    constants: {
      ...Object.fromEntries(statics.map(({ name, value }) => [name, value])),
      id: device.device_id,
      type,
      entity_name: entityName,
      service: known.tenant,
      subservice: known.servicePath,
    },
  };
}

/** The measures that a static attribute with a `link` copies to the entity that it names. One that is not declared is declared by this. */
function linkedAttributes(
  { value, link }: StaticAttribute,
  attributes: readonly MappedAttribute[],
  own: Iri,
  targets: Target[],
): readonly MappedAttribute[] {
  if (link === undefined || typeof value !== 'string') return [];
  const target = targetOf(value, link.type ?? 'Thing', targets);
  return link.attributes.flatMap((name) => {
    const declared = attributes.find((attribute) => attribute.name === name && attribute.target === undefined);
    const rule = declared ?? { address: name, name };
    const metadata = {
      ...rule.metadata,
      ...(link.name !== undefined && { [link.name]: { type: 'Relationship', value: own } }),
    };
    const copy = { ...rule, metadata, target };
    return declared === undefined ? [rule, copy] : [copy];
  });
}

/** Those of the group and of the device, by name; the device's own win, in the group's place. */
export function merged<T extends { readonly name: string }>(group: readonly T[] = [], device: readonly T[] = []): readonly T[] {
  const byName = new Map<string, T>();
  for (const attribute of [...group, ...device]) byName.set(attribute.name, attribute);
  return [...byName.values()];
}

function mapped(attribute: DeviceAttribute, type: string, entityName: string, targets: Target[]): MappedAttribute {
  const { object_id, name, expression, skipValue, metadata, geoOrder, datasetId } = attribute;
  return {
    address: object_id ?? name,
    name,
    ...(attribute.type !== undefined && { type: attribute.type }),
    ...(expression !== undefined && { expression }),
    ...(skipValue !== undefined && { skipValue }),
    ...(metadata !== undefined && { metadata }),
    ...(geoOrder !== undefined && { geoOrder }),
    ...(datasetId !== undefined && { datasetId }),
    ...((attribute.entity_name ?? attribute.entity_type) !== undefined && {
      target: targetOf(attribute.entity_name ?? entityName, attribute.entity_type ?? type, targets),
    }),
  };
}

/** The index of the target entity, which is added if no attribute named it before. */
function targetOf(name: string, type: string, targets: Target[]): number {
  const at = targets.findIndex((target, index) => index > 0 && target.id === name && target.type === type);
  if (at > 0) return at;
  targets.push({ id: name, type, ...(isExpression(name) && { idExpression: name }) });
  return targets.length - 1;
}

/** A name such as `x|lower` or `'a' + b` can only be an expression; a plain word is a name. */
function isExpression(name: string): boolean {
  if (!/[|+?\s'"]/.test(name)) return false;
  try {
    return compileExpression(name).variables.length > 0;
  } catch {
    return false;
  }
}

/** explicitAttrs in its forms: boolean, list of names, list with `{object_id}`, text "true"/"false", expression. */
function unmappedOf(explicit: JsonValue | undefined): MappingDocument['unmapped'] {
  if (explicit === undefined || explicit === false || explicit === 'false') return true;
  if (explicit === true || explicit === 'true') return false;
  if (typeof explicit === 'string') return explicit;
  if (!Array.isArray(explicit)) return true;
  return explicit.map((item: JsonValue) => {
    const named = typeof item === 'object' && item !== null ? (item as { object_id?: JsonValue }).object_id : item;
    return String(named);
  });
}
