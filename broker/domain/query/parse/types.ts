import { isIri } from '../../iri.ts';
import type { Context } from '../../jsonld/context.ts';
import { limits } from '../../limits.ts';
import type { TypeSelection } from '../query.ts';
import { Scanner } from './scanner.ts';

/**
 * Reads an entity type selection (4.17): `A`, `A,B`, `A|B`, `(A;B)|C`, `(A|B)`. Types are names or IRIs; an IRI that contains one of `,;|()` can not be
 * told from an operator, as the clause notes.
 * @returns undefined for "*", which selects every type (Table 6.4.3.2-1)
 * @throws DomainError BadRequestData with the position
 */
export function parseTypes(text: string, context: Context, what = 'type'): TypeSelection | undefined {
  if (text === '*') return undefined;
  const scanner = new Scanner(text, what);
  let terms = 0;
  const type = (): TypeSelection => {
    const start = scanner.at;
    const name = scanner.match(/[^,;|()\s]+/y);
    if (name === undefined) throw scanner.error('expected an entity type');
    terms += 1;
    if (terms > limits().queryTerms) throw scanner.error(`more than ${limits().queryTerms} types`);
    if (!NAME_OR_IRI.test(name) && !isIri(name)) throw scanner.error(`${JSON.stringify(name)} is no type name`, start);
    return { kind: 'type', type: context.expand(name) };
  };
  const element = (): TypeSelection => {
    if (!scanner.take('(')) return type();
    const group = [type()];
    // The grammar has only ";" in a group; "(A|B)", as subscribers write it, can mean one thing only.
    const operator = scanner.take(',') || scanner.take('|') ? /[,|]/y : /;/y;
    if (operator.source !== ';') group.push(type());
    while (scanner.match(operator) !== undefined) group.push(type());
    scanner.expect(')', 'after a group of types');
    return group.length === 1 ? (group[0] as TypeSelection) : { kind: operator.source === ';' ? 'all' : 'any', of: group };
  };
  const any = [element()];
  while (scanner.take(',') || scanner.take('|')) any.push(element());
  scanner.end();
  return any.length === 1 ? (any[0] as TypeSelection) : { kind: 'any', of: any };
}

const NAME_OR_IRI = /^[\p{L}][\p{L}\p{N}_-]*(?::[\p{L}][\p{L}\p{N}_-]*)?$/u;

/** The text of a selection: what {@link parseTypes} reads, with full IRIs unless `name` shortens them. */
export function printTypes(selection: TypeSelection, name: (type: string) => string = (type) => type): string {
  switch (selection.kind) {
    case 'type':
      return name(selection.type);
    case 'all':
      return `(${selection.of.map((one) => printTypes(one, name)).join(';')})`;
    case 'any':
      return selection.of.map((one) => (one.kind === 'any' ? `(${printTypes(one, name)})` : printTypes(one, name))).join(',');
  }
}
