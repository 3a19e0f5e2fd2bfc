import { type AttributeInstance, instanceValue } from '../../domain/attribute.ts';
import type { KnownDevice } from '../../domain/device.ts';
import { syntax } from '../../domain/device-document.ts';
import type { Iri, TenantId } from '../../domain/iri.ts';
import type { JsonObject, JsonValue } from '../../domain/json.ts';
import { reader, SHOWN_MEMBERS } from '../../domain/processing/read.ts';
import type { Model, ModelCatalogue } from '../../ports/models.ts';
import type { ProcessingRecords } from './records.ts';
import { QUALITY, shortName, withQuality } from './rules.ts';

/** What is done with values of one entity type that do not suit its model. */
export interface ValidationSetting {
  /** Entity type as devices are provisioned with it: a short name, or an IRI. */
  readonly type: string;
  readonly mode: 'off' | 'flag' | 'reject';
  readonly model: Model;
}

export interface DeviceValidation {
  /** undefined: nothing is known against the instance. */
  check(types: readonly Iri[], name: Iri, instance: AttributeInstance): Validated | undefined;
}

interface Validated {
  /** undefined: it is not to be stored. */
  readonly instance: AttributeInstance | undefined;
  readonly refused: readonly string[];
}

export interface Validation {
  readonly active: boolean;
  /** undefined: nothing that this device says is validated. */
  of(known: KnownDevice): DeviceValidation | undefined;
}

/** Where Smart Data Models have their names, whatever the @context of the device is. */
const SMART_DATA_MODELS = 'https://smartdatamodels.org/';

/** Reads the setting of a type. @throws ProvisioningError WRONG_SYNTAX naming the place */
export async function readValidation(models: ModelCatalogue, type: string, body: JsonValue): Promise<ValidationSetting> {
  const read = reader(body);
  read.only('mode', 'model', ...SHOWN_MEMBERS);
  const mode = read.choice('mode', ['off', 'flag', 'reject'] as const);
  if (mode === undefined) throw syntax('mode: must be one of off, flag, reject');
  const named = read.text('model');
  const name = named ?? shortName(type as Iri);
  let model: Model | undefined;
  try {
    model = (named === undefined ? await models.load(type) : undefined) ?? (await models.load(name));
  } catch (error) {
    throw syntax(`model: ${name} cannot be used: ${(error as Error).message}`);
  }
  if (model === undefined)
    throw syntax(`model: there is no model "${name.slice(0, 64)}"; there are ${(await models.names()).join(', ')}`);
  return { type, mode, model };
}

export function modelValidation(
  settings: ProcessingRecords<ValidationSetting>,
  counts: (tenant: TenantId, type: string) => { flagged: number; rejected: number },
): Validation {
  return {
    get active() {
      return settings.any;
    },
    of(known) {
      const own = settings.of(known.tenant).filter(({ read }) => read.mode !== 'off');
      if (own.length === 0) return undefined;
      const byType = new Map(own.map(({ read }) => [known.expand(read.type), read]));
      const properties = new Map<Iri, string | undefined>();
      const quality = known.expand('quality');
      /** The name that a model has for an attribute; undefined: the attribute is none of a model. */
      const propertyOf = (name: Iri): string | undefined => {
        if (properties.has(name)) return properties.get(name);
        const short = shortName(name);
        let property: string | undefined;
        try {
          property = name.startsWith(SMART_DATA_MODELS) || known.expand(short) === name ? short : undefined;
        } catch {
          property = undefined;
        }
        if (properties.size >= 1000) properties.clear();
        properties.set(name, property);
        return property;
      };
      return {
        check(types, name, instance) {
          for (const type of types) {
            const setting = byType.get(type);
            const property = setting && propertyOf(name);
            if (setting === undefined || property === undefined) continue;
            const wrong = firstWrong(setting.model, property, instance);
            if (wrong === undefined) continue;
            const count = counts(known.tenant, setting.type);
            if (setting.mode === 'flag') {
              count.flagged++;
              return { instance: withQuality(instance, { quality }, QUALITY.suspect), refused: [] };
            }
            count.rejected++;
            const value = JSON.stringify(instanceValue(instance)).slice(0, 64);
            return {
              instance: undefined,
              refused: [`"${property}" ${value} does not suit the model ${setting.type}: ${wrong}`],
            };
          }
          return undefined;
        },
      };
    },
  };
}

function firstWrong(model: Model, property: string, instance: AttributeInstance): string | undefined {
  switch (instance.type) {
    // Terms are expanded here, and models have them short.
    case 'VocabProperty':
      return undefined;
    case 'LanguageProperty': {
      for (const text of Object.values(instance.languageMap).flat()) {
        const wrong = model.wrong(property, text);
        if (wrong !== undefined) return wrong;
      }
      return undefined;
    }
    default:
      return model.wrong(property, plain(instanceValue(instance)));
  }
}

/** Numbers that only a bigint can hold are numbers to a model. */
function plain(value: JsonValue): JsonValue {
  if (typeof value === 'bigint') return Number(value);
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value as JsonObject).map(([name, member]) => [name, plain(member)]));
}
