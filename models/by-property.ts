import { type DataModel, dataModels } from './catalogue.ts';
import { modelValidator } from './validate.ts';

/** What values the properties of a model may have, judged one by one: a device tells one part of an entity at a time. */
export interface PropertyModel {
  /** What is wrong with the value of a property, as the end of a sentence; undefined: nothing, or the model says nothing about it. */
  wrong(property: string, value: unknown): string | undefined;
}

const compiled = new Map<string, Promise<PropertyModel>>();

/** The types of the models that there are, sorted. */
export async function modelNames(): Promise<readonly string[]> {
  return [...(await dataModels()).values()].map(({ type }) => type).sort();
}

/**
 * A model by the IRI or the name of its type; compiled once.
 * @returns undefined if there is none @throws Error if two have that name, or its schema cannot be used
 */
export async function propertyModel(name: string): Promise<PropertyModel | undefined> {
  const models = await dataModels();
  const byIri = models.get(name);
  const [found, other] = byIri === undefined ? [...models.values()].filter(({ type }) => type === name) : [byIri];
  if (other !== undefined) throw new Error(`there are ${found?.iri} and ${other.iri}`);
  if (found === undefined) return undefined;
  let model = compiled.get(found.iri);
  if (model === undefined) {
    model = compile(found);
    compiled.set(found.iri, model);
  }
  return model;
}

async function compile({ schema }: DataModel): Promise<PropertyModel> {
  const validate = await modelValidator(schema, { whole: false });
  return {
    wrong(property, value) {
      const at = `/${property.replaceAll('~', '~0').replaceAll('/', '~1')}`;
      // Members that the model asks for beside this one are not the business of its value.
      const fault = validate({ [property]: value }).find(({ path }) => path === at || path.startsWith(`${at}/`));
      return fault && `${fault.path === at ? 'it' : fault.path.slice(at.length + 1)} ${fault.message}`;
    },
  };
}
