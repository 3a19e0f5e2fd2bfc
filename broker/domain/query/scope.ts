import type { ScopeSelection } from './query.ts';

/** The levels of a scope (4.18), which may begin with a slash: "/Madrid/Gardens" is ["Madrid", "Gardens"]. */
export function scopeLevels(scope: string): readonly string[] {
  return (scope.startsWith('/') ? scope.slice(1) : scope).split('/');
}

/** 4.19: is the selection true of an entity with these scopes? An entity without a scope matches no selection. */
export function scopesMatch(selection: ScopeSelection, scopes: readonly string[] | undefined): boolean {
  if (scopes === undefined || scopes.length === 0) return false;
  switch (selection.kind) {
    case 'any':
      return selection.of.some((one) => scopesMatch(one, scopes));
    case 'all':
      return selection.of.every((one) => scopesMatch(one, scopes));
    case 'scope':
      return scopes.some((scope) => levelsMatch(selection.levels, scopeLevels(scope)));
  }
}

function levelsMatch(pattern: readonly string[], levels: readonly string[]): boolean {
  const tree = pattern.at(-1) === '#';
  const length = tree ? pattern.length - 1 : pattern.length;
  if (tree ? levels.length < length : levels.length !== length) return false;
  for (let at = 0; at < length; at += 1) {
    if (pattern[at] !== '+' && pattern[at] !== levels[at]) return false;
  }
  return true;
}
