import { badRequest } from '../../errors.ts';
import { isObject, type JsonValue } from '../../json.ts';
import type { Model, PropertyKind, SetName } from '../model.ts';
import { parseSpan } from '../time.ts';
import { compareValues } from './compare.ts';
import type { Expression, Step } from './expression.ts';
import { calculate, FUNCTIONS, type Surroundings } from './functions.ts';
import { type ResolvedPath, resolvePath } from './paths.ts';
import { jsonOperand, type Value } from './value.ts';

/** An entity as a filter sees it. */
export interface Row {
  readonly set: SetName;
  readonly id: number;
  /** The property as it is written in JSON; undefined: it has none. */
  property(name: string): JsonValue | undefined;
  selfLink(): string;
  /** The entities behind a link, loaded before. */
  linked(name: string): readonly Row[];
}

/** The links that must be loaded before an expression is asked, by name, and behind each the next. */
export interface Needed extends ReadonlyMap<string, Needed> {}

export interface Compiled {
  readonly needed: Needed;
  /** In three values: null where nobody can say. Paths through links of many: true if some related entities make it true. */
  test(row: Row, surroundings: Surroundings): boolean | null;
  /** The expression's worth, with the first of many related entities. */
  value(row: Row, surroundings: Surroundings): Value;
}

/**
 * Makes a test of an expression.
 * @throws DomainError BadRequestData if a path leads nowhere
 */
export function compileExpression(expression: Expression, set: SetName, model: Model): Compiled {
  const needed: Tree = new Map();
  const scope = new Scope(model, new Map([['', { set, needed }]]));
  const evaluate = compile(expression, scope);
  const prefixes = scope.prefixes;
  return {
    needed,
    test(row, surroundings) {
      const environment: Environment = { surroundings, rows: new Map([['', row]]) };
      return some(environment, prefixes, 0, () => truth(evaluate(environment)));
    },
    value(row, surroundings) {
      const environment: Environment = { surroundings, rows: new Map([['', row]]) };
      for (const prefix of prefixes) environment.rows.set(prefix.key, candidates(environment, prefix)[0]);
      return evaluate(environment);
    },
  };
}

type Tree = Map<string, Tree>;

interface Environment {
  readonly surroundings: Surroundings;
  /** The entity that each chain of links stands for at the moment; '' is the one that is asked. */
  readonly rows: Map<string, Row | undefined>;
}

interface Prefix {
  readonly key: string;
  readonly parent: string;
  readonly link: string;
}

/** Where paths start: the entity itself (''), or variables of any and all. Every chain of links in use is listed once, parents first. */
class Scope {
  readonly model: Model;
  readonly starts: ReadonlyMap<string, { readonly set: SetName; readonly needed: Tree }>;
  readonly prefixes: Prefix[] = [];
  readonly #outer: Scope | undefined;

  constructor(model: Model, starts: Scope['starts'], outer?: Scope) {
    this.model = model;
    this.starts = starts;
    this.#outer = outer;
  }

  /**
   * @param quantified the last link is gone through by any() or all(), not chosen from
   * @returns the path, and the key of the chain in front of its end
   */
  resolve(
    steps: readonly Step[],
    quantified = false,
  ): { readonly path: ResolvedPath; readonly key: string; readonly needed: Tree } {
    const [first, ...rest] = steps as [Step, ...Step[]];
    const variable = first.indexes.length === 0 && this.starts.has(first.name) ? first.name : '';
    const start = this.starts.get(variable) as { readonly set: SetName; readonly needed: Tree };
    const path = resolvePath(this.model, start.set, variable === '' ? steps : rest);
    let key = variable;
    let needed = start.needed;
    for (const [at, link] of path.links.entries()) {
      const parent = key;
      key = `${key}/${link}`;
      const below = needed.get(link) ?? new Map();
      needed.set(link, below);
      needed = below;
      const last = quantified && at === path.links.length - 1;
      if (!last && !this.#has(key)) this.#owner(variable).prefixes.push({ key, parent, link });
    }
    return { path, key, needed };
  }

  #has(key: string): boolean {
    if (this.prefixes.some((prefix) => prefix.key === key)) return true;
    const outer = this.#outer;
    return outer === undefined ? false : outer.#has(key);
  }

  /** Paths of the entity itself mean the same related entity everywhere in the filter, also inside any(). */
  #owner(variable: string): Scope {
    return this.#outer === undefined || !this.#outer.starts.has(variable) ? this : this.#outer.#owner(variable);
  }
}

const truth = (value: Value): boolean | null => (typeof value === 'boolean' ? value : null);

function candidates({ rows }: Environment, { parent, link }: Prefix): readonly Row[] {
  return rows.get(parent)?.linked(link) ?? [];
}

/** Is the test true for some choice of related entities? Otherwise false if some choice makes it false, else null. */
function some(environment: Environment, prefixes: readonly Prefix[], at: number, test: () => boolean | null): boolean | null {
  const prefix = prefixes[at];
  if (prefix === undefined) return test();
  const found = candidates(environment, prefix);
  let answer: boolean | null = null;
  for (const row of found.length === 0 ? [undefined] : found) {
    environment.rows.set(prefix.key, row);
    const one = some(environment, prefixes, at + 1, test);
    if (one === true) return true;
    if (one === false) answer = false;
  }
  return answer;
}

type Evaluate = (environment: Environment) => Value;

function compile(expression: Expression, scope: Scope): Evaluate {
  switch (expression.kind) {
    case 'literal': {
      const { value } = expression;
      return () => value;
    }
    case 'path':
      return compilePath(expression.steps, scope);
    case 'not': {
      const of = compile(expression.of, scope);
      return (environment) => {
        const value = truth(of(environment));
        return value === null ? null : !value;
      };
    }
    case 'and':
    case 'or':
      return compileLogic(
        expression.kind === 'or',
        expression.of.map((one) => compile(one, scope)),
      );
    case 'compare': {
      const left = compile(expression.left, scope);
      const right = compile(expression.right, scope);
      const { operator } = expression;
      const side = literalSide(expression.left, expression.right);
      const ids = isId(expression.left, scope) || isId(expression.right, scope);
      return (environment) => {
        const [a, b] = [left(environment), right(environment)];
        return ids ? compareValues(operator, asId(a), asId(b), side) : compareValues(operator, a, b, side);
      };
    }
    case 'in': {
      const left = compile(expression.left, scope);
      const of = expression.of.map((one) => compile(one, scope));
      return (environment) => {
        const value = left(environment);
        const answers = of.map((one) => compareValues('eq', value, one(environment), 'right'));
        return answers.includes(true) ? true : answers.includes(null) ? null : false;
      };
    }
    case 'arithmetic': {
      const left = compile(expression.left, scope);
      const right = compile(expression.right, scope);
      const { operator } = expression;
      return (environment) => calculate(operator, left(environment), right(environment));
    }
    case 'call': {
      const known = FUNCTIONS.get(expression.name);
      if (known === undefined) throw badRequest(`There is no function ${expression.name}`);
      const of = expression.of.map((one) => compile(one, scope));
      return (environment) =>
        known.apply(
          of.map((one) => one(environment)),
          environment.surroundings,
        );
    }
    case 'any':
    case 'all':
      return compileQuantified(expression, scope);
  }
}

function compileLogic(isOr: boolean, of: readonly Evaluate[]): Evaluate {
  return (environment) => {
    let answer: boolean | null = !isOr;
    for (const one of of) {
      const value = truth(one(environment));
      if (value === isOr) return isOr;
      if (value === null) answer = null;
    }
    return answer;
  };
}

function compileQuantified(expression: Extract<Expression, { kind: 'any' | 'all' }>, scope: Scope): Evaluate {
  const { path, key, needed } = scope.resolve(expression.path, true);
  const link = path.links.at(-1);
  if (path.end.kind !== 'entity' || link === undefined || !path.many) {
    throw badRequest(`${expression.kind} needs a link to many entities, and ${expression.text} is none`);
  }
  // The chain up to the link is one entity; behind it, the variable stands for each.
  const parent = key.slice(0, key.lastIndexOf('/'));
  const { variable } = expression;
  if (scope.starts.has(variable)) throw badRequest(`The variable ${variable} is in use already`);
  const inner = new Scope(scope.model, new Map([...scope.starts, [variable, { set: path.set, needed }]]), scope);
  const of = compile(expression.of, inner);
  const wanted = expression.kind === 'any';
  return (environment) => {
    const rows = environment.rows.get(parent)?.linked(link) ?? [];
    for (const row of rows) {
      environment.rows.set(variable, row);
      const answer = some(environment, inner.prefixes, 0, () => truth(of(environment)));
      if ((answer === true) === wanted) return wanted;
    }
    return !wanted;
  };
}

function compilePath(steps: readonly Step[], scope: Scope): Evaluate {
  const { path, key } = scope.resolve(steps);
  const { end } = path;
  switch (end.kind) {
    case 'id':
    case 'entity':
      return ({ rows }) => rows.get(key)?.id ?? null;
    case 'selfLink':
      return ({ rows }) => rows.get(key)?.selfLink() ?? null;
    case 'property': {
      const { name, type, inside } = end;
      return ({ rows }) => propertyValue(rows.get(key)?.property(name), type, inside);
    }
  }
}

function propertyValue(json: JsonValue | undefined, type: PropertyKind, inside: readonly (string | number)[]): Value {
  if ((type === 'time' || type === 'instant' || type === 'interval') && typeof json === 'string') {
    const span = parseSpan(json);
    return span === undefined ? json : { kind: 'span', span };
  }
  let at: JsonValue | undefined = json;
  for (const member of inside) {
    if (typeof member === 'number') at = Array.isArray(at) ? (at[member] as JsonValue | undefined) : undefined;
    else if (Array.isArray(at) && /^\d+$/.test(member)) at = at[Number(member)] as JsonValue | undefined;
    else at = isObject(at) && Object.hasOwn(at, member) ? at[member] : undefined;
  }
  return jsonOperand(at);
}

function literalSide(left: Expression, right: Expression): 'left' | 'right' | undefined {
  return right.kind === 'literal' ? 'right' : left.kind === 'literal' ? 'left' : undefined;
}

function isId(expression: Expression, scope: Scope): boolean {
  if (expression.kind !== 'path') return false;
  const { end } = scope.resolve(expression.steps).path;
  return end.kind === 'id' || end.kind === 'entity';
}

/** The standard's own examples quote ids. */
const asId = (value: Value): Value => (typeof value === 'string' && /^\d{1,16}$/.test(value) ? Number(value) : value);
