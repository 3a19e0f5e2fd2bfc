import { type AttributeInstance, instanceValue } from '../../domain/attribute.ts';
import type { KnownDevice } from '../../domain/device.ts';
import type { Iri, TenantId } from '../../domain/iri.ts';
import type { JsonValue } from '../../domain/json.ts';
import {
  type JudgedValue,
  lastGood,
  memoryOf,
  needsSeries,
  remember,
  type SeriesState,
  seriesFrom,
  whyBad,
} from '../../domain/processing/judge.ts';
import type { BadDataRule } from '../../domain/processing/rule.ts';
import { type Micros, toMicros } from '../../domain/time.ts';
import type { Fragment } from '../../ports/ingest.ts';
import type { SeriesStore } from '../../ports/series-store.ts';

/** A rule for one device: names are IRIs. */
export interface CompiledRule {
  readonly rule: BadDataRule;
  readonly type: Iri | undefined;
  readonly attribute: Iri | undefined;
}

/** What became of values by one rule since the start. */
export interface RuleCounts {
  discarded: number;
  replaced: number;
  flagged: number;
}

/** The rules of one device, and the names that they write under. */
export interface DeviceRules {
  readonly rules: readonly CompiledRule[];
  readonly quality: Iri;
  readonly original: Iri;
}

/** How a value that rules looked at is called. */
export const QUALITY = { suspect: 'suspect', replaced: 'estimated', missing: 'missing' } as const;

/** Series that are remembered. Those that are forgotten are read from the store again. */
const MOST_SERIES = 20_000;
const PAGE = 200;
/** So far back it is looked since when a value has not moved. */
const MOST_PAGES = 10;

export function compileRules(rules: readonly BadDataRule[], known: KnownDevice): DeviceRules {
  return {
    rules: rules.map((rule) => ({
      rule,
      type: rule.select.type === undefined ? undefined : known.expand(rule.select.type),
      attribute: rule.select.attribute === undefined ? undefined : known.expand(rule.select.attribute),
    })),
    quality: known.expand('quality'),
    original: known.expand('originalValue'),
  };
}

/** What a rule leaves of an instance: undefined if nothing, and why it is not stored as it came. */
interface Ruled {
  readonly instance: AttributeInstance | undefined;
  readonly refused: readonly string[];
  /** What is to be remembered when the instance is stored. */
  readonly value: JudgedValue;
}

export type RuleJudge = ReturnType<typeof ruleJudge>;

/** Judges values by rules, with what is known of the values before them: remembered, or read from the store. */
export function ruleJudge(series: SeriesStore, counts: (tenant: TenantId, rule: string) => RuleCounts) {
  const states = new Map<string, SeriesState>();
  const keyOf = ({ caller, id }: Fragment, name: Iri, instance: AttributeInstance): string =>
    `${caller.tenant}\n${id}\n${name}\n${instance.datasetId ?? ''}`;

  function keep(key: string, state: SeriesState): SeriesState {
    if (states.size >= MOST_SERIES) states.delete(states.keys().next().value as string);
    states.set(key, state);
    return state;
  }

  async function load(
    own: DeviceRules,
    { caller, id, types }: Fragment,
    name: Iri,
    instance: AttributeInstance,
  ): Promise<SeriesState> {
    const rules = rulesFor(own, types, name);
    const where = { id, name, ...(instance.datasetId !== undefined && { datasetId: instance.datasetId }) };
    const newest: JudgedValue[] = [];
    const still = rules.flatMap(({ when }) => (when.kind === 'flatline' ? [when] : []));
    let after: { readonly at: Micros; readonly number: number } | undefined;
    for (let page = 0; page < (still.length > 0 ? MOST_PAGES : 1); page++) {
      const limit = still.length > 0 ? PAGE : memoryOf(rules);
      const found = await series.read(caller.tenant, where, { limit, descending: true, ...(after !== undefined && { after }) });
      newest.push(...found.flatMap((one) => judgedValue(one.instance, one.at, own) ?? []));
      const last = found.at(-1);
      if (last === undefined || found.length < limit) break;
      const [from] = newest;
      if (from === undefined) break;
      // Every flatline rule knows enough: a value that moved, or one that is old enough.
      const enough = still.every(
        (when) =>
          from.at - last.at >= when.seconds * 1e6 ||
          newest.some((value) =>
            typeof value.said === 'number' && typeof from.said === 'number'
              ? Math.abs(value.said - from.said) > when.tolerance
              : value.said !== from.said,
          ),
      );
      if (enough) break;
      after = { at: last.at, number: last.number };
    }
    return seriesFrom(newest.reverse(), rules);
  }

  return {
    /** Reads what is not remembered; undefined: all is. */
    prepare(said: readonly { readonly own: DeviceRules; readonly fragment: Fragment }[]): Promise<void> | undefined {
      const loading = new Map<string, Promise<void>>();
      for (const { own, fragment } of said) {
        for (const name of Object.keys(fragment.attributes) as Iri[]) {
          if (!rulesFor(own, fragment.types, name).some(needsSeries)) continue;
          for (const instance of fragment.attributes[name] ?? []) {
            const key = keyOf(fragment, name, instance);
            if (states.has(key) || loading.has(key)) continue;
            const read = load(own, fragment, name, instance).then((state) => {
              // Another message may have been judged meanwhile, and knows more.
              if (!states.has(key)) keep(key, state);
            });
            loading.set(key, read);
          }
        }
      }
      return loading.size === 0 ? undefined : Promise.all(loading.values()).then(() => undefined);
    },

    /** @param heardAt when it came, and the time of instances that have none */
    judge(own: DeviceRules, fragment: Fragment, name: Iri, instance: AttributeInstance, heardAt: Micros): Ruled | undefined {
      const rules = rulesFor(own, fragment.types, name);
      if (rules.length === 0) return undefined;
      const said = instanceValue(instance);
      const at = instance.observedAt === undefined ? heardAt : toMicros(instance.observedAt);
      const key = keyOf(fragment, name, instance);
      const state = states.get(key) ?? seriesFrom([], rules);
      let stored: AttributeInstance = instance;
      let good = true;
      const refused: string[] = [];
      for (const rule of rules) {
        const why = whyBad(rule, instanceValue(stored), at, heardAt, state);
        if (why === undefined) continue;
        good = false;
        const count = counts(fragment.caller.tenant, rule.name);
        const sentence = (what: string): string =>
          `"${shortName(name)}" ${JSON.stringify(said).slice(0, 64)} was ${what} by the rule ${rule.name}: ${why}`;
        if (rule.action.kind === 'flag') {
          count.flagged++;
          stored = withQuality(stored, own, QUALITY.suspect);
          continue;
        }
        const other = rule.action.kind === 'replace' ? replacement(rule, said, at, state) : undefined;
        if (other === undefined) {
          count.discarded++;
          refused.push(sentence('discarded'));
          return { instance: undefined, refused, value: { at, said, good } };
        }
        count.replaced++;
        refused.push(sentence(`replaced with ${JSON.stringify(other).slice(0, 64)}`));
        stored = replaced(stored, other, said, own);
      }
      return { instance: stored, refused, value: { at, said, good } };
    },

    /** The instance that was judged is on its way to the store. */
    remember(own: DeviceRules, fragment: Fragment, name: Iri, instance: AttributeInstance, value: JudgedValue): void {
      const rules = rulesFor(own, fragment.types, name);
      if (!rules.some(needsSeries)) return;
      const key = keyOf(fragment, name, instance);
      const state = states.get(key) ?? seriesFrom([], rules);
      // What was judged longest ago is forgotten first.
      states.delete(key);
      remember(keep(key, state), value, rules);
    },

    /** What is remembered of these attributes does not hold. */
    forget(fragment: Fragment): void {
      for (const name of Object.keys(fragment.attributes) as Iri[]) {
        for (const instance of fragment.attributes[name] ?? []) states.delete(keyOf(fragment, name, instance));
      }
    },
    /** Rules have changed: what they need to know may have, too. */
    clear(): void {
      states.clear();
    },
  };
}

function rulesFor(own: DeviceRules, types: readonly Iri[], name: Iri): readonly BadDataRule[] {
  const rules: BadDataRule[] = [];
  for (const { rule, type, attribute } of own.rules) {
    if ((attribute === undefined || attribute === name) && (type === undefined || types.includes(type))) rules.push(rule);
  }
  return rules;
}

function replacement({ when, action }: BadDataRule, said: JsonValue, at: Micros, state: SeriesState): JsonValue | undefined {
  if (action.kind !== 'replace') return undefined;
  if (action.by === 'lastGood') return lastGood(state, at);
  if (action.by !== 'clamp') return action.by.constant;
  if (when.kind !== 'range' || typeof said !== 'number') return undefined;
  return Math.min(when.max ?? said, Math.max(when.min ?? said, said));
}

function replaced(instance: AttributeInstance, by: JsonValue, said: JsonValue, own: DeviceRules): AttributeInstance {
  // Only plain values can be replaced by plain values.
  if (instance.type !== 'Property') return withQuality(instance, own, QUALITY.suspect);
  const original: AttributeInstance = { type: 'Property', value: said };
  const marked = withQuality({ ...instance, value: by }, own, QUALITY.replaced);
  return { ...marked, attributes: { ...marked.attributes, [own.original]: [original] } };
}

export function withQuality(
  instance: AttributeInstance,
  { quality }: Pick<DeviceRules, 'quality'>,
  value: string,
): AttributeInstance {
  return { ...instance, attributes: { ...instance.attributes, [quality]: [{ type: 'Property', value }] } };
}

/** A stored instance as rules see it; undefined: the broker has put it there, because nothing came. */
function judgedValue(instance: AttributeInstance, at: Micros, { quality, original }: DeviceRules): JudgedValue | undefined {
  const marked = instance.attributes?.[quality]?.[0];
  const before = instance.attributes?.[original]?.[0];
  const mark = marked === undefined ? undefined : instanceValue(marked);
  if (mark === QUALITY.replaced && before === undefined) return undefined;
  return {
    at,
    said: before === undefined ? instanceValue(instance) : instanceValue(before),
    good: mark !== QUALITY.suspect && mark !== QUALITY.replaced,
  };
}

/** The last part of an IRI, for sentences. */
export const shortName = (iri: Iri): string => iri.slice(Math.max(iri.lastIndexOf('/'), iri.lastIndexOf('#')) + 1);
