import type { Filter } from 'mongodb';
import type { Iri, TenantId } from '../../domain/iri.ts';
import type { EntityQuery, EntitySelector, ScopeSelection, TypeSelection } from '../../domain/query/query.ts';
import { type EntityDocument, keyOf } from './collections.ts';
import { compileCondition, type Server } from './compile-condition.ts';
import { ALL, and, any, type Compiled, NONE, or } from './compiled.ts';
import { ANYTHING, PATH_CHARS } from './facts.ts';

export type EntityFilter = Filter<EntityDocument>;

/** What the database is asked for a query. */
export interface DatabaseQuery {
  /** Finds every match, of one tenant. */
  readonly filter: EntityFilter;
  /** What it finds matches, unless the document says that its facts are rough. */
  readonly exact: boolean;
  /** Facts were asked for: a rough document must be looked at. */
  readonly facts: boolean;
}

/** Compiles a query. What it does not mean exactly it finds too much of, never too little: evaluate.ts decides. @param server what it can do */
export function compileQuery(tenant: TenantId, query: EntityQuery, server: Server): DatabaseQuery {
  const parts: Compiled[] = [selector(tenant, query)];
  if (query.anyOf !== undefined) parts.push(or(query.anyOf.map((one) => selector(tenant, one))));
  if (query.scopes !== undefined) parts.push(scopes(query.scopes));
  if (query.anyAttribute !== undefined) parts.push(anyAttribute(query.anyAttribute));
  if (query.where !== undefined) parts.push(compileCondition(query.where, query.datasetIds, { tenant, ...server }));
  const compiled = and(parts);
  return { filter: { t: tenant, ...compiled.may } as EntityFilter, exact: compiled.exact, facts: compiled.facts };
}

function selector(tenant: TenantId, { ids, idPattern, types }: EntitySelector): Compiled {
  const parts: Compiled[] = [];
  if (ids !== undefined) parts.push(any({ _id: { $in: [...new Set(ids)].map((id) => keyOf(tenant, id)) } }));
  if (types !== undefined) parts.push(typeSelection(types));
  if (idPattern !== undefined) parts.push({ ...ALL, exact: false, must: NONE });
  return and(parts);
}

function typeSelection(selection: TypeSelection): Compiled {
  switch (selection.kind) {
    case 'type':
      return any({ y: selection.type });
    case 'any':
      return selection.of.every(({ kind }) => kind === 'type')
        ? any({ y: { $in: selection.of.map((one) => (one as { readonly type: Iri }).type) } })
        : or(selection.of.map(typeSelection));
    case 'all':
      return and(selection.of.map(typeSelection));
  }
}

function scopes(selection: ScopeSelection): Compiled {
  switch (selection.kind) {
    case 'any':
      return or(selection.of.map(scopes));
    case 'all':
      return and(selection.of.map(scopes));
    case 'scope':
      return any({ s: levelsFilter(selection.levels) });
  }
}

/** 4.19, on scopes with a slash in front of each level. */
function levelsFilter(levels: readonly string[]): unknown {
  const tree = levels.at(-1) === '#';
  const fixed = tree ? levels.slice(0, -1) : levels;
  if (!tree && !fixed.includes('+')) return `/${fixed.join('/')}`;
  const pattern = fixed.map((level) => `/${level === '+' ? '[^/]*' : escaped(level)}`).join('');
  return { $regex: `^${pattern}${tree ? '(/|\\z)' : '\\z'}` };
}

const escaped = (text: string): string => text.replace(/[.*+?^${}()|[\]\\/-]/g, '\\$&');

function anyAttribute(names: readonly Iri[]): Compiled {
  const held = names.filter((name) => name.length <= PATH_CHARS);
  const exact = held.length === names.length;
  const may = { 'q.p': { $in: [...held, ANYTHING] } };
  return { may, must: { 'q.p': { $in: held } }, exact, facts: true };
}
