import { type AttributeInstance, instanceValue } from '../../domain/attribute.ts';
import type { KnownDevice } from '../../domain/device.ts';
import type { Iri, TenantId } from '../../domain/iri.ts';
import type { JsonValue } from '../../domain/json.ts';
import type { BadDataRule } from '../../domain/processing/rule.ts';
import { selects } from '../../domain/processing/select.ts';
import { fromMicros, type Instant, type Micros, toMicros } from '../../domain/time.ts';
import type { Clock } from '../../ports/clock.ts';
import type { EntityStore } from '../../ports/entity-store.ts';
import type { Ingest } from '../../ports/ingest.ts';
import type { ProcessingRecord, ProcessingRecords } from './records.ts';
import { QUALITY, type RuleCounts, withQuality } from './rules.ts';
import { type Watch, watchKeeper } from './watch.ts';

export interface MissingOptions {
  readonly rules: ProcessingRecords<BadDataRule>;
  readonly devices: () => readonly KnownDevice[];
  /** The entity of a device. Throws as long as its names are not known. */
  readonly entityOf: (known: KnownDevice) => { readonly id: Iri; readonly types: readonly Iri[] };
  readonly entities: EntityStore;
  readonly ingest: Ingest;
  readonly clock: Clock;
  readonly counts: (tenant: TenantId, rule: string) => RuleCounts;
  /** A value that was expected is missing. */
  readonly onMissing: (identity: string, reason: string) => void;
}

/** Rules about values that do not come: nothing else could judge them, because there is nothing to judge. */
export function missingValues({ rules, devices, entityOf, entities, ingest, clock, counts, onMissing }: MissingOptions) {
  const keeper = watchKeeper(clock.micros);

  async function current(rule: BadDataRule, known: KnownDevice) {
    const { id, types } = entityOf(known);
    const name = known.expand(rule.select.attribute ?? '');
    const entity = (await entities.get(known.tenant, id))?.entity;
    const instance = entity?.attributes[name]?.[0];
    const at = instance?.observedAt ?? instance?.modifiedAt;
    return { id, types: entity?.types ?? types, name, instance, at };
  }

  /** @throws Error if it could not be stored */
  async function missing(record: ProcessingRecord<BadDataRule>, known: KnownDevice, since: Micros): Promise<void> {
    const { read: rule, tenant } = record;
    const { id, types, name, instance, at } = await current(rule, known);
    const quality = known.expand('quality');
    const was = instance === undefined ? undefined : markOf(instance, quality);
    let stored: AttributeInstance | undefined;
    if (rule.action.kind === 'flag') {
      if (instance === undefined || was === QUALITY.missing) return;
      stored = withQuality(bare(instance), { quality }, QUALITY.missing);
    } else {
      // Nothing to put in its place until there was a first value.
      const value = substitute(rule, instance);
      if (value === undefined) return;
      const base: AttributeInstance = instance?.type === 'Property' ? bare(instance) : { type: 'Property', value };
      const observedAt: Instant = clock.now();
      stored = withQuality({ ...base, value, observedAt } as AttributeInstance, { quality }, QUALITY.replaced);
    }
    const caller = { tenant, principal: { kind: 'system' } } as const;
    const { refused } = await ingest.accept([{ caller, id, types, attributes: { [name]: [stored] } }]);
    if (refused[0] !== undefined) throw new Error(`What the rule ${rule.name} says was refused: ${refused[0].reason}`);
    const count = counts(tenant, rule.name);
    if (rule.action.kind === 'flag') count.flagged++;
    else count.replaced++;
    const last = fromMicros(Math.floor((at === undefined ? since : toMicros(at)) / 1000) * 1000);
    onMissing(known.identity, `"${rule.select.attribute}" is missing since ${last}, by the rule ${rule.name}`);
  }

  function watchOf(record: ProcessingRecord<BadDataRule>): readonly (readonly [Watch, readonly KnownDevice[]])[] {
    const { read: rule, tenant, name, version } = record;
    if (!rule.enabled || rule.when.kind !== 'missing') return [];
    const concerns = (known: KnownDevice): boolean => {
      if (known.tenant !== tenant || known.device.onboarding !== undefined || !selects(rule.select, known)) return false;
      try {
        return rule.select.type === undefined || entityOf(known).types.includes(known.expand(rule.select.type));
      } catch {
        // Its @context is being loaded.
        return false;
      }
    };
    const watch: Watch = {
      key: `${tenant}\n${name}\n${version}`,
      seconds: rule.when.seconds,
      async lastSeen(known) {
        const { at } = await current(rule, known);
        return at === undefined ? undefined : toMicros(at);
      },
      overdue: (known, since) => missing(record, known, since),
    };
    return [[watch, devices().filter(concerns)]];
  }

  return {
    async sweep(): Promise<void> {
      const watched: (readonly [Watch, readonly KnownDevice[]])[] = [];
      for (const tenant of rules.tenants()) for (const record of rules.of(tenant)) watched.push(...watchOf(record));
      if (watched.length > 0) await keeper.sweep(watched);
    },
    changed: () => keeper.clear(),
  };
}

function substitute({ action }: BadDataRule, instance: AttributeInstance | undefined): JsonValue | undefined {
  if (action.kind !== 'replace' || action.by === 'clamp') return undefined;
  if (action.by !== 'lastGood') return action.by.constant;
  return instance?.type === 'Property' ? instance.value : undefined;
}

/** The instance as a device would say it. */
function bare(instance: AttributeInstance): AttributeInstance {
  const { createdAt: _, modifiedAt: __, instanceId: ___, stamp: ____, ...said } = instance;
  return said as AttributeInstance;
}

function markOf(instance: AttributeInstance, quality: Iri): JsonValue | undefined {
  const mark = instance.attributes?.[quality]?.[0];
  return mark === undefined ? undefined : instanceValue(mark);
}
