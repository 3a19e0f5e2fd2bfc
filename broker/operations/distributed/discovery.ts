import type { Caller } from '../../domain/access.ts';
import { DomainError, notFound } from '../../domain/errors.ts';
import type { Iri } from '../../domain/iri.ts';
import { isObject, type JsonObject, type JsonValue } from '../../domain/json.ts';
import type { Context } from '../../domain/jsonld/context.ts';
import type { DiscoveryOperations, KnownAttribute, TypeCount } from '../discovery.ts';
import type { RegistrationInForce } from '../registry/registrations-in-force.ts';
import type { Sources } from './sources.ts';

type AttributeOfType = TypeCount['attributes'][number];

/**
 * Discovery of types and attributes (5.7.5 to 5.7.10) over context sources. What a source has is added to what is here; entities that are at several places are
 * counted at each. A source that fails is left out: discovery tells what is known.
 */
export function distributedDiscovery(local: DiscoveryOperations, sources: Sources): DiscoveryOperations {
  /** The answers of all sources that offer one of the operations, and are registered for what is asked about (4.3.6.1). */
  async function ask(
    caller: Caller,
    operations: readonly string[],
    path: string,
    details: string | undefined,
    concerned: (source: RegistrationInForce) => boolean = () => true,
  ) {
    if (caller.onward === undefined || sources.isLoop(caller)) return [];
    const asked = sources
      .inForce(caller, operations)
      .filter(concerned)
      .map(async (source) => {
        const withDetails = details !== undefined && source.registration.operations.includes(details);
        const reply = await sources.ask(caller, source, {
          method: 'GET',
          path,
          query: withDetails ? [['details', 'true']] : [],
        });
        if (reply.kind !== 'answered' || reply.status !== 200 || reply.body === undefined) return [];
        return [{ source, body: reply.body, context: await sources.contextOf(caller, reply.body) }];
      });
    return (await Promise.all(asked)).flat();
  }

  /** A tenant that has registrations only is not unknown, and what is not here may be elsewhere. */
  async function orNothing<T>(found: Promise<T>, nothing: T): Promise<T> {
    try {
      return await found;
    } catch (error) {
      if (error instanceof DomainError && (error.type === 'NonexistentTenant' || error.type === 'ResourceNotFound'))
        return nothing;
      throw error;
    }
  }

  return {
    async availableTypes(caller) {
      if (caller.onward === undefined) return local.availableTypes(caller);
      const [here, there] = await Promise.all([
        orNothing(local.availableTypes(caller), []),
        ask(caller, ['retrieveEntityTypes', 'retrieveEntityTypeDetails'], 'types', 'retrieveEntityTypeDetails'),
      ]);
      const found = there.flatMap(({ source, body, context }) =>
        namedIn(body, 'typeList', 'typeName', context)
          .filter(({ name }) => isRegistered(source, name))
          .map(
            ({ name, given }): TypeCount => ({
              type: name,
              entities: 0,
              attributes: names(given['attributeNames'], context)
                .filter((one) => isRegisteredAttribute(source, one, [name]))
                .map((one) => ({ name: one, kinds: [], entities: 0 })),
            }),
          ),
      );
      return mergeTypes([...here, ...found]);
    },

    async availableType(caller, type) {
      if (caller.onward === undefined) return local.availableType(caller, type);
      const [here, there] = await Promise.all([
        orNothing<TypeCount | undefined>(local.availableType(caller, type), undefined),
        ask(
          caller,
          ['retrieveEntityTypeInfo'],
          `types/${encodeURIComponent(caller.onward.context.compact(type))}`,
          undefined,
          (source) => isRegistered(source, type),
        ),
      ]);
      const found = there.flatMap(({ source, body, context }): readonly TypeCount[] => {
        if (!isObject(body)) return [];
        const details = Array.isArray(body['attributeDetails']) ? body['attributeDetails'].filter(isObject) : [];
        const attributes = details.flatMap((one): readonly AttributeOfType[] => {
          const name = nameOf(one, 'attributeName', context);
          return name && isRegisteredAttribute(source, name, [type])
            ? [{ name, kinds: texts(one['attributeTypes']), entities: 0 }]
            : [];
        });
        return [{ type, entities: count(body['entityCount']), attributes }];
      });
      const merged = mergeTypes([...(here ? [here] : []), ...found])[0];
      if (merged === undefined) throw notFound(`There is no entity of type ${type}`);
      return merged;
    },

    async availableAttributes(caller) {
      if (caller.onward === undefined) return local.availableAttributes(caller);
      const [here, there] = await Promise.all([
        orNothing(local.availableAttributes(caller), []),
        ask(caller, ['retrieveAttrTypes', 'retrieveAttrTypeDetails'], 'attributes', 'retrieveAttrTypeDetails'),
      ]);
      const found = there.flatMap(({ source, body, context }) =>
        namedIn(body, 'attributeList', 'attributeName', context).flatMap(({ name, given }): readonly KnownAttribute[] => {
          const types = names(given['typeNames'], context);
          return isRegisteredAttribute(source, name, types) ? [{ name, kinds: [], entities: 0, types }] : [];
        }),
      );
      return mergeAttributes([...here, ...found]);
    },

    async availableAttribute(caller, name) {
      if (caller.onward === undefined) return local.availableAttribute(caller, name);
      const [here, there] = await Promise.all([
        orNothing<KnownAttribute | undefined>(local.availableAttribute(caller, name), undefined),
        ask(
          caller,
          ['retrieveAttrTypeInfo'],
          `attributes/${encodeURIComponent(caller.onward.context.compact(name))}`,
          undefined,
          (source) => isRegisteredAttribute(source, name, []),
        ),
      ]);
      const found = there.flatMap(({ source, body, context }): readonly KnownAttribute[] => {
        if (!isObject(body)) return [];
        const types = names(body['typeNames'], context).filter((type) => isRegisteredAttribute(source, name, [type]));
        // What it is of types that are not registered is not told.
        if (types.length === 0 && texts(body['typeNames']).length > 0) return [];
        return [{ name, kinds: texts(body['attributeTypes']), entities: count(body['attributeCount']), types }];
      });
      const merged = mergeAttributes([...(here ? [here] : []), ...found])[0];
      if (merged === undefined) throw notFound(`There is no entity with an attribute ${name}`);
      return merged;
    },
  };
}

/** Only what is registered counts (4.3.6.1). */
function isRegistered({ registration }: RegistrationInForce, type: Iri): boolean {
  return registration.information.some(
    ({ entities }) => entities?.every(({ types }) => types && !types.includes(type)) !== true,
  );
}

/** @param types those that have it, as far as the source tells */
function isRegisteredAttribute({ registration }: RegistrationInForce, name: Iri, types: readonly Iri[]): boolean {
  return registration.information.some(
    ({ entities, attributes }) =>
      attributes?.includes(name) !== false &&
      (types.length === 0 || entities?.every((one) => one.types && !one.types.some((type) => types.includes(type))) !== true),
  );
}

/** The things that a list with or without details names. */
function namedIn(
  body: JsonValue,
  list: string,
  member: string,
  context: Context,
): readonly { readonly name: Iri; readonly given: JsonObject }[] {
  if (isObject(body)) return names(body[list], context).map((name) => ({ name, given: {} }));
  if (!Array.isArray(body)) return [];
  return body.filter(isObject).flatMap((given) => {
    const name = nameOf(given, member, context);
    return name ? [{ name, given }] : [];
  });
}

function nameOf(given: JsonObject, member: string, context: Context): Iri | undefined {
  return names(given[member] ?? given['id'], context)[0];
}

function names(value: JsonValue | undefined, context: Context): readonly Iri[] {
  return texts(value).flatMap((text) => {
    try {
      return [context.expand(text)];
    } catch {
      return [];
    }
  });
}

const texts = (value: JsonValue | undefined): readonly string[] =>
  ([value ?? []].flat() as readonly JsonValue[]).filter((one) => typeof one === 'string');
const count = (value: JsonValue | undefined): number => (typeof value === 'number' ? value : 0);
const together = <T>(a: readonly T[], b: readonly T[]): readonly T[] => [...new Set([...a, ...b])];

function mergeTypes(all: readonly TypeCount[]): readonly TypeCount[] {
  const known = new Map<Iri, TypeCount>();
  for (const one of all) {
    const before = known.get(one.type);
    known.set(
      one.type,
      before
        ? {
            ...before,
            entities: before.entities + one.entities,
            attributes: mergeAttributesOf(before.attributes, one.attributes),
          }
        : one,
    );
  }
  return [...known.values()].sort((a, b) => (a.type < b.type ? -1 : 1));
}

function mergeAttributesOf(a: readonly AttributeOfType[], b: readonly AttributeOfType[]): readonly AttributeOfType[] {
  const known = new Map(a.map((one) => [one.name, one]));
  for (const one of b) {
    const before = known.get(one.name);
    known.set(
      one.name,
      before ? { ...before, kinds: together(before.kinds, one.kinds), entities: before.entities + one.entities } : one,
    );
  }
  return [...known.values()];
}

function mergeAttributes(all: readonly KnownAttribute[]): readonly KnownAttribute[] {
  const known = new Map<Iri, KnownAttribute>();
  for (const one of all) {
    const before = known.get(one.name);
    known.set(
      one.name,
      before
        ? {
            ...before,
            kinds: together(before.kinds, one.kinds),
            entities: before.entities + one.entities,
            types: together(before.types, one.types),
          }
        : one,
    );
  }
  return [...known.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
}
