import { syntax } from '../device-document.ts';
import { type Iri, isIri } from '../iri.ts';
import { isObject, type JsonObject, type JsonValue } from '../json.ts';
import { evaluateFormula, type Formula, type Placeholder, parseFormula, placeholdersOf } from './formula.ts';
import { reader, SHOWN_MEMBERS } from './read.ts';

export type Reference = Extract<Placeholder, { kind: 'reference' }>;

/** An entity whose attributes are calculated from others, as an operator wrote it down. */
export interface VirtualSensor {
  readonly name: string;
  /** The entity that it writes to, and its type, if it does not exist yet. */
  readonly id: Iri;
  readonly type: string;
  /** Calculated in this order; each may use those before it. */
  readonly vars: readonly (readonly [string, Formula])[];
  /** Attributes as NGSI-LD has them (4.5.1, or concise), texts are formulas. */
  readonly template: Filled;
  /** Every `windowSeconds` with what is known, instead of when all inputs have come within `windowSeconds`. */
  readonly poll: boolean;
  readonly windowSeconds: number;
  readonly jsonLdContext: JsonValue | undefined;
  readonly enabled: boolean;
  /** What it is calculated from, each once. */
  readonly references: readonly Reference[];
}

/** A template with its formulas found. */
type Filled =
  | { readonly kind: 'constant'; readonly value: JsonValue }
  | { readonly kind: 'formula'; readonly formula: Formula }
  | { readonly kind: 'list'; readonly items: readonly Filled[] }
  | { readonly kind: 'object'; readonly members: readonly (readonly [string, Filled])[] };

const MEMBERS = ['id', 'type', 'vars', 'template', 'poll', 'window', 'jsonLdContext', 'enabled', ...SHOWN_MEMBERS];
const MOST = { vars: 100, references: 200, depth: 8, window: 86_400 } as const;

/** Reads a virtual sensor. @throws ProvisioningError WRONG_SYNTAX naming the place */
export function readVirtualSensor(name: string, body: JsonValue): VirtualSensor {
  const read = reader(body);
  read.only(...MEMBERS);
  const id = read.text('id');
  if (id === undefined || !isIri(id)) throw syntax('id: must be the IRI of the entity that is calculated');
  const type = read.text('type');
  if (type === undefined) throw syntax('type: must be the type of the entity');
  const references = new Map<string, Reference>();
  const known = new Set<string>();
  const check = (formula: Formula, at: string): Formula => {
    for (const one of placeholdersOf(formula)) {
      if (one.kind === 'variable' && !known.has(one.name)) throw syntax(`${at}: there is no variable ${one.name} before it`);
      if (one.kind !== 'reference') continue;
      if (!isIri(one.entity)) throw syntax(`${at}: ${one.entity} is not the IRI of an entity`);
      references.set(JSON.stringify([one.entity, one.path[0]]), one);
    }
    return formula;
  };
  const parse = (text: string, at: string): Formula => {
    try {
      return check(parseFormula(text), at);
    } catch (error) {
      throw syntax((error as Error).message.startsWith(at) ? (error as Error).message : `${at}: ${(error as Error).message}`);
    }
  };

  const vars: (readonly [string, Formula])[] = [];
  const given = read.any('vars') ?? {};
  if (!isObject(given)) throw syntax('vars: must be a JSON object');
  for (const [variable, value] of Object.entries(given)) {
    const at = `vars.${variable}`;
    if (!/^[A-Za-z_]\w*$/.test(variable) || variable === 'timestamp') throw syntax(`${at}: is not a name`);
    if (typeof value !== 'number' && typeof value !== 'string') throw syntax(`${at}: must be a number or a text`);
    vars.push([variable, typeof value === 'number' ? number(value) : parse(value, at)]);
    known.add(variable);
  }
  if (vars.length > MOST.vars) throw syntax(`vars: there may be ${MOST.vars}`);
  const template = read.any('template');
  if (!isObject(template) || Object.keys(template).length === 0) throw syntax('template: must be an object of attributes');
  const filled = compile(template, 'template', parse, 0);
  if (references.size === 0) throw syntax('template: refers to no {entity>attribute}');
  if (references.size > MOST.references) throw syntax(`template: refers to more than ${MOST.references} attributes`);
  return {
    name,
    id: id as Iri,
    type,
    vars,
    template: filled,
    poll: read.flag('poll') ?? false,
    windowSeconds: read.number('window', { above: 0, to: MOST.window }) ?? 10,
    jsonLdContext: read.any('jsonLdContext'),
    enabled: read.flag('enabled') ?? true,
    references: [...references.values()],
  };
}

const number = (value: number): Formula => ({ kind: 'expression', tree: { kind: 'number', value } });

function compile(value: JsonValue, at: string, parse: (text: string, at: string) => Formula, depth: number): Filled {
  if (depth > MOST.depth) throw syntax(`${at}: is nested too deeply`);
  // A text without placeholders is what it is: "59" is a unit code.
  if (typeof value === 'string')
    return value.includes('{') ? { kind: 'formula', formula: parse(value, at) } : { kind: 'constant', value };
  if (Array.isArray(value))
    return { kind: 'list', items: value.map((item: JsonValue, index) => compile(item, `${at}[${index}]`, parse, depth + 1)) };
  if (!isObject(value)) return { kind: 'constant', value };
  return {
    kind: 'object',
    members: Object.entries(value).map(
      ([name, member]) => [name, compile(member as JsonValue, `${at}.${name}`, parse, depth + 1)] as const,
    ),
  };
}

/**
 * The attributes that the sensor has now.
 * @param timestamp the time of the result, ISO 8601
 * @param valueOf the value of a reference, defaults included; throws NoResult if there is none
 * @throws NoResult
 */
export function renderSensor(
  { vars, template }: Pick<VirtualSensor, 'vars' | 'template'>,
  timestamp: string,
  referenced: (one: Reference) => JsonValue,
): JsonObject {
  const variables = new Map<string, JsonValue>();
  const resolve = (one: Placeholder): JsonValue => {
    if (one.kind === 'timestamp') return timestamp;
    return one.kind === 'variable' ? (variables.get(one.name) as JsonValue) : referenced(one);
  };
  for (const [name, formula] of vars) variables.set(name, evaluateFormula(formula, resolve));
  const fill = (node: Filled): JsonValue => {
    switch (node.kind) {
      case 'constant':
        return node.value;
      case 'formula':
        return evaluateFormula(node.formula, resolve);
      case 'list':
        return node.items.map(fill);
      case 'object':
        return Object.fromEntries(node.members.map(([name, member]) => [name, fill(member)]));
    }
  };
  return fill(template) as JsonObject;
}
