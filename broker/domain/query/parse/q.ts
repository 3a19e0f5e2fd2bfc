import { type Iri, isIri } from '../../iri.ts';
import type { Context } from '../../jsonld/context.ts';
import { limits } from '../../limits.ts';
import { parseInstant } from '../../time.ts';
import { isCalendarDate, parseTimeOfDay } from '../compare.ts';
import { compilePattern } from '../pattern.ts';
import type { AttributePath, Comparison, Condition, Operand } from '../query.ts';
import { parsePath, printPath } from './path.ts';
import { Scanner } from './scanner.ts';

export interface QOptions {
  /** Short names of attributes whose query values are terms to be expanded (4.9, `expandValues`). */
  readonly expandValues?: readonly string[];
  /** Short names of attributes whose values are raw JSON (4.9, `jsonKeys`): their members are never expanded here, so nothing changes. */
  readonly jsonKeys?: readonly string[];
  /** The parameter, for messages. */
  readonly what?: string;
}

/**
 * Reads a query of 4.9 and expands its names. `;` is and, `|` is or; and binds tighter.
 * Beyond the grammar it accepts groups inside groups (the clause's example 6 has them) and unquoted texts as values (example 12).
 * @throws DomainError BadRequestData with the position: "q: expected a value after '==' at 12"
 */
export function parseQ(text: string, context: Context, options: QOptions = {}): Condition {
  const scanner = new Scanner(text, options.what ?? 'q');
  const expanding = new Set((options.expandValues ?? []).map((name) => context.expand(name)));
  const reader = new QReader(scanner, context, expanding);
  const condition = reader.any(0);
  scanner.end();
  return condition;
}

const OPERATORS = ['==', '!=', '!~=', '~=', '>=', '<=', '>', '<'] as const;

class QReader {
  readonly scanner: Scanner;
  readonly context: Context;
  readonly expanding: ReadonlySet<Iri>;
  terms = 0;

  constructor(scanner: Scanner, context: Context, expanding: ReadonlySet<Iri>) {
    this.scanner = scanner;
    this.context = context;
    this.expanding = expanding;
  }

  /** Depth counts parentheses, so that they cannot exhaust the stack. */
  any(depth: number): Condition {
    const of = [this.all(depth)];
    while (this.scanner.take('|')) of.push(this.all(depth));
    return of.length === 1 ? (of[0] as Condition) : { kind: 'or', of };
  }

  all(depth: number): Condition {
    const of = [this.term(depth)];
    while (this.scanner.take(';')) of.push(this.term(depth));
    return of.length === 1 ? (of[0] as Condition) : { kind: 'and', of };
  }

  term(depth: number): Condition {
    const { scanner } = this;
    if (scanner.take('(')) {
      if (depth >= limits().queryDepth) throw scanner.error(`more than ${limits().queryDepth} levels of parentheses`);
      const group = this.any(depth + 1);
      scanner.expect(')', 'after a group');
      return group;
    }
    this.terms += 1;
    if (this.terms > limits().queryTerms) throw scanner.error(`more than ${limits().queryTerms} conditions`);
    const path = parsePath(scanner, this.context);
    const operator = OPERATORS.find((one) => scanner.take(one));
    if (operator === undefined) return { kind: 'exists', path };
    const value = this.operand(operator);
    return { kind: 'compare', path: this.withExpansion(path, value), operator, value };
  }

  operand(operator: Comparison['operator']): Operand {
    const { scanner } = this;
    if (operator === '~=' || operator === '!~=') return { kind: 'pattern', source: this.pattern(operator) };
    const equality = operator === '==' || operator === '!=';
    const start = scanner.at;
    const first = this.value(operator);
    if (scanner.take('..')) {
      if (!equality) throw scanner.error(`a range goes with == and != only, not with '${operator}'`, start);
      const to = this.value('..');
      if (!isComparable(first) || !isComparable(to) || sortOf(first) !== sortOf(to)) {
        throw scanner.error('both ends of a range must be numbers, texts, dates or times, and of one kind', start);
      }
      return { kind: 'range', from: first, to };
    }
    if (scanner.peek() !== ',') {
      if (!equality && !isComparable(first))
        throw scanner.error(`a value that has an order is needed after '${operator}'`, start);
      return first;
    }
    if (!equality) throw scanner.error(`a list goes with == and != only, not with '${operator}'`, start);
    const of = [first];
    while (scanner.take(',')) {
      // The clause's examples have a space here.
      scanner.match(/\s+/y);
      of.push(this.value(','));
      if (of.length > limits().queryTerms) throw scanner.error(`more than ${limits().queryTerms} values in a list`);
    }
    return { kind: 'list', of };
  }

  value(after: string): Operand {
    const { scanner } = this;
    if (scanner.peek() === '"') return { kind: 'literal', value: this.quoted() };
    const start = scanner.at;
    // Dates before numbers, because both begin with digits; a number must not swallow the dots of a range.
    const moment = scanner.match(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:[.,]\d{1,6})?Z/y);
    if (moment !== undefined) {
      if (parseInstant(moment) === undefined) throw scanner.error(`${moment} is no DateTime`, start);
      return { kind: 'dateTime', value: moment };
    }
    const date = scanner.match(/\d{4}-\d\d-\d\d(?![\p{L}\p{N}:])/uy);
    if (date !== undefined) {
      if (!isCalendarDate(date)) throw scanner.error(`${date} is no Date`, start);
      return { kind: 'date', value: date };
    }
    const time = scanner.match(/\d\d:\d\d:\d\d(?:[.,]\d{1,6})?Z/y);
    if (time !== undefined) {
      if (parseTimeOfDay(time) === undefined) throw scanner.error(`${time} is no Time`, start);
      return { kind: 'time', value: time };
    }
    const number = scanner.match(/-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?(?=$|[;|),]|\.\.)/y);
    if (number !== undefined) {
      if (!Number.isFinite(Number(number))) throw scanner.error(`${number} is too large a number`, start);
      const exact = /^-?\d{16,}$/.test(number) && String(Number(number)) !== number;
      return { kind: 'literal', value: exact ? BigInt(number) : Number(number) };
    }
    const bare = scanner.match(/(?:[^;|()",.\s]|\.(?!\.))+/y);
    if (bare === undefined) throw scanner.error(`expected a value after '${after}'`);
    if (bare === 'true' || bare === 'false') return { kind: 'literal', value: bare === 'true' };
    return isIri(bare) ? { kind: 'uri', value: bare } : { kind: 'literal', value: bare };
  }

  /** A string of RFC 8259. */
  quoted(): string {
    const { scanner } = this;
    const start = scanner.at;
    const text = scanner.match(/"(?:[^"\\]|\\.)*"/sy);
    if (text === undefined) throw scanner.error('a text is not closed by a quotation mark', start);
    try {
      return JSON.parse(text) as string;
    } catch {
      throw scanner.error('a text is not a valid JSON string', start);
    }
  }

  /** In quotation marks, where only \" is an escape, or bare up to the next operator outside of brackets and parentheses. */
  pattern(operator: string): string {
    const { scanner } = this;
    const start = scanner.at;
    let source: string;
    if (scanner.peek() === '"') {
      const text = scanner.match(/"(?:[^"\\]|\\.)*"/sy);
      if (text === undefined) throw scanner.error('a pattern is not closed by a quotation mark', start);
      source = text.slice(1, -1).replaceAll('\\"', '"');
    } else {
      source = this.barePattern();
    }
    if (source === '') throw scanner.error(`expected a pattern after '${operator}'`, start);
    compilePattern(source);
    return source;
  }

  barePattern(): string {
    const { scanner } = this;
    const start = scanner.at;
    let open = 0;
    let inBrackets = false;
    for (; !scanner.atEnd; scanner.at += 1) {
      const character = scanner.peek();
      if (character === '\\') scanner.at += 1;
      else if (inBrackets) inBrackets = character !== ']';
      else if (character === '[') inBrackets = true;
      else if (character === '(') open += 1;
      else if (open === 0 && (character === ')' || character === ';' || character === '|')) break;
      else if (character === ')') open -= 1;
    }
    scanner.at = Math.min(scanner.at, scanner.text.length);
    return scanner.text.slice(start, scanner.at);
  }

  /** 4.9: the values of the attributes named in `expandValues` are terms. It is the first name that the client lists. */
  withExpansion(path: AttributePath, value: Operand): AttributePath {
    if (this.expanding.size === 0 || !this.expanding.has(path.names[0] as Iri)) return path;
    const expanded = this.expandOperand(value);
    const mark = (at: AttributePath): AttributePath =>
      at.linked === undefined ? { ...at, expanded } : { ...at, linked: { ...at.linked, path: mark(at.linked.path) } };
    return mark(path);
  }

  expandOperand(operand: Operand): Operand {
    if (operand.kind === 'list') return { kind: 'list', of: operand.of.map((one) => this.expandOperand(one)) };
    if (operand.kind === 'literal' && typeof operand.value === 'string') {
      return { kind: 'uri', value: this.context.expandTerm(operand.value) };
    }
    return operand.kind === 'uri' ? { kind: 'uri', value: this.context.expandTerm(operand.value) } : operand;
  }
}

/** ComparableValue of the grammar: numbers, texts, dates and times have an order; true, false and URIs have none. */
function isComparable(operand: Operand): boolean {
  return operand.kind === 'literal' ? typeof operand.value !== 'boolean' : operand.kind !== 'uri';
}

function sortOf(operand: Operand): string {
  if (operand.kind !== 'literal') return operand.kind;
  return typeof operand.value === 'bigint' ? 'number' : typeof operand.value;
}

/** The text of a condition: what {@link parseQ} reads. Negations and geoqueries have no text in 4.9. */
export function printQ(condition: Condition, name: (iri: Iri) => string): string {
  switch (condition.kind) {
    case 'and':
      return condition.of.map((one) => grouped(one, name, ['or', 'and'])).join(';');
    case 'or':
      return condition.of.map((one) => grouped(one, name, ['or'])).join('|');
    case 'exists':
      return printPath(condition.path, name);
    case 'compare':
      return `${printPath(condition.path, name)}${condition.operator}${printOperand(condition.value)}`;
    default:
      throw new TypeError(`A condition of kind ${condition.kind} has no text in the query language of 4.9`);
  }
}

function grouped(condition: Condition, name: (iri: Iri) => string, kinds: readonly string[]): string {
  const text = printQ(condition, name);
  return kinds.includes(condition.kind) ? `(${text})` : text;
}

function printOperand(operand: Operand): string {
  switch (operand.kind) {
    case 'literal':
      return JSON.stringify(operand.value);
    case 'list':
      return operand.of.map(printOperand).join(',');
    case 'range':
      return `${printOperand(operand.from)}..${printOperand(operand.to)}`;
    case 'pattern':
      return `"${operand.source.replaceAll('"', '\\"')}"`;
    default:
      return operand.value;
  }
}
