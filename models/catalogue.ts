import { readdir, readFile } from 'node:fs/promises';

/** A data model as its folder models/<Subject>/<Type> says it. Names in it are those of its own @context. */
export interface DataModel {
  /** The IRI of the type: the `$id` of the schema. */
  readonly iri: string;
  /** The names of the folders: those of the subject and of the type. */
  readonly subject: string;
  readonly type: string;
  /** The URL of the @context that names of the model are taken from, as its example has it. */
  readonly context: string;
  /** JSON Schema 2020-12 of an entity in the simplified form (GS CIM 009, 4.5.4). May refer to the definitions of models/common.schema.json. */
  readonly schema: Readonly<Record<string, unknown>>;
  /** UN/CEFACT code by attribute: the unit that the model's numbers are in. */
  readonly units: Readonly<Record<string, string>>;
}

const HERE = new URL('./', import.meta.url);

let known: Promise<ReadonlyMap<string, DataModel>> | undefined;

/**
 * The models of this folder by the IRI of their type, read once, with their first use. A folder with a schema.json in it is a model; there is no list.
 * @throws Error if a file of a model is missing or is no JSON, with its name
 */
export function dataModels(): Promise<ReadonlyMap<string, DataModel>> {
  known ??= readModels();
  return known;
}

async function readModels(): Promise<ReadonlyMap<string, DataModel>> {
  const models = new Map<string, DataModel>();
  for (const subject of await foldersIn(HERE)) {
    const types = await foldersIn(new URL(`${subject}/`, HERE));
    for (const model of await Promise.all(types.map((type) => readModel(subject, type)))) {
      const other = models.get(model.iri);
      if (other)
        throw new Error(`models/${subject}/${model.type} and models/${other.subject}/${other.type} are both ${model.iri}`);
      models.set(model.iri, model);
    }
  }
  return models;
}

async function foldersIn(folder: URL): Promise<readonly string[]> {
  const entries = await readdir(folder, { withFileTypes: true });
  return entries.filter((entry) => entry.isDirectory()).map(({ name }) => name);
}

async function readModel(subject: string, type: string): Promise<DataModel> {
  const [schema, units, example] = await Promise.all(
    ['schema.json', 'units.json', 'example.json'].map((file) => readObject(`${subject}/${type}/${file}`)),
  );
  const iri = schema?.['$id'];
  const context = example?.['@context'];
  if (typeof iri !== 'string') throw new Error(`models/${subject}/${type}/schema.json has no $id`);
  if (typeof context !== 'string') throw new Error(`models/${subject}/${type}/example.json names no @context by its URL`);
  return { iri, subject, type, context, schema: schema ?? {}, units: units as Record<string, string> };
}

/** The definitions that schemas of models share. */
export const commonSchema = (): Promise<Readonly<Record<string, unknown>>> => readObject('common.schema.json');

async function readObject(path: string): Promise<Readonly<Record<string, unknown>>> {
  try {
    return JSON.parse(await readFile(new URL(path, HERE), 'utf8')) as Record<string, unknown>;
  } catch (error) {
    throw new Error(`models/${path}: ${(error as Error).message}`, { cause: error });
  }
}
