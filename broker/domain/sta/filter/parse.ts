import { badRequest } from '../../errors.ts';
import { limits } from '../../limits.ts';
import type { Arithmetic, CompareOperator, Expression, Step } from './expression.ts';
import { FUNCTIONS } from './functions.ts';
import { type Token, tokens } from './lexer.ts';

const COMPARE = new Set(['eq', 'ne', 'gt', 'ge', 'lt', 'le']);
const SUM = new Set(['add', 'sub']);
const PRODUCT = new Set(['mul', 'div', 'mod']);
const CONSTANTS: Readonly<Record<string, boolean | null>> = { true: true, false: false, null: null };

/**
 * Reads a $filter. Loosest first: or, and, not, comparison, add sub, mul div mod.
 * @throws DomainError BadRequestData that names the token which does not fit
 */
export function parseFilter(text: string): Expression {
  const parser = new Parser(text);
  const expression = parser.or();
  parser.end();
  return expression;
}

/** Reads the keys of an $orderby: expressions with a direction. */
export function parseOrder(text: string): readonly { readonly by: Expression; readonly descending: boolean }[] {
  const parser = new Parser(text);
  const keys: { by: Expression; descending: boolean }[] = [];
  do {
    const by = parser.sum();
    const direction = parser.word('asc') ?? parser.word('desc');
    keys.push({ by, descending: direction === 'desc' });
  } while (parser.sign(','));
  parser.end();
  if (keys.length > limits().orders) throw badRequest(`$orderby has more than ${limits().orders} keys`);
  return keys;
}

class Parser {
  readonly #text: string;
  readonly #tokens: readonly Token[];
  #at = 0;
  #depth = 0;

  constructor(text: string) {
    if (text.length > limits().queryChars) throw badRequest(`The expression has more than ${limits().queryChars} characters`);
    this.#text = text;
    this.#tokens = tokens(text);
    if (this.#tokens.length > 8 * limits().queryTerms)
      throw badRequest(`The expression has more than ${limits().queryTerms} terms`);
  }

  get #next(): Token {
    return this.#tokens[this.#at] as Token;
  }

  #fail(wanted: string): never {
    const { text, at } = this.#next;
    throw badRequest(
      text === '' ? `The expression ends where ${wanted} is expected` : `"${text}" (character ${at + 1}) is not ${wanted}`,
    );
  }

  end(): void {
    if (this.#next.kind !== 'end') this.#fail('expected there: an operator or the end');
  }

  sign(text: string): boolean {
    const { kind, text: found } = this.#next;
    if (kind !== 'sign' || found !== text) return false;
    this.#at++;
    return true;
  }

  #expect(text: string): void {
    if (!this.sign(text)) this.#fail(`"${text}"`);
  }

  /** Takes the keyword if it comes next, whatever its case. */
  word(text: string): string | undefined {
    const { kind, text: found } = this.#next;
    if (kind !== 'name' || found.toLowerCase() !== text) return undefined;
    this.#at++;
    return text;
  }

  #operator(of: ReadonlySet<string>): string | undefined {
    const { kind, text } = this.#next;
    const lower = text.toLowerCase();
    if (kind !== 'name' || !of.has(lower)) return undefined;
    this.#at++;
    return lower;
  }

  #nested<T>(read: () => T): T {
    if (++this.#depth > limits().queryDepth)
      throw badRequest(`The expression is nested deeper than ${limits().queryDepth} levels`);
    const result = read();
    this.#depth--;
    return result;
  }

  or(): Expression {
    const of = [this.#and()];
    while (this.word('or')) of.push(this.#and());
    return of.length === 1 ? (of[0] as Expression) : { kind: 'or', of };
  }

  #and(): Expression {
    const of = [this.#not()];
    while (this.word('and')) of.push(this.#not());
    return of.length === 1 ? (of[0] as Expression) : { kind: 'and', of };
  }

  #not(): Expression {
    if (this.word('not') === undefined) return this.#comparison();
    return this.#nested(() => ({ kind: 'not', of: this.#not() }));
  }

  #comparison(): Expression {
    const left = this.sum();
    const operator = this.#operator(COMPARE);
    if (operator !== undefined) return { kind: 'compare', operator: operator as CompareOperator, left, right: this.sum() };
    if (this.word('in') === undefined) return left;
    if (!this.sign('(')) return { kind: 'in', left, of: [this.#primary()] };
    const of = [this.sum()];
    while (this.sign(',')) of.push(this.sum());
    this.#expect(')');
    return { kind: 'in', left, of };
  }

  sum(): Expression {
    let left = this.#product();
    for (;;) {
      const operator = this.#operator(SUM);
      if (operator === undefined) return left;
      left = { kind: 'arithmetic', operator: operator as Arithmetic, left, right: this.#product() };
    }
  }

  #product(): Expression {
    let left = this.#primary();
    for (;;) {
      const operator = this.#operator(PRODUCT);
      if (operator === undefined) return left;
      left = { kind: 'arithmetic', operator: operator as Arithmetic, left, right: this.#primary() };
    }
  }

  #primary(): Expression {
    const token = this.#next;
    if (token.kind === 'literal') {
      this.#at++;
      return { kind: 'literal', value: token.value, text: token.text };
    }
    if (this.sign('(')) {
      const inner = this.#nested(() => this.or());
      this.#expect(')');
      return inner;
    }
    if (token.kind !== 'name') this.#fail('a value, a path or a function');
    const lower = token.text.toLowerCase();
    const opens = this.#tokens[this.#at + 1]?.text === '(' && this.#tokens[this.#at + 1]?.kind === 'sign';
    if (opens) return this.#call(token.text);
    if (Object.hasOwn(CONSTANTS, lower)) {
      this.#at++;
      return { kind: 'literal', value: CONSTANTS[lower] as boolean | null, text: token.text };
    }
    return this.#path();
  }

  #call(name: string): Expression {
    const known = FUNCTIONS.get(name.toLowerCase());
    if (known === undefined) throw badRequest(`There is no function ${name}`);
    this.#at += 2;
    const of: Expression[] = [];
    this.#nested(() => {
      if (this.sign(')')) return;
      do of.push(this.or());
      while (this.sign(','));
      this.#expect(')');
    });
    const [least, most] = known.arity;
    if (of.length < least || of.length > most) {
      throw badRequest(`${name} takes ${least === most ? least : `${least} to ${most}`} operands, not ${of.length}`);
    }
    return { kind: 'call', name: name.toLowerCase(), of };
  }

  #path(): Expression {
    const start = this.#next.at;
    const steps: Step[] = [this.#step()];
    for (;;) {
      const end = this.#next.at;
      if (!this.sign('/')) return { kind: 'path', steps, text: this.#text.slice(start, end).trim() };
      const { kind, text } = this.#next;
      const lower = text.toLowerCase();
      const opens = this.#tokens[this.#at + 1]?.text === '(';
      if (kind === 'name' && opens && (lower === 'any' || lower === 'all')) {
        this.#at += 2;
        return this.#quantified(lower, steps, this.#text.slice(start, end).trim());
      }
      steps.push(this.#step());
    }
  }

  #step(): Step {
    const token = this.#next;
    // "Datastreams/1" and "properties/10" are not paths of names, but JSON has such members.
    if (token.kind !== 'name' && !(token.kind === 'literal' && typeof token.value === 'number')) this.#fail('a name');
    this.#at++;
    const indexes: number[] = [];
    while (this.sign('[')) {
      const index = this.#next;
      if (index.kind !== 'literal' || typeof index.value !== 'number' || !Number.isInteger(index.value)) this.#fail('an index');
      else indexes.push(index.value);
      this.#at++;
      this.#expect(']');
    }
    return { name: token.text, indexes };
  }

  #quantified(kind: 'any' | 'all', path: readonly Step[], text: string): Expression {
    const variable = this.#next;
    if (variable.kind !== 'name') this.#fail('the name of a variable');
    this.#at++;
    this.#expect(':');
    const of = this.#nested(() => this.or());
    this.#expect(')');
    return { kind, path, text, variable: variable.text, of };
  }
}
