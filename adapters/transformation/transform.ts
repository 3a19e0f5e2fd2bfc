import { isObject, type JsonObject, type JsonValue } from '../../broker/ports/ingest.ts';
import { checkDepth } from '../reading.ts';
import type { CallResult, Sandbox } from './sandbox.ts';
import { compileTemplate, MissingValue, type OnMissing, type Template } from './template.ts';

/** A transformation document, read. */
export interface Transformation {
  /** Source of functions by name; a transformation by function has one, "code". */
  readonly functions: Readonly<Record<string, string>>;
  /** Absent: the result of "code" is the message. */
  readonly template?: Template;
}

export type Transformed =
  /** undefined: there is no message. */
  { readonly message: JsonValue | undefined; readonly warnings: readonly string[] } | { readonly error: string };

const MEMBERS = ['_id', 'template', 'functions', 'code', 'onMissing', 'description'];
const MOST_CODE = 64 * 1024;
const MOST_FUNCTIONS = 50;
const CODE = 'code';

/** Reads a document. @throws Error that says what of it cannot be used, and where */
export function readTransformation(document: JsonObject): Transformation {
  const unknown = Object.keys(document).find((member) => !MEMBERS.includes(member));
  if (unknown !== undefined) throw new Error(`${unknown}: there is no such member; there are ${MEMBERS.join(', ')}`);
  const { template, code, functions = {}, onMissing = 'omit' } = document;
  if ((template === undefined) === (code === undefined)) throw new Error('The document: must have either template or code');
  if (!['omit', 'null', 'error'].includes(String(onMissing))) throw new Error('onMissing: must be one of omit, null, error');
  if (code !== undefined) {
    if (document['functions'] !== undefined || document['onMissing'] !== undefined)
      throw new Error('functions and onMissing: belong to a template');
    return { functions: { [CODE]: source(code, CODE) } };
  }
  if (!isObject(functions)) throw new Error('functions: must be a JSON object');
  const sources = Object.entries(functions).map(([name, text]) => {
    if (!/^[A-Za-z_$][\w$]{0,63}$/.test(name)) throw new Error(`functions.${name.slice(0, 64)}: is not a name`);
    return [name, source(text as JsonValue, `functions.${name}`)] as const;
  });
  if (sources.length > MOST_FUNCTIONS) throw new Error(`functions: there may be ${MOST_FUNCTIONS}`);
  const own = new Set(sources.map(([name]) => name));
  return {
    functions: Object.fromEntries(sources),
    template: compileTemplate(template as JsonValue, own, onMissing as OnMissing),
  };
}

function source(text: JsonValue, at: string): string {
  if (typeof text !== 'string' || text.trim() === '') throw new Error(`${at}: must be the text of a JavaScript function`);
  if (text.length > MOST_CODE) throw new Error(`${at}: is longer than ${MOST_CODE / 1024} KiB`);
  return text;
}

/** Whether messages have to wait for the sandbox. */
export const needsSandbox = ({ functions }: Transformation): boolean => Object.keys(functions).length > 0;

/** A transformation without code of its own, at once. */
export function transformHere({ template }: Transformation, message: JsonValue): Transformed {
  return filled(template as Template, message, []);
}

/** A transformation with code. @param program tells this state of the document from all others */
export async function transformThere(
  { template, functions }: Transformation,
  program: string,
  message: JsonValue,
  sandbox: Sandbox,
): Promise<Transformed> {
  const calls = template === undefined ? [{ name: CODE, values: [message] }] : template.calls(message);
  const results = await sandbox.call(program, functions, calls);
  if (template !== undefined)
    return filled(
      template,
      message,
      results,
      calls.map(({ name }) => name),
    );
  const [result] = results;
  if (result === undefined || 'error' in result) return { error: result?.error ?? 'there is no result' };
  return checked({ message: result.value ?? undefined, warnings: [] });
}

function filled(
  template: Template,
  message: JsonValue,
  results: readonly CallResult[],
  names: readonly string[] = [],
): Transformed {
  // A function that fails costs its own value: one bad value never costs the others.
  const warnings = results.flatMap((result, at) => ('error' in result ? [`${names[at]}: ${result.error}`] : []));
  try {
    const values = results.map((result) => ('error' in result ? undefined : result.value));
    return checked({ message: template.fill(message, values), warnings });
  } catch (error) {
    if (error instanceof MissingValue) return { error: error.message };
    throw error;
  }
}

function checked(transformed: Extract<Transformed, { warnings: unknown }>): Transformed {
  try {
    checkDepth(transformed.message);
    return transformed;
  } catch (error) {
    return { error: (error as Error).message };
  }
}

/** What a transformation makes of a message, for whoever is writing it. */
export async function tryTransformation(
  document: JsonObject,
  program: string,
  message: JsonValue,
  sandbox: Sandbox,
): Promise<JsonObject> {
  const transformation = readTransformation(document);
  const started = performance.now();
  const made = needsSandbox(transformation)
    ? await transformThere(transformation, program, message, sandbox)
    : transformHere(transformation, message);
  const ms = Number((performance.now() - started).toFixed(2));
  if ('error' in made) return { error: made.error, ms };
  return { result: made.message ?? null, warnings: made.warnings, ms };
}
