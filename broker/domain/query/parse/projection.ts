import { badRequest } from '../../errors.ts';
import type { Iri } from '../../iri.ts';
import type { Context } from '../../jsonld/context.ts';
import { limits } from '../../limits.ts';
import { NAME, Scanner } from './scanner.ts';

/** What of an entity is shown, and of the entities that its Relationships lead to (4.21). Names are expanded; "@id" and "@type" stand for id and type. */
export interface Projection {
  /** Only these members, nothing else. */
  readonly pick?: ReadonlySet<Iri>;
  /** All but these members. */
  readonly omit?: ReadonlySet<Iri>;
  /** By Relationship: what is shown of the entities linked by it. Without a member here they are shown whole. */
  readonly linked?: ReadonlyMap<Iri, Projection>;
}

/** A ProjectionTerm: the names, and behind `{` what is named of linked entities. */
type Terms = ReadonlyMap<Iri, Terms | undefined>;

/**
 * Reads `pick` and `omit` (4.21): names of attributes, and id, type or scope, separated by "," or "|". `observation{temperature}` names a member of the
 * entities that the Relationship `observation` leads to: pick then shows the Relationship as well, omit leaves it where it is.
 * @param prefix what stands in front of the names in messages, such as "notification."
 * @throws DomainError BadRequestData with the position; also for a name that comes twice, or in both
 */
export function parseProjection(
  { pick, omit }: { readonly pick?: string | undefined; readonly omit?: string | undefined },
  context: Context,
  prefix = '',
): Projection {
  const picked = pick === undefined ? undefined : parseTerms(pick, context, `${prefix}pick`);
  const omitted = omit === undefined ? undefined : parseTerms(omit, context, `${prefix}omit`);
  return projectionOf(picked, omitted);
}

/** Over how many Relationships a projection goes (5.7.1.4, 5.7.2.4). */
export function projectionDepth({ linked }: Projection): number {
  let depth = 0;
  for (const below of linked?.values() ?? []) depth = Math.max(depth, 1 + projectionDepth(below));
  return depth;
}

function parseTerms(text: string, context: Context, what: string): Terms {
  const scanner = new Scanner(text, what);
  const terms = termsOf(scanner, context, { count: 0 }, 0);
  scanner.end();
  return terms;
}

/** Deeper than any join goes: what keeps the reading of a long row of "{" short. */
const DEEPEST = 50;

function termsOf(scanner: Scanner, context: Context, total: { count: number }, depth: number): Terms {
  if (depth > DEEPEST) throw scanner.error(`more than ${DEEPEST} linked entities`);
  const terms = new Map<Iri, Terms | undefined>();
  do {
    const start = scanner.at;
    const name = scanner.match(/https?:\/\/[^,|{}\s]+/y) ?? scanner.match(NAME);
    if (name === undefined) throw scanner.error('expected the name of a member');
    const iri = context.expand(name);
    if (terms.has(iri)) throw scanner.error(`${name} is named twice`, start);
    total.count += 1;
    if (total.count > limits().queryTerms) throw scanner.error(`more than ${limits().queryTerms} names`);
    let below: Terms | undefined;
    if (scanner.take('{')) {
      if (iri.startsWith('@')) throw scanner.error(`${name} is no Relationship`, start);
      below = termsOf(scanner, context, total, depth + 1);
      scanner.expect('}', 'after the members of linked entities');
    }
    terms.set(iri, below);
  } while (scanner.take(',') || scanner.take('|'));
  return terms;
}

function projectionOf(pick: Terms | undefined, omit: Terms | undefined): Projection {
  const omitted = omit && new Set([...omit].filter(([, below]) => below === undefined).map(([name]) => name));
  for (const name of pick?.keys() ?? []) {
    if (omitted?.has(name)) throw badRequest(`"${name}" is in pick and in omit`);
  }
  const linked = new Map<Iri, Projection>();
  for (const name of new Set([...(pick?.keys() ?? []), ...(omit?.keys() ?? [])])) {
    const below = [pick?.get(name), omit?.get(name)] as const;
    if (below[0] !== undefined || below[1] !== undefined) linked.set(name, projectionOf(...below));
  }
  return {
    ...(pick === undefined ? {} : { pick: new Set(pick.keys()) }),
    ...(omitted === undefined ? {} : { omit: omitted }),
    ...(linked.size === 0 ? {} : { linked }),
  };
}
