import type { Iri } from '../../iri.ts';
import type { Context } from '../../jsonld/context.ts';
import { limits } from '../../limits.ts';
import type { AttributePath } from '../query.ts';
import { NAME, type Scanner } from './scanner.ts';

/** Members of a JSON value, and language tags, are not names of 4.6.2: everything but what ends them may occur. */
const MEMBER = /[^.[\]{}=!<>~;|()"\s]+/y;

/** A name may also be an http IRI, as long as its path has no dot, which would begin a sub-attribute. A short name is what 4.9 asks for. */
const EXPANDED_NAME = /https?:\/\/[^/[\]{}=!<>~;|()",\s]+\/[^.[\]{}=!<>~;|()",\s]+/y;

/**
 * Reads an attribute path (4.9, production rule Attribute): `speed`, `speed.accuracy`, `address[city.name]`, `name[en]`,
 * `sensor{humidity}`, `sensor{Device,Gateway:humidity}`.
 * @throws DomainError BadRequestData with the position
 */
export function parsePath(scanner: Scanner, context: Context, depth = 0): AttributePath {
  if (depth > limits().queryDepth) throw scanner.error(`more than ${limits().queryDepth} linked entities`);
  const names = [parseName(scanner, context)];
  while (scanner.take('.')) names.push(parseName(scanner, context));
  if (scanner.take('{')) {
    const types = parseTypeHint(scanner, context);
    const path = parsePath(scanner, context, depth + 1);
    scanner.expect('}', 'after the path of a linked entity');
    return { names, linked: types === undefined ? { path } : { types, path } };
  }
  if (!scanner.take('[')) return { names };
  const inside: string[] = [];
  do {
    const member = scanner.match(MEMBER);
    if (member === undefined) throw scanner.error("expected the name of a member after '['");
    inside.push(member);
  } while (scanner.take('.'));
  scanner.expect(']', 'after the members of a value');
  return { names, inside };
}

function parseName(scanner: Scanner, context: Context): Iri {
  const name = scanner.match(EXPANDED_NAME) ?? scanner.match(NAME);
  if (name === undefined) throw scanner.error('expected the name of an attribute');
  return context.expand(name);
}

/** `Device,Gateway:` in front of a linked path; a name with a prefix (`ex:Device`) is no hint, and a hint of one type with a prefix needs both. */
function parseTypeHint(scanner: Scanner, context: Context): readonly Iri[] | undefined {
  const hint = scanner.match(/[\p{L}][\p{L}\p{N}_]*(?:,[\p{L}][\p{L}\p{N}_]*)*:(?!\/)/uy);
  return hint === undefined
    ? undefined
    : hint
        .slice(0, -1)
        .split(',')
        .map((type) => context.expand(type));
}

/** How a path continues at a linked entity: how many Relationships are followed (5.7.2.4, "too deep query"). */
export function linkDepth(path: AttributePath): number {
  let depth = 0;
  for (let at = path.linked; at !== undefined; at = at.path.linked) depth += 1;
  return depth;
}

/** The text of a path: what {@link parsePath} reads. */
export function printPath(path: AttributePath, name: (iri: Iri) => string): string {
  const names = path.names.map(name).join('.');
  if (path.linked !== undefined) {
    const hint = path.linked.types === undefined ? '' : `${path.linked.types.map(name).join(',')}:`;
    return `${names}{${hint}${printPath(path.linked.path, name)}}`;
  }
  return path.inside === undefined ? names : `${names}[${path.inside.join('.')}]`;
}
