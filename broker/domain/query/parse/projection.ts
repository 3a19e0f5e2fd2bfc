import { badRequest } from '../../errors.ts';
import type { Iri } from '../../iri.ts';
import type { Context } from '../../jsonld/context.ts';
import { MAX_TERMS, NAME, Scanner } from './scanner.ts';

/** Members of entities by expanded name; "@id" and "@type" stand for id and type. */
export type Projection = ReadonlySet<Iri>;

/**
 * Reads `pick` or `omit` (4.21): names of attributes, and id, type or scope, separated by "," or "|".
 * Linked entities (`observation{temperature}`) are refused, because no operation joins them yet: 5.7.2.4 asks for that error.
 * @throws DomainError BadRequestData with the position; also for a name that comes twice
 */
export function parseProjection(text: string, context: Context, what: string): Projection {
  const scanner = new Scanner(text, what);
  const names = new Set<Iri>();
  do {
    const start = scanner.at;
    const name = scanner.match(/https?:\/\/[^,|{}\s]+/y) ?? scanner.match(NAME);
    if (name === undefined) throw scanner.error('expected the name of a member');
    if (scanner.peek() === '{')
      throw badRequest(`${what}: ${name}{…} names members of linked entities, which this request does not join`);
    const iri = context.expand(name);
    if (names.has(iri)) throw scanner.error(`${name} is named twice`, start);
    names.add(iri);
    if (names.size > MAX_TERMS) throw scanner.error(`more than ${MAX_TERMS} names`);
  } while (scanner.take(',') || scanner.take('|'));
  scanner.end();
  return names;
}
