import { isObject, type JsonObject, type JsonValue } from '../../broker/ports/ingest.ts';
import { FUNCTIONS } from './functions.ts';
import { type Path, parsePath, valueAt } from './path.ts';

/** What becomes of a member whose placeholder finds nothing. */
export type OnMissing = 'omit' | 'null' | 'error';

/** A call of a function of the operator's: it runs in the sandbox. */
export interface Call {
  readonly name: string;
  readonly values: readonly (JsonValue | null)[];
}

/** A JSON template with its placeholders found: `{{path}}` in texts, and texts that are `=> function(arguments)`. */
export interface Template {
  /** The calls of own functions that this message needs, in the order in which {@link fill} takes their results. */
  calls(message: JsonValue): readonly Call[];
  /**
   * @param results of the calls, in their order
   * @throws MissingValue if a placeholder finds nothing and the template wants to hear of it
   */
  fill(message: JsonValue, results: readonly (JsonValue | undefined)[]): JsonValue | undefined;
}

export class MissingValue extends Error {}

type Argument = { readonly path: Path } | { readonly value: JsonValue };
type Node =
  | { readonly kind: 'constant'; readonly value: JsonValue }
  | { readonly kind: 'value'; readonly path: Path; readonly text: string }
  | { readonly kind: 'text'; readonly parts: readonly (string | { readonly path: Path; readonly text: string })[] }
  | {
      readonly kind: 'call';
      readonly name: string;
      readonly values: readonly Argument[];
      readonly own: boolean;
      readonly text: string;
    }
  | { readonly kind: 'list'; readonly items: readonly Node[] }
  | { readonly kind: 'object'; readonly members: readonly (readonly [string, Node])[] };

const MOST = { depth: 16, nodes: 1000 } as const;
/** A placeholder, or two braces that stand for themselves. */
const PLACEHOLDER = /\\\{\{|\{\{([^{}]*)\}\}/g;
const CALL = /^=>\s*([A-Za-z_$][\w$]*)\s*\(([\s\S]*)\)\s*$/;

/**
 * @param own names of functions that the document defines
 * @throws Error that says where which placeholder cannot be used
 */
export function compileTemplate(template: JsonValue, own: ReadonlySet<string>, onMissing: OnMissing): Template {
  let nodes = 0;
  const root = compile(template, 'template', 0);
  const calling = hasOwnCalls(root);

  function compile(value: JsonValue, at: string, depth: number): Node {
    if (++nodes > MOST.nodes || depth > MOST.depth) throw new Error(`${at}: the template is too large`);
    if (typeof value === 'string') return compileText(value, at);
    if (Array.isArray(value)) {
      return { kind: 'list', items: value.map((item: JsonValue, index) => compile(item, `${at}[${index}]`, depth + 1)) };
    }
    if (!isObject(value)) return { kind: 'constant', value };
    return {
      kind: 'object',
      members: Object.entries(value).map(
        ([name, member]) => [name, compile(member as JsonValue, `${at}.${name}`, depth + 1)] as const,
      ),
    };
  }

  function compileText(text: string, at: string): Node {
    if (text.startsWith('=>')) return compileCall(text, at);
    const parts: (string | { path: Path; text: string })[] = [];
    let end = 0;
    for (const found of text.matchAll(PLACEHOLDER)) {
      if (found.index > end) parts.push(text.slice(end, found.index));
      end = found.index + found[0].length;
      if (found[1] === undefined) {
        parts.push('{{');
        continue;
      }
      const path = parsePath(found[1]);
      if (path === undefined) throw new Error(`${at}: ${found[0]} is not a path such as {{a.b[0]}}`);
      parts.push({ path, text: found[1].trim() });
    }
    if (end < text.length) parts.push(text.slice(end));
    const [only] = parts;
    if (parts.length === 1 && typeof only === 'object') return { kind: 'value', ...only };
    if (parts.every((part) => typeof part === 'string')) return { kind: 'constant', value: parts.join('') };
    return { kind: 'text', parts };
  }

  function compileCall(text: string, at: string): Node {
    const [, name, list] = CALL.exec(text) ?? [];
    if (name === undefined || list === undefined)
      throw new Error(`${at}: a call is written "=> function(path, 1, \\"text\\")"`);
    const isOwn = own.has(name);
    if (!isOwn && !Object.hasOwn(FUNCTIONS, name))
      throw new Error(
        `${at}: there is no function "${name}"; there are ${Object.keys(FUNCTIONS).join(', ')}, and those in functions`,
      );
    const values = splitArguments(list).map((argument): Argument => {
      const literal = literalOf(argument);
      if (literal !== undefined) return { value: literal };
      const path = parsePath(argument);
      if (path === undefined)
        throw new Error(`${at}: ${argument.slice(0, 64)} is neither a path nor a number nor a quoted text`);
      return { path };
    });
    return { kind: 'call', name, values, own: isOwn, text };
  }

  function evaluated(argument: Argument, message: JsonValue): JsonValue | undefined {
    return 'path' in argument ? valueAt(message, argument.path) : argument.value;
  }

  return {
    calls(message) {
      const calls: Call[] = [];
      const visit = (node: Node): void => {
        if (node.kind === 'list') node.items.forEach(visit);
        else if (node.kind === 'object') for (const [, member] of node.members) visit(member);
        else if (node.kind === 'call' && node.own)
          calls.push({ name: node.name, values: node.values.map((value) => evaluated(value, message) ?? null) });
      };
      if (calling) visit(root);
      return calls;
    },
    fill(message, results) {
      let taken = 0;
      const missing = (text: string): undefined | null => {
        if (onMissing === 'error') throw new MissingValue(`the message has no ${text.slice(0, 64)}`);
        return onMissing === 'null' ? null : undefined;
      };
      const make = (node: Node): JsonValue | undefined => {
        switch (node.kind) {
          case 'constant':
            return node.value;
          case 'value':
            return valueAt(message, node.path) ?? missing(node.text);
          case 'text': {
            let text = '';
            for (const part of node.parts) {
              if (typeof part === 'string') text += part;
              else {
                const value = valueAt(message, part.path);
                if (value === undefined || value === null) return missing(part.text);
                text += typeof value === 'object' ? JSON.stringify(value) : String(value);
              }
            }
            return text;
          }
          case 'call': {
            const result = node.own
              ? results[taken++]
              : (FUNCTIONS[node.name] as (typeof FUNCTIONS)[string])(...node.values.map((value) => evaluated(value, message)));
            return result ?? missing(`result of ${node.text}`);
          }
          case 'list':
            return node.items.flatMap((item) => make(item) ?? (onMissing === 'null' ? [null] : []));
          case 'object': {
            const made: Record<string, JsonValue> = {};
            for (const [name, member] of node.members) {
              const value = make(member);
              // A member called __proto__ is a member like any other.
              if (value !== undefined)
                Object.defineProperty(made, name, { value, enumerable: true, writable: true, configurable: true });
            }
            return made as JsonObject;
          }
        }
      };
      return make(root);
    },
  };
}

function hasOwnCalls(node: Node): boolean {
  if (node.kind === 'list') return node.items.some(hasOwnCalls);
  if (node.kind === 'object') return node.members.some(([, member]) => hasOwnCalls(member));
  return node.kind === 'call' && node.own;
}

/** Arguments between commas that stand in no quotes, braces or brackets. */
function splitArguments(text: string): string[] {
  const found: string[] = [];
  let depth = 0;
  let quote = '';
  let start = 0;
  for (let at = 0; at < text.length; at++) {
    const one = text[at] as string;
    if (quote !== '') {
      if (one === '\\') at++;
      else if (one === quote) quote = '';
    } else if (one === '"' || one === "'") quote = one;
    else if ('{['.includes(one)) depth++;
    else if ('}]'.includes(one)) depth--;
    else if (one === ',' && depth === 0) {
      found.push(text.slice(start, at).trim());
      start = at + 1;
    }
  }
  const last = text.slice(start).trim();
  return last === '' && found.length === 0 ? [] : [...found, last];
}

/** A number, text in quotes, true, false, null, or an object or array as JSON; undefined: none of these. */
function literalOf(text: string): JsonValue | undefined {
  const json = text.startsWith("'") && text.endsWith("'") && text.length > 1 ? JSON.stringify(text.slice(1, -1)) : text;
  if (!/^(-?\d|"|\{|\[|true$|false$|null$)/.test(json)) return undefined;
  try {
    return JSON.parse(json) as JsonValue;
  } catch {
    return undefined;
  }
}
