import { createRequire } from 'node:module';
import type jexl from 'jexl';
import type { JexlNode } from 'jexl';
import { isObject, type JsonValue } from '../../broker/ports/ingest.ts';
import { PayloadError } from '../reading.ts';
import { TRANSFORMS } from './transforms.ts';

/** What an expression may cost at most. It comes from whoever provisions devices, and runs for every measure. */
const MOST = { chars: 1000, nodes: 200, depth: 24, resultChars: 64 * 1024 } as const;

/** Names that lead out of the data into the objects that hold it. */
const FORBIDDEN = new Set([
  '__proto__',
  'constructor',
  'prototype',
  '__defineGetter__',
  '__defineSetter__',
  '__lookupGetter__',
]);

/** A JEXL expression, compiled and found harmless: it can compute with what it is given, call {@link TRANSFORMS}, and nothing else. */
export interface Expression {
  readonly text: string;
  /** What it needs to know; without all of them it is not evaluated. */
  readonly variables: readonly string[];
  /** @returns undefined if there is no result: an error, NaN, or nothing that JSON could carry */
  evaluate(context: Readonly<Record<string, JsonValue>>): JsonValue | undefined;
}

let loaded: InstanceType<typeof jexl.Jexl> | undefined;
/** Loaded with the first expression: most mappings have none, and a start should be quick. */
function engine(): InstanceType<typeof jexl.Jexl> {
  if (loaded === undefined) {
    loaded = new (createRequire(import.meta.url)('jexl') as typeof jexl).Jexl();
    for (const [name, transform] of Object.entries(TRANSFORMS)) loaded.addTransform(name, transform as never);
  }
  return loaded;
}

const COMPILED = new Map<string, Expression>();

/**
 * Compiles an expression; the same text is compiled once.
 * @throws PayloadError WRONG_SYNTAX saying what is wrong: not JEXL, too long or deep, an unknown transform, a function call
 */
export function compileExpression(text: string): Expression {
  let expression = COMPILED.get(text);
  if (expression === undefined) {
    expression = compiled(text);
    if (COMPILED.size >= 10_000) COMPILED.clear();
    COMPILED.set(text, expression);
  }
  return expression;
}

function compiled(text: string): Expression {
  if (text.length > MOST.chars) throw wrong(text, `longer than ${MOST.chars} characters`);
  let tree: JexlNode | null;
  const program = engine().createExpression(text);
  try {
    tree = program._getAst();
  } catch (error) {
    throw wrong(text, (error as Error).message.split('\n', 1)[0] ?? 'not JEXL');
  }
  if (tree === null) throw wrong(text, 'empty');
  const variables = new Set<string>();
  check(tree, text, variables);
  return {
    text,
    variables: [...variables],
    evaluate(context) {
      try {
        // A prototype would be data too: `toString` must be as unknown as any other name.
        return asJson(program.evalSync(Object.assign(Object.create(null), context)));
      } catch {
        return undefined;
      }
    },
  };
}

/** Walks the tree: counts, forbids, and collects the variables. */
function check(root: JexlNode, text: string, variables: Set<string>): void {
  let nodes = 0;
  visit(root, 1, 0);

  function visit(node: JexlNode, depth: number, filters: number): void {
    nodes++;
    if (nodes > MOST.nodes || depth > MOST.depth) throw wrong(text, 'too complex');
    if (node.type === 'FunctionCall') {
      if (node['pool'] !== 'transforms') throw wrong(text, 'it calls a function; only transforms can be called');
      if (!Object.hasOwn(TRANSFORMS, String(node['name']))) throw wrong(text, `there is no transform "${node['name']}"`);
    }
    if (node.type === 'Identifier') {
      const name = String(node['value']);
      if (FORBIDDEN.has(name)) throw wrong(text, `the name ${name} is not allowed`);
      if (node['from'] === undefined && node['relative'] !== true) variables.add(name);
    }
    if (node.type === 'Literal' && FORBIDDEN.has(String(node['value']))) throw wrong(text, `${node['value']} is not allowed`);
    // A filter inside a filter runs once for every pair of elements.
    const inside = filters + (node.type === 'FilterExpression' && node['relative'] === true ? 1 : 0);
    if (inside > 1) throw wrong(text, 'a filter stands inside a filter');
    for (const member of Object.values(node)) children(member, depth + 1, inside);
  }
  function children(member: unknown, depth: number, filters: number): void {
    if (Array.isArray(member)) for (const item of member) children(item, depth, filters);
    else if (isNode(member)) visit(member, depth, filters);
    else if (isObject(member)) for (const item of Object.values(member)) children(item, depth, filters);
  }
}

/** A node knows its parent by a member that is not enumerable, so a walk over members only goes down. */
const isNode = (value: unknown): value is JexlNode =>
  typeof value === 'object' && value !== null && typeof (value as JexlNode).type === 'string';

/** A result as plain JSON; whatever is none (a function that a computed member name reached, NaN) is no result. */
function asJson(value: unknown): JsonValue | undefined {
  switch (typeof value) {
    case 'number':
      return Number.isFinite(value) ? value : undefined;
    case 'string':
      return value.length > MOST.resultChars ? undefined : value;
    case 'boolean':
      return value;
    case 'object': {
      if (value === null) return null;
      const text = JSON.stringify(value);
      return text === undefined || text.length > MOST.resultChars ? undefined : JSON.parse(text);
    }
    default:
      return undefined;
  }
}

const wrong = (text: string, why: string): PayloadError =>
  new PayloadError('WRONG_SYNTAX', `The expression ${JSON.stringify(text.slice(0, 80))} cannot be used: ${why}`);
