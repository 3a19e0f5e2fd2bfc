import { readdirSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { JsonValue } from '../../broker/domain/json.ts';
import { unitOfMeasurement } from '../../broker/domain/sta/lens/units.ts';
import { contextResolver } from '../../broker/operations/contexts/resolve.ts';
import { bundledContext } from '../../contexts/index.ts';
import { commonSchema, type DataModel, dataModels } from '../../models/catalogue.ts';
import { modelValidator } from '../../models/validate.ts';
import type { TestBroker } from '../support/broker.ts';
import { CORE, DEFAULT_VOCABULARY, offlineDocument } from '../support/contexts.ts';
import { brokerForModels, fileOf, seenAs } from './seen-as.ts';

const models = [...(await dataModels()).values()];
const contexts = await contextResolver({ coreUrl: CORE, load: offlineDocument });
const resolve = (model: DataModel) => contexts.resolve(model.context as JsonValue);

/** Names that models take from the core context of NGSI-LD, or from what all of NGSI-LD shares. */
const OF_THE_CORE = /^(?:https:\/\/uri\.etsi\.org\/ngsi-ld\/|http:\/\/purl\.org\/dc\/terms\/(?:title|description)$)/;

type Properties = { readonly properties?: Record<string, unknown> };

/** The attributes that a model speaks of: its own, and those that all have. */
async function attributesOf({ schema }: DataModel): Promise<readonly string[]> {
  const { $defs } = (await commonSchema()) as { $defs: { anyEntity: Properties } };
  const names = [...Object.keys($defs.anyEntity.properties ?? {}), ...Object.keys((schema as Properties).properties ?? {})];
  return names.filter((name) => name !== 'id' && name !== 'type');
}

describe('the folder of models', () => {
  it('is read without a list: every folder with two names is a model, and lies under the name of its type', () => {
    const root = new URL('../../models/', import.meta.url);
    const folders = (at: URL) =>
      readdirSync(at, { withFileTypes: true }).flatMap((one) => (one.isDirectory() ? [one.name] : []));
    const found = folders(root).flatMap((subject) => folders(new URL(`${subject}/`, root)).map((type) => `${subject}/${type}`));
    expect(models.map(({ subject, type }) => `${subject}/${type}`).sort()).toEqual(found.sort());
    expect(models.map(({ iri }) => iri).sort()).toEqual(
      models.map(({ subject, type }) => `https://smartdatamodels.org/dataModel.${subject}/${type}`).sort(),
    );
  });
});

let broker: TestBroker;
beforeAll(async () => {
  broker = await brokerForModels();
});
afterAll(() => broker[Symbol.asyncDispose]());

describe.each(models.map((model) => [model.type, model] as const))('model %s', (_name, model) => {
  it('has a @context that the broker brings along, which gives type and attributes their published names', async () => {
    expect(await bundledContext(model.context)).toBeDefined();
    const context = await resolve(model);
    expect(context.expandTerm(model.type)).toBe(model.iri);
    const wrong = (await attributesOf(model))
      .map((name) => [name, context.expandTerm(name)] as const)
      .filter(([name, iri]) => {
        const published = [
          `https://smartdatamodels.org/dataModel.${model.subject}/${name}`,
          `https://smartdatamodels.org/${name}`,
        ];
        return iri.startsWith(DEFAULT_VOCABULARY) || !(published.includes(iri) || OF_THE_CORE.test(iri));
      });
    expect(wrong).toEqual([]);
  });

  it('has a schema that accepts its example, and refuses the example without what it requires or with another type', async () => {
    const validate = await modelValidator(model.schema);
    const { '@context': _, ...example } = fileOf(model, 'example.key-values.json');
    expect(validate(example)).toEqual([]);
    const required = (model.schema as { required?: string[] }).required ?? [];
    for (const name of required) {
      const { [name]: __, ...less } = example;
      expect(validate(less)).toContainEqual({
        path: `/${name}`,
        rule: 'required',
        message: `must have required property '${name}'`,
      });
    }
    expect(validate({ ...example, type: 'SomethingElse' }).map(({ path }) => path)).toEqual(['/type']);
    const partial = await modelValidator(model.schema, { whole: false });
    expect(partial({ id: example['id'], type: model.type })).toEqual([]);
  });

  it('says units of numbers it has, with codes that the broker knows and in which its example is', async () => {
    const example = fileOf(model, 'example.json') as Record<string, { value?: unknown; unitCode?: string }>;
    const attributes = await attributesOf(model);
    for (const [name, code] of Object.entries(model.units)) {
      expect(attributes).toContain(name);
      expect([name, code, unitOfMeasurement(code)['definition']]).toEqual([name, code, expect.stringContaining('UCUM')]);
      if (example[name] !== undefined) expect([name, example[name]?.unitCode]).toEqual([name, code]);
    }
    for (const [name, { unitCode }] of Object.entries(example)) {
      if (unitCode !== undefined) expect([name, model.units[name]]).toEqual([name, unitCode]);
    }
  });

  it('is what its pair says once it is stored: key-values through NGSI-LD, Things with Datastreams and Observations through SensorThings', async () => {
    const { keyValues, things } = await seenAs(broker, model);
    const { '@context': _, ...expected } = fileOf(model, 'example.key-values.json');
    expect(keyValues).toEqual(expected);
    expect(things).toEqual(fileOf(model, 'example.sta.json'));
  });
});
