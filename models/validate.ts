import { Ajv2020, type ErrorObject, type ValidateFunction } from 'ajv/dist/2020.js';
import formats from 'ajv-formats';
import { commonSchema } from './catalogue.ts';

/** One thing that an entity does not have as its model wants it. */
export interface ModelFault {
  /** Where: a JSON Pointer into the simplified entity, with names of the model. A missing attribute is pointed at as if it were there. */
  readonly path: string;
  /** The keyword of JSON Schema that is not met: `required`, `minimum`, `enum` … */
  readonly rule: string;
  /** What is so, in words, with what would be allowed. */
  readonly message: string;
}

/** @returns what is wrong with an entity in the simplified form; empty if nothing is */
export type ModelValidator = (entity: unknown) => readonly ModelFault[];

export interface ValidatorOptions {
  /** False: the entity may lack what the model requires, as what a partial update brings does. Default true. */
  readonly whole?: boolean;
}

/**
 * Compiles the schema of a model (median below 30 ms; an entity is then checked within microseconds). Formats are asserted. Keywords that are not known are left alone.
 * @throws Error if the schema is none, or refers to what is neither in it nor in models/common.schema.json
 */
export async function modelValidator(
  schema: Readonly<Record<string, unknown>>,
  { whole = true }: ValidatorOptions = {},
): Promise<ModelValidator> {
  // An instance of its own: models of a city may use an $id twice.
  const ajv = new Ajv2020({ strict: false, allErrors: true });
  (formats as unknown as (ajv: Ajv2020) => void)(ajv);
  ajv.addSchema(await commonSchema());
  const { required, ...partial } = schema;
  const check: ValidateFunction = ajv.compile(whole ? schema : partial);
  return (entity) => (check(entity) ? [] : telling(check.errors ?? []).map(fault));
}

/** Where a value fits none of several shapes, what each of them has against it is noise: that it fits none stays. */
function telling(errors: readonly ErrorObject[]): readonly ErrorObject[] {
  const isChoice = ({ keyword, instancePath }: ErrorObject) =>
    instancePath !== '' && (keyword === 'anyOf' || keyword === 'oneOf');
  const choices = errors.filter(isChoice).map(({ instancePath }) => instancePath);
  const within = (path: string) => choices.some((choice) => path === choice || path.startsWith(`${choice}/`));
  const outermost = (path: string) => !choices.some((choice) => path.startsWith(`${choice}/`));
  return errors.filter((error) => (isChoice(error) ? outermost(error.instancePath) : !within(error.instancePath)));
}

function fault({ instancePath, keyword, message, params }: ErrorObject): ModelFault {
  const missing =
    keyword === 'required' ? `/${String(params['missingProperty']).replaceAll('~', '~0').replaceAll('/', '~1')}` : '';
  const allowed = keyword === 'enum' ? `: ${(params['allowedValues'] as unknown[]).join(', ')}` : '';
  return { path: instancePath + missing, rule: keyword, message: `${message ?? 'is not as the model wants it'}${allowed}` };
}
