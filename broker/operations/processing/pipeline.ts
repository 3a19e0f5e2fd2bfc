import type { AttributeInstance } from '../../domain/attribute.ts';
import type { KnownDevice } from '../../domain/device.ts';
import type { Iri } from '../../domain/iri.ts';
import type { JsonObject } from '../../domain/json.ts';
import type { BadDataRule } from '../../domain/processing/rule.ts';
import { selects } from '../../domain/processing/select.ts';
import { toMicros } from '../../domain/time.ts';
import type { Fragment } from '../../ports/ingest.ts';
import type { Judged, Processing, Said, TransformationRecord } from '../../ports/processing.ts';
import { type ProcessingRecords, programKey } from './records.ts';
import { compileRules, type DeviceRules, type RuleJudge } from './rules.ts';
import type { DeviceValidation, Validation } from './validation.ts';

export interface PipelineOptions {
  readonly transformations: ProcessingRecords<JsonObject>;
  readonly rules: ProcessingRecords<BadDataRule>;
  readonly judge: RuleJudge;
  readonly validation: Validation;
}

/** What is done with what one device says, found once for every state of the device and of what is configured. */
interface DeviceStages {
  readonly transformation: TransformationRecord | undefined;
  /** The name of a transformation that is not there. */
  readonly lacking: string | undefined;
  /** Found with the first fragment: until the @context of the device is there, its names are not known. */
  judging?: { readonly rules: DeviceRules | undefined; readonly validation: DeviceValidation | undefined };
}

export interface PipelineOptions {
  readonly transformations: ProcessingRecords<JsonObject>;
  readonly rules: ProcessingRecords<BadDataRule>;
  readonly judge: RuleJudge;
  readonly validation: Validation;
}

export interface Pipeline extends Processing {
  /** Something was configured: what was found for devices may have changed. */
  changed(): void;
}

/** The stages that every value passes on its way to the store, in this order: transformation, bad-data rules, validation. */
export function processingPipeline({ transformations, rules, judge, validation }: PipelineOptions): Pipeline {
  let stages = new WeakMap<KnownDevice, DeviceStages>();
  let active = false;

  function stagesOf(known: KnownDevice): DeviceStages {
    let own = stages.get(known);
    if (own === undefined) {
      const name = known.device.transformation ?? known.group?.transformation;
      const record = name === undefined ? undefined : transformations.byName(known.tenant, name);
      own = {
        transformation: record && {
          key: programKey(record),
          name: record.name,
          document: record.read,
        },
        lacking: record === undefined ? name : undefined,
      };
      stages.set(known, own);
    }
    return own;
  }

  function judgingOf(known: KnownDevice): NonNullable<DeviceStages['judging']> {
    const own = stagesOf(known);
    if (own.judging === undefined) {
      const mine = rules
        .of(known.tenant)
        .map(({ read }) => read)
        .filter(({ enabled, when, select }) => enabled && when.kind !== 'missing' && selects(select, known))
        .sort((a, b) => a.priority - b.priority);
      own.judging = {
        rules: mine.length === 0 ? undefined : compileRules(mine, known),
        validation: validation.of(known),
      };
    }
    return own.judging;
  }

  function judged({ fragment }: Said, own: NonNullable<DeviceStages['judging']>, heardAt: number): Judged {
    const refused: string[] = [];
    const attributes: Record<Iri, readonly AttributeInstance[]> = {};
    /** What is provisioned is not worth storing without anything that the device said. */
    let left = 0;
    for (const name of Object.keys(fragment.attributes) as Iri[]) {
      if (fragment.beside?.has(name)) {
        attributes[name] = fragment.attributes[name] ?? [];
        continue;
      }
      const instances: AttributeInstance[] = [];
      for (const instance of fragment.attributes[name] ?? []) {
        const ruled = own.rules && judge.judge(own.rules, fragment, name, instance, heardAt);
        if (ruled !== undefined) refused.push(...ruled.refused);
        let kept = ruled === undefined ? instance : ruled.instance;
        if (kept === undefined) continue;
        const valid = own.validation?.check(fragment.types, name, kept);
        if (valid !== undefined) {
          refused.push(...valid.refused);
          kept = valid.instance;
          if (kept === undefined) continue;
        }
        if (ruled !== undefined && own.rules) judge.remember(own.rules, fragment, name, instance, ruled.value);
        instances.push(kept);
      }
      if (instances.length > 0) {
        attributes[name] = instances;
        left++;
      }
    }
    return { fragment: left === 0 ? undefined : { ...fragment, attributes }, refused };
  }

  return {
    get active() {
      return active;
    },
    get transforms() {
      return transformations.any;
    },
    changed() {
      stages = new WeakMap();
      judge.clear();
      active = transformations.any || rules.any || validation.active;
    },
    transformation(known) {
      const { transformation, lacking } = stagesOf(known);
      if (lacking !== undefined) throw new Error(`There is no transformation "${lacking}"`);
      return transformation;
    },
    judges(known) {
      const own = judgingOf(known);
      return own.rules !== undefined || own.validation !== undefined;
    },
    prepare(said) {
      const ruled: { own: DeviceRules; fragment: Fragment }[] = [];
      for (const { known, fragment } of said) {
        const own = judgingOf(known).rules;
        if (own !== undefined) ruled.push({ own, fragment });
      }
      return ruled.length === 0 ? undefined : judge.prepare(ruled);
    },
    judge: (said, heardAt) => judged(said, judgingOf(said.known), toMicros(heardAt)),
    forget(said) {
      for (const { fragment } of said) judge.forget(fragment);
    },
  };
}
