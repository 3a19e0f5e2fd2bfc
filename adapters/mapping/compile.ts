import {
  type AttributeInstance,
  type Attributes,
  type Instant,
  type Iri,
  isIri,
  isObject,
  type JsonValue,
} from '../../broker/ports/ingest.ts';
import { deviceTime } from '../device-time.ts';
import { PayloadError } from '../reading.ts';
import { compileExpression, type Expression } from './expressions.ts';
import type { MappedAttribute, MappingDocument, StaticValue, Target, ValueRule } from './mapping.ts';
import { unitCode } from './units.ts';
import { kindOf, valueMembers } from './values.ts';

/** A mapping document with names resolved and expressions compiled: what apply.ts works with. */
export interface Mapping {
  readonly document: MappingDocument;
  readonly targets: readonly CompiledTarget[];
  readonly attributes: readonly CompiledAttribute[];
  /** Addresses that some attribute takes. */
  readonly taken: ReadonlySet<string>;
  readonly unmapped: boolean | ReadonlySet<string> | Expression;
  /** The attribute that an unmapped reading becomes; undefined if its name cannot be one. */
  own(address: string): CompiledAttribute | undefined;
  expand(term: string): Iri;
}

export interface CompiledTarget {
  /** Also what an expression without a result falls back to; undefined: then nothing is written. */
  readonly id: Iri | undefined;
  readonly idExpression: Expression | undefined;
  readonly typeName: string;
  readonly types: readonly Iri[];
  readonly statics: Attributes;
  readonly timeAttributes: readonly Iri[];
  /** Attributes that the device does not say: static ones, and times. undefined: there are none. */
  readonly beside: ReadonlySet<Iri> | undefined;
}

export interface CompiledAttribute {
  readonly document: MappedAttribute;
  readonly address: string | undefined;
  readonly iri: Iri;
  readonly kind: AttributeInstance['type'];
  readonly cast: ReturnType<typeof kindOf>[1];
  readonly expression: Expression | undefined;
  readonly target: number;
  /** unitCode, datasetId, sub-attributes, observedAt by metadata: what every instance gets. */
  readonly constant: Partial<AttributeInstance>;
}

/** Characters that names must not contain, by the IoT agents. */
const FORBIDDEN_IN_NAMES = /[<>();'="\s]/;

/**
 * Compiles a mapping document.
 * @param expand term to IRI, by the @context of the device
 * @throws PayloadError WRONG_SYNTAX naming what cannot be used: an attribute name, an expression, an entity id
 */
export function compileMapping(document: MappingDocument, expand: (term: string) => Iri): Mapping {
  const targets = document.targets.map((target, index) => compileTarget(target, index === 0, expand));
  const attributes = document.attributes.map((attribute) => compileAttribute(attribute, expand));
  for (const { target } of attributes) {
    if (targets[target] === undefined) throw new PayloadError('WRONG_SYNTAX', `The mapping has no target ${target}`);
  }
  const own = new Map<string, CompiledAttribute | undefined>();
  return {
    document,
    targets,
    attributes,
    taken: new Set(attributes.flatMap(({ address }) => address ?? [])),
    unmapped: compileUnmapped(document.unmapped),
    own(address) {
      if (own.has(address)) return own.get(address);
      let attribute: CompiledAttribute | undefined;
      try {
        attribute = compileAttribute({ address, name: address }, expand);
      } catch {
        attribute = undefined;
      }
      // Names come from outside: a device that invents new ones must not fill the memory.
      if (own.size >= 1000) own.clear();
      own.set(address, attribute);
      return attribute;
    },
    expand,
  };
}

function compileUnmapped(unmapped: MappingDocument['unmapped']): Mapping['unmapped'] {
  if (typeof unmapped === 'boolean') return unmapped;
  return typeof unmapped === 'string' ? compileExpression(unmapped) : new Set(unmapped);
}

function compileTarget(target: Target, own: boolean, expand: (term: string) => Iri): CompiledTarget {
  const statics: Record<Iri, readonly AttributeInstance[]> = {};
  for (const value of target.statics ?? []) {
    const instance = staticInstance(value, expand);
    statics[expand(checkName(value.name))] = [instance];
  }
  const timeAttributes = (target.timeAttributes ?? []).map(expand);
  const beside = new Set([...(Object.keys(statics) as Iri[]), ...timeAttributes]);
  return {
    // Of other entities the name is the expression itself, so there is nothing to fall back to.
    id: own || target.idExpression === undefined ? entityId(target.id, target.type) : undefined,
    idExpression: target.idExpression === undefined ? undefined : compileExpression(target.idExpression),
    typeName: shortName(target.type),
    types: [expand(checkName(target.type))],
    statics,
    timeAttributes,
    beside: beside.size > 0 ? beside : undefined,
  };
}

function staticInstance(value: StaticValue, expand: (term: string) => Iri): AttributeInstance {
  const [kind, cast] = kindOf(value.type);
  const members = valueMembers(kind, cast, value.value, { geoOrder: value.geoOrder, expand });
  if (members === undefined) {
    throw new PayloadError('WRONG_SYNTAX', `The static attribute "${value.name}" has a value that does not suit its type`);
  }
  return { ...members, ...constantMembers(value, expand) } as AttributeInstance;
}

function compileAttribute(attribute: MappedAttribute, expand: (term: string) => Iri): CompiledAttribute {
  const [kind, cast] = kindOf(attribute.type);
  return {
    document: attribute,
    address: attribute.address,
    iri: expand(checkName(attribute.name)),
    kind,
    cast,
    expression: attribute.expression === undefined ? undefined : compileExpression(attribute.expression),
    target: attribute.target ?? 0,
    constant: constantMembers(attribute, expand),
  };
}

/** What metadata, unit and dataset of a rule make of every instance. */
export function constantMembers(rule: ValueRule, expand: (term: string) => Iri): Partial<AttributeInstance> {
  const sub: Record<Iri, readonly AttributeInstance[]> = {};
  let unit = rule.unitCode;
  let observedAt: Instant | undefined;
  for (const [name, entry] of Object.entries(rule.metadata ?? {})) {
    const value: JsonValue = isObject(entry) && 'value' in entry ? (entry['value'] as JsonValue) : entry;
    if (name === 'unitCode') unit = unitCode(String(value));
    else if (name === 'TimeInstant' || name === 'observedAt') observedAt = deviceTime(value, 'UTC');
    else {
      const [kind, cast] = kindOf(isObject(entry) && typeof entry['type'] === 'string' ? entry['type'] : undefined);
      const members = valueMembers(kind, cast, value, { expand });
      if (members !== undefined) sub[expand(checkName(name))] = [members];
    }
  }
  const [kind] = kindOf(rule.type);
  return {
    ...(unit !== undefined && (kind === 'Property' || kind === 'ListProperty') && { unitCode: unit }),
    ...(rule.datasetId !== undefined && { datasetId: checkDatasetId(rule.datasetId) }),
    ...(observedAt !== undefined && { observedAt }),
    ...(Object.keys(sub).length > 0 && { attributes: sub }),
  };
}

/** @throws PayloadError if it cannot be the name of an attribute or type */
export function checkName(name: string): string {
  if (name === '' || name.length > 256 || (FORBIDDEN_IN_NAMES.test(name) && !isIri(name))) {
    throw new PayloadError('WRONG_SYNTAX', `"${name.slice(0, 64)}" cannot be the name of an attribute or type`);
  }
  return name;
}

function checkDatasetId(datasetId: string): Iri {
  if (isIri(datasetId)) return datasetId;
  throw new PayloadError('WRONG_SYNTAX', `datasetId must be an IRI, not ${JSON.stringify(datasetId.slice(0, 64))}`);
}

/** The last part of a type's IRI; a term is its own short name. */
export function shortName(type: string): string {
  return isIri(type) ? (/[^/#:]+$/.exec(type)?.[0] ?? type) : type;
}

/**
 * The id of an entity: an IRI stays, anything else becomes `urn:ngsi-ld:<type>:<name>` with the characters that an IRI does not take
 * percent-encoded.
 */
export function entityId(name: string, type: string): Iri {
  if (/^(urn|https?):/i.test(name) && isIri(name)) return name;
  return `urn:ngsi-ld:${encoded(shortName(type))}:${encoded(name)}` as Iri;
}

const encoded = (text: string): string =>
  encodeURIComponent(text).replace(/[!'()*]/g, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`);
