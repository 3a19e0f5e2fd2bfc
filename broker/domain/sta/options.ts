import { badRequest, DomainError } from '../errors.ts';
import type { Expression } from './filter/expression.ts';
import { parseFilter, parseOrder } from './filter/parse.ts';
import type { Model, SetName } from './model.ts';

export interface OrderKey {
  readonly by: Expression;
  readonly descending: boolean;
}

export const RESULT_FORMATS = ['dataArray', 'CSV', 'GeoJSON'] as const;
export type ResultFormat = (typeof RESULT_FORMATS)[number];
export const METADATA = ['full', 'minimal', 'none', 'off'] as const;
export type ResultMetadata = (typeof METADATA)[number];

/** What a request asks of a collection or an entity (18-088, 9.3). */
export interface Options {
  readonly filter?: Expression;
  readonly order?: readonly OrderKey[];
  readonly top?: number;
  readonly skip?: number;
  readonly count?: boolean;
  /** Names of properties and links, `properties/a/b` for a part of one. */
  readonly select?: readonly string[];
  readonly expand?: readonly Expansion[];
  readonly format?: ResultFormat;
  readonly metadata?: ResultMetadata;
  /** Where the page before ended: made by us, opaque to others. */
  readonly token?: string;
  /** All of it as it was written, for links to the next page. */
  readonly written?: readonly (readonly [name: string, value: string])[];
}

/** One link to be written out. */
export interface Expansion {
  readonly link: string;
  readonly options: Options;
}

/** How deep expansions may nest. */
const DEPTH = 8;

/**
 * Reads the query part of a URL, without the question mark. Parameters that do not begin with $ are for others and passed over.
 * @throws DomainError BadRequestData that names the option and what is wrong; OperationNotSupported (501) for an option nobody knows
 */
export function parseOptions(query: string, set: SetName, model: Model): Options {
  const pairs: [string, string][] = [];
  for (const pair of splitOutside(query, '&')) {
    if (pair === '' || pair === '?') continue;
    const at = pair.indexOf('=');
    const name = decoded(at < 0 ? pair : pair.slice(0, at)).replace(/^\?/, '');
    if (name.startsWith('$')) pairs.push([name, at < 0 ? '' : decoded(pair.slice(at + 1))]);
  }
  return read(pairs, set, model, 0);
}

/** Decodes percent-encoding; a plus is a space in a query. @throws DomainError BadRequestData */
export function decoded(text: string): string {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '));
  } catch {
    throw badRequest(`"${text.slice(0, 80)}" is not properly percent-encoded`);
  }
}

function read(pairs: readonly (readonly [string, string])[], set: SetName, model: Model, depth: number): Options {
  const options: { -readonly [K in keyof Options]: Options[K] } = { written: pairs };
  const seen = new Set<string>();
  for (const [given, value] of pairs) {
    const name = given.toLowerCase();
    if (seen.has(name)) throw badRequest(`${given} is there twice`);
    seen.add(name);
    switch (name) {
      case '$filter':
        options.filter = parseFilter(value);
        break;
      case '$orderby':
        options.order = parseOrder(value);
        break;
      case '$top':
        options.top = whole(given, value);
        break;
      case '$skip':
        options.skip = whole(given, value);
        break;
      case '$count':
        if (value.toLowerCase() !== 'true' && value.toLowerCase() !== 'false') {
          throw badRequest(`$count must be true or false, not "${value}"`);
        }
        options.count = value.toLowerCase() === 'true';
        break;
      case '$select':
        options.select = selection(value, set, model);
        break;
      case '$expand':
        options.expand = expansions(value, set, model, depth);
        break;
      case '$resultformat':
        options.format = oneOf(given, value, RESULT_FORMATS);
        break;
      case '$resultmetadata':
        options.metadata = oneOf(given, value, METADATA);
        break;
      case '$skiptoken':
        options.token = value;
        break;
      default:
        throw new DomainError('OperationNotSupported', `This service has no query option ${given}`, { status: 501 });
    }
  }
  return options;
}

function whole(name: string, value: string): number {
  if (!/^\d{1,15}$/.test(value.trim())) throw badRequest(`${name} must be a whole number of 0 or more, not "${value}"`);
  return Number(value);
}

function oneOf<T extends string>(name: string, value: string, values: readonly T[]): T {
  const found = values.find((known) => known.toLowerCase() === value.toLowerCase());
  if (found === undefined) throw badRequest(`${name} must be one of ${values.join(', ')}, not "${value}"`);
  return found;
}

function selection(text: string, set: SetName, model: Model): readonly string[] {
  return text.split(',').map((item) => {
    const name = item.trim();
    const first = name.split('/', 1)[0] as string;
    const known = first === 'id' || first === '@iot.id' || first === '@iot.selfLink' || first === 'selfLink';
    if (!known && model.property(set, first) === undefined && model.link(set, first) === undefined) {
      throw badRequest(`$select names "${name}", which ${set} do not have`);
    }
    return name;
  });
}

function expansions(text: string, set: SetName, model: Model, depth: number): readonly Expansion[] {
  if (depth >= DEPTH) throw badRequest(`$expand is nested deeper than ${DEPTH} levels`);
  const found: Expansion[] = [];
  for (const item of splitOutside(text, ',')) add(found, expansion(item.trim(), set, model, depth));
  return found;
}

function expansion(text: string, set: SetName, model: Model, depth: number): Expansion {
  const open = text.indexOf('(');
  const path = (open < 0 ? text : text.slice(0, open)).trim();
  if (open >= 0 && !text.endsWith(')')) throw badRequest(`$expand: "${text.slice(0, 80)}" lacks its closing parenthesis`);
  const [first, ...rest] = path.split('/') as [string, ...string[]];
  const link = model.link(set, first);
  if (link === undefined) throw badRequest(`$expand names "${first}", which is not a link of ${set}`);
  if (rest.length > 0) {
    const behind = `${rest.join('/')}${open < 0 ? '' : text.slice(open)}`;
    const expand = expansions(behind, link.to, model, depth + 1);
    return { link: first, options: { expand, written: [['$expand', behind]] } };
  }
  if (open < 0) return { link: first, options: {} };
  const pairs = splitOutside(text.slice(open + 1, -1), ';')
    .filter((pair) => pair.trim() !== '')
    .map((pair): [string, string] => {
      const at = pair.indexOf('=');
      return at < 0 ? [pair.trim(), ''] : [pair.slice(0, at).trim(), pair.slice(at + 1).trim()];
    });
  return { link: first, options: read(pairs, link.to, model, depth + 1) };
}

/** The same link twice (A/B,A/C) is one with both inside. */
function add(found: Expansion[], expansion: Expansion): void {
  const at = found.findIndex(({ link }) => link === expansion.link);
  const known = found[at];
  if (known === undefined) {
    found.push(expansion);
    return;
  }
  const expand: Expansion[] = [...(known.options.expand ?? [])];
  for (const inner of expansion.options.expand ?? []) add(expand, inner);
  const all = [known.options, expansion.options].flatMap(({ written = [] }) => written);
  const behind = all.filter(([name]) => name.toLowerCase() === '$expand').map(([, value]) => value);
  const written: (readonly [string, string])[] = all.filter(([name]) => name.toLowerCase() !== '$expand');
  if (behind.length > 0) written.push(['$expand', behind.join(',')]);
  const options = { ...known.options, ...expansion.options, written };
  found[at] = { link: known.link, options: expand.length > 0 ? { ...options, expand } : options };
}

/** Splits where the separator is neither in parentheses nor in quotes. */
export function splitOutside(text: string, separator: string): string[] {
  const parts: string[] = [];
  let depth = 0;
  let quoted = false;
  let start = 0;
  for (let at = 0; at < text.length; at++) {
    const character = text[at];
    if (character === "'") quoted = !quoted;
    else if (quoted) continue;
    else if (character === '(') depth++;
    else if (character === ')') depth--;
    else if (character === separator && depth <= 0) {
      parts.push(text.slice(start, at));
      start = at + 1;
    }
  }
  parts.push(text.slice(start));
  return parts;
}
