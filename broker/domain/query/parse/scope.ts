import { limits } from '../../limits.ts';
import type { ScopeSelection } from '../query.ts';
import { Scanner } from './scanner.ts';

const LEVEL = /[\p{L}][\p{L}\p{N}_]*|\+/uy;

/**
 * Reads a scope query (4.19): `/Madrid/Gardens/#`, `/Madrid/+/ParqueNorte`, `(/A;/B)|/C`, `/#`. The leading slash may be missing, as in the
 * clause's own example 5, and so may parentheses around `/A;/B`, as in the official tests.
 * @throws DomainError BadRequestData with the position
 */
export function parseScopes(text: string, what = 'scopeQ'): ScopeSelection {
  const scanner = new Scanner(text, what);
  let terms = 0;
  const scope = (): ScopeSelection => {
    terms += 1;
    if (terms > limits().queryTerms) throw scanner.error(`more than ${limits().queryTerms} scopes`);
    const levels: string[] = [];
    scanner.take('/');
    do {
      if (scanner.take('#')) {
        levels.push('#');
        break;
      }
      const level = scanner.match(LEVEL);
      if (level === undefined) throw scanner.error("expected a scope level, '+' or '#'");
      levels.push(level);
    } while (scanner.take('/'));
    return { kind: 'scope', levels };
  };
  const element = (): ScopeSelection => {
    const grouped = scanner.take('(');
    const all = [scope()];
    while (scanner.take(';')) all.push(scope());
    if (grouped) scanner.expect(')', 'after a group of scopes');
    return all.length === 1 ? (all[0] as ScopeSelection) : { kind: 'all', of: all };
  };
  const any = [element()];
  while (scanner.take(',') || scanner.take('|')) any.push(element());
  scanner.end();
  return any.length === 1 ? (any[0] as ScopeSelection) : { kind: 'any', of: any };
}

/** The text of a selection: what {@link parseScopes} reads. */
export function printScopes(selection: ScopeSelection): string {
  switch (selection.kind) {
    case 'scope':
      return `/${selection.levels.join('/')}`;
    case 'all':
      return `(${selection.of.map(printScopes).join(';')})`;
    case 'any':
      return selection.of.map(printScopes).join('|');
  }
}
