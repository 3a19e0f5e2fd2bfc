import type { JsonValue } from '../json.ts';

/** A text of a virtual sensor's template, with what it refers to found. */
export type Formula =
  | { readonly kind: 'text'; readonly parts: readonly (string | Placeholder)[] }
  /** Arithmetic, or one placeholder alone, whose value keeps its type. */
  | { readonly kind: 'expression'; readonly tree: Tree }
  /** `toISOString("{entity>path}")`. */
  | { readonly kind: 'iso'; readonly of: Placeholder };

export type Placeholder =
  | { readonly kind: 'timestamp' }
  | { readonly kind: 'variable'; readonly name: string }
  | { readonly kind: 'reference'; readonly entity: string; readonly path: readonly string[]; readonly fallback?: JsonValue };

type Operator = '+' | '-' | '*' | '/';

export type Tree =
  | { readonly kind: 'number'; readonly value: number }
  | { readonly kind: 'placeholder'; readonly of: Placeholder }
  | { readonly kind: 'minus'; readonly of: Tree }
  | { readonly kind: 'binary'; readonly operator: Operator; readonly left: Tree; readonly right: Tree }
  | { readonly kind: 'call'; readonly name: keyof typeof FUNCTIONS; readonly of: readonly Tree[] };

/** What a formula can call; the names of mathematics. */
export const FUNCTIONS = {
  min: (...values: number[]) => Math.min(...values),
  max: (...values: number[]) => Math.max(...values),
  abs: (value: number) => Math.abs(value),
  round: (value: number, digits = 0) => Math.round(value * 10 ** digits) / 10 ** digits,
} as const satisfies Record<string, (...values: number[]) => number>;

/** Why a formula has no result now. */
export class NoResult extends Error {}

const MOST = { chars: 2000, depth: 32 } as const;
const TOKEN = /\s*(?:(\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)|(\{[^{}]*\})|([A-Za-z]+)|([-+*/(),]))/y;
const ISO = /^\s*toISOString\(\s*"(\{[^{}]*\})"\s*\)\s*$/;

/**
 * Reads a text. What is no expression as a whole is text in which placeholders are filled.
 * @throws Error that says which placeholder cannot be used
 */
export function parseFormula(text: string): Formula {
  if (text.length > MOST.chars) throw new Error(`is longer than ${MOST.chars} characters`);
  const iso = ISO.exec(text)?.[1];
  if (iso !== undefined) return { kind: 'iso', of: placeholder(iso) };
  const tree = parseExpression(text);
  if (tree !== undefined) return { kind: 'expression', tree };
  const parts = text
    .split(/(\{[^{}]*\})/)
    .filter((part) => part !== '')
    .map((part) => (part.startsWith('{') && part.endsWith('}') ? placeholder(part) : part));
  return { kind: 'text', parts };
}

/** `{timestamp}`, `{NAME}` or `{entity>path|default}`; the entity ends at the first ">", the default begins behind the last "|". */
function placeholder(text: string): Placeholder {
  const inner = text.slice(1, -1).trim();
  if (inner === 'timestamp') return { kind: 'timestamp' };
  const at = inner.indexOf('>');
  if (at < 0) {
    if (!/^[A-Za-z_]\w*$/.test(inner)) throw new Error(`${text} is neither a variable nor {entity>attribute}`);
    return { kind: 'variable', name: inner };
  }
  const bar = inner.lastIndexOf('|');
  const end = bar > at ? bar : inner.length;
  const entity = inner.slice(0, at).trim();
  const path = inner
    .slice(at + 1, end)
    .trim()
    .split('.');
  if (entity === '' || path.some((step) => step === ''))
    throw new Error(`${text} is not {entity>attribute} or {entity>attribute.path|default}`);
  return { kind: 'reference', entity, path, ...(bar > at && { fallback: literal(inner.slice(bar + 1).trim()) }) };
}

function literal(text: string): JsonValue {
  try {
    return JSON.parse(text) as JsonValue;
  } catch {
    return text;
  }
}

/** undefined: the text is no expression. */
function parseExpression(text: string): Tree | undefined {
  const tokens: string[] = [];
  TOKEN.lastIndex = 0;
  const trimmed = text.trimEnd();
  while (TOKEN.lastIndex < trimmed.length) {
    const found = TOKEN.exec(trimmed);
    if (found === null) return undefined;
    tokens.push((found[1] ?? found[2] ?? found[3] ?? found[4]) as string);
  }
  let at = 0;
  const take = (...wanted: readonly string[]): string | undefined => {
    const token = tokens[at];
    if (token === undefined || !wanted.includes(token)) return undefined;
    at++;
    return token;
  };

  /** Operands with operators of one rank between them, from left to right. */
  function chain(
    operand: (depth: number) => Tree | undefined,
    operators: readonly Operator[],
    depth: number,
  ): Tree | undefined {
    let left = operand(depth);
    for (let operator = take(...operators); left !== undefined && operator !== undefined; operator = take(...operators)) {
      const right = operand(depth);
      left = right && { kind: 'binary', operator: operator as Operator, left, right };
    }
    return left;
  }
  const sum = (depth: number): Tree | undefined => chain(product, ['+', '-'], depth);
  const product = (depth: number): Tree | undefined => chain(factor, ['*', '/'], depth);
  function factor(depth: number): Tree | undefined {
    if (depth > MOST.depth) throw new Error('is nested too deeply');
    if (take('-') !== undefined) {
      const of = factor(depth + 1);
      return of && { kind: 'minus', of };
    }
    if (take('+') !== undefined) return factor(depth + 1);
    if (take('(') !== undefined) {
      const inner = sum(depth + 1);
      return take(')') === undefined ? undefined : inner;
    }
    const token = tokens[at++];
    if (token === undefined) return undefined;
    if (/^\d/.test(token)) return { kind: 'number', value: Number(token) };
    if (token.startsWith('{')) return { kind: 'placeholder', of: placeholder(token) };
    if (!Object.hasOwn(FUNCTIONS, token) || take('(') === undefined) return undefined;
    const of: Tree[] = [];
    do {
      const one = sum(depth + 1);
      if (one === undefined) return undefined;
      of.push(one);
    } while (take(',') !== undefined);
    return take(')') === undefined ? undefined : { kind: 'call', name: token as keyof typeof FUNCTIONS, of };
  }

  const tree = sum(0);
  return at === tokens.length ? tree : undefined;
}

/** All placeholders of a formula. */
export function placeholdersOf(formula: Formula): readonly Placeholder[] {
  if (formula.kind === 'iso') return [formula.of];
  if (formula.kind === 'text') return formula.parts.filter((part) => typeof part !== 'string');
  const found: Placeholder[] = [];
  const visit = (tree: Tree): void => {
    if (tree.kind === 'placeholder') found.push(tree.of);
    else if (tree.kind === 'minus') visit(tree.of);
    else if (tree.kind === 'call') tree.of.forEach(visit);
    else if (tree.kind === 'binary') {
      visit(tree.left);
      visit(tree.right);
    }
  };
  visit(formula.tree);
  return found;
}

/**
 * @param valueOf the value of a placeholder; throws NoResult if there is none
 * @throws NoResult if the result is no finite number, or a value is not there
 */
export function evaluateFormula(formula: Formula, resolve: (one: Placeholder) => JsonValue): JsonValue {
  switch (formula.kind) {
    case 'iso':
      return isoTime(resolve(formula.of));
    case 'text':
      return formula.parts.map((part) => (typeof part === 'string' ? part : asText(resolve(part)))).join('');
    case 'expression': {
      const { tree } = formula;
      if (tree.kind === 'placeholder') return resolve(tree.of);
      const result = calculate(tree, resolve);
      if (!Number.isFinite(result)) throw new NoResult('the result is not a number');
      // 0.1 + 0.2 is 0.3 to whoever reads it, and no sensor measures finer.
      return Number(result.toPrecision(12));
    }
  }
}

function calculate(tree: Tree, resolve: (one: Placeholder) => JsonValue): number {
  switch (tree.kind) {
    case 'number':
      return tree.value;
    case 'minus':
      return -calculate(tree.of, resolve);
    case 'placeholder': {
      const value = resolve(tree.of);
      if (typeof value === 'bigint') return Number(value);
      if (typeof value !== 'number') throw new NoResult(`${JSON.stringify(value).slice(0, 64)} is not a number`);
      return value;
    }
    case 'binary': {
      const [left, right] = [calculate(tree.left, resolve), calculate(tree.right, resolve)];
      if (tree.operator === '+') return left + right;
      if (tree.operator === '-') return left - right;
      return tree.operator === '*' ? left * right : left / right;
    }
    case 'call':
      return (FUNCTIONS[tree.name] as (...values: number[]) => number)(...tree.of.map((one) => calculate(one, resolve)));
  }
}

function isoTime(value: JsonValue): string {
  const time = typeof value === 'number' || typeof value === 'string' ? new Date(value) : new Date(Number.NaN);
  if (Number.isNaN(time.getTime())) throw new NoResult(`${JSON.stringify(value).slice(0, 64)} is not a time`);
  return time.toISOString();
}

const asText = (value: JsonValue): string => (typeof value === 'object' ? JSON.stringify(value) : String(value));
