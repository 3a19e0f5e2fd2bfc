import { badRequest, notFound } from '../errors.ts';
import type { Model, PropertyKind, SetName } from './model.ts';

/** An entity set and perhaps one of its entities by id; or a link from the entity before. */
export type PathStep =
  | { readonly kind: 'set'; readonly set: SetName; readonly id?: number }
  | { readonly kind: 'link'; readonly link: string; readonly to: SetName; readonly many: boolean; readonly id?: number };

/** A resource path of 18-088, 9.2, checked against the model. */
export interface ResourcePath {
  /** At least one; the first is a set. */
  readonly steps: readonly PathStep[];
  /** The set that the last step is of. */
  readonly set: SetName;
  /** True if the path ends at a collection. */
  readonly many: boolean;
  readonly end:
    | { readonly kind: 'entities' }
    | { readonly kind: 'ref' }
    | {
        readonly kind: 'property';
        readonly name: string;
        readonly type: PropertyKind;
        readonly inside: readonly string[];
        readonly raw: boolean;
      };
}

const KEYED = /^([A-Za-z]+)\((.*)\)$/s;

/**
 * Reads a path below the service root, percent-decoded per segment, without a slash at its start.
 * @throws DomainError ResourceNotFound for names that nothing has; BadRequestData if it is no path
 */
export function parseResourcePath(path: string, model: Model): ResourcePath {
  const segments = path.split('/').filter((segment, at, all) => segment !== '' || at < all.length - 1);
  if (segments.length > 64) throw badRequest('The path has more than 64 segments');
  const steps: PathStep[] = [];
  let set: SetName | undefined;
  let many = true;
  for (const [at, raw] of segments.entries()) {
    const segment = decodedSegment(raw);
    const keyed = KEYED.exec(segment);
    const name = keyed?.[1] ?? segment;
    const id = keyed === null ? undefined : parseId(keyed[2] as string, segment);
    if (set === undefined) {
      const type = model.find(name);
      if (type === undefined) throw notFound(`There is no entity set ${name}`);
      set = type.set;
      many = id === undefined;
      steps.push({ kind: 'set', set, ...(id === undefined ? {} : { id }) });
      continue;
    }
    if (segment === '$ref' && at === segments.length - 1) return { steps, set, many, end: { kind: 'ref' } };
    if (many) throw notFound(`${segment} cannot follow a collection: an id is needed before it`);
    const link = model.link(set, name);
    if (link !== undefined) {
      if (id !== undefined && !link.many) throw notFound(`${name} is one entity, and takes no id`);
      set = link.to;
      many = link.many && id === undefined;
      steps.push({ kind: 'link', link: name, to: set, many: link.many, ...(id === undefined ? {} : { id }) });
      continue;
    }
    return { steps, set, many, end: propertyEnd(model, set, segments.slice(at).map(decodedSegment)) };
  }
  if (set === undefined) throw notFound('The path names no entity set');
  return { steps, set, many, end: { kind: 'entities' } };
}

function propertyEnd(model: Model, set: SetName, names: readonly string[]): ResourcePath['end'] {
  const raw = names.at(-1) === '$value';
  const [name, ...inside] = raw ? names.slice(0, -1) : names;
  if (name === '@iot.id' || name === 'id') {
    if (inside.length === 0) return { kind: 'property', name: 'id', type: 'text', inside, raw };
  }
  const property = name === undefined ? undefined : model.property(set, name);
  if (property === undefined) throw notFound(`${set} have no property or link "${name ?? '$value'}"`);
  return { kind: 'property', name: property.name, type: property.kind, inside, raw };
}

/** An id that no entity can have is not wrong, but leads to nothing: 0. */
function parseId(text: string, segment: string): number {
  const bare = /^'(.*)'$/s.exec(text)?.[1]?.replaceAll("''", "'") ?? text;
  if (!/^-?\d{1,40}$/.test(bare)) {
    if (bare.trim() === '' || !text.startsWith("'"))
      throw notFound(`"${segment.slice(0, 80)}" does not name an entity: ids are whole numbers`);
    return 0;
  }
  const id = BigInt(bare);
  return id > 0n && id <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(id) : 0;
}

function decodedSegment(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw badRequest(`The path is not properly percent-encoded at "${text.slice(0, 80)}"`);
  }
}
