import type { AttributeInstance, Attributes } from '../../domain/attribute.ts';
import type { LateInstance } from '../../domain/change.ts';
import type { Iri } from '../../domain/iri.ts';
import type { JsonValue } from '../../domain/json.ts';
import type { Stamp } from '../../domain/stamp.ts';
import type { Instant } from '../../domain/time.ts';
import type { Codec } from './codec.ts';
import type { Dictionary } from './dictionary.ts';
import { numberAtEnd } from './number-at-end.ts';

type Coded = ReturnType<Codec['encodeInstance']>;

/** An instance that only went to history, relative to its change. */
export type LateRow = readonly [name: number, Coded, amends?: NonNullable<LateInstance['amends']>];

/** Many of one series, written by one change: what they have in common is said once. An import of a hundred readings takes a tenth of the bytes. */
export interface LateRun {
  readonly n: number;
  readonly u?: string | undefined;
  readonly d?: Iri | undefined;
  readonly s?: Attributes | undefined;
  /** What the instanceIds begin with. */
  readonly p: string;
  /** Value, observedAt, number at the end of the instanceId, value … */
  readonly r: readonly JsonValue[];
}

/** A change's moment. */
interface At {
  readonly at: Instant;
  readonly stamp: Stamp;
}

/** Inside a transaction, because names may be new. */
export function encodeLate(
  late: readonly LateInstance[],
  { at, stamp }: At,
  { codec, dictionary }: { readonly codec: Codec; readonly dictionary: Dictionary },
): readonly (LateRow | LateRun)[] {
  const rows: (LateRow | LateRun)[] = [];
  const base = { createdAt: at, modifiedAt: at, stamp };
  let run: (LateRun & { readonly r: JsonValue[] }) | undefined;
  let of: Iri | undefined;
  for (const { name, instance, amends } of late) {
    const prefix = amends === undefined && isPlain(instance, at, stamp) ? instance.instanceId.lastIndexOf('-') + 1 : 0;
    const number = prefix === 0 ? undefined : numberAtEnd(instance.instanceId as string, prefix);
    if (number === undefined) {
      const coded = codec.encodeInstance(instance, base);
      rows.push(amends === undefined ? [dictionary.name(name), coded] : [dictionary.name(name), coded, amends]);
      run = undefined;
      continue;
    }
    const { unitCode, datasetId, attributes, value, observedAt, instanceId } = instance as PlainReading;
    const same = run !== undefined && of === name && run.u === unitCode && run.d === datasetId && run.s === attributes;
    if (run === undefined || !same || run.p.length !== prefix || !instanceId.startsWith(run.p)) {
      run = { n: dictionary.name(name), u: unitCode, d: datasetId, s: attributes, p: instanceId.slice(0, prefix), r: [] };
      of = name;
      rows.push(run);
    }
    run.r.push(value, observedAt, number);
  }
  return rows;
}

type PlainReading = Extract<AttributeInstance, { readonly type: 'Property' }> & {
  readonly observedAt: Instant;
  readonly instanceId: Iri;
};

/** True if the instance says nothing but what a {@link LateRun} can say of it, apart from the end of its instanceId. */
function isPlain(instance: AttributeInstance, at: Instant, stamp: Stamp): instance is PlainReading {
  if (instance.type !== 'Property' || instance.observedAt === undefined || instance.instanceId === undefined) return false;
  if (instance.createdAt !== at || instance.modifiedAt !== at || instance.stamp !== stamp) return false;
  for (const member in instance) if (!IN_RUNS.has(member)) return false;
  return true;
}

const IN_RUNS: ReadonlySet<string> = new Set(
  'type value unitCode datasetId attributes observedAt createdAt modifiedAt stamp instanceId'.split(' '),
);

/** @param rows also as files of before have them: written out */
export function decodeLate(
  rows: readonly (LateRow | LateRun | LateInstance)[],
  { at, stamp }: At,
  { codec, dictionary }: { readonly codec: Codec; readonly dictionary: Dictionary },
): readonly LateInstance[] {
  const late: LateInstance[] = [];
  const base = { createdAt: at, modifiedAt: at, stamp };
  for (const row of rows) {
    if (isRun(row)) {
      const { n, u, d, s, p, r } = row;
      const name = dictionary.iri(n);
      const frame = {
        type: 'Property',
        ...(u === undefined ? {} : { unitCode: u }),
        ...(d === undefined ? {} : { datasetId: d }),
        ...(s === undefined ? {} : { attributes: s }),
        ...base,
      } as const;
      for (let place = 0; place < r.length; place += 3) {
        const [value, observedAt, number] = [r[place], r[place + 1], r[place + 2]];
        const instance = { ...frame, value, observedAt, instanceId: `${p}${number}` } as AttributeInstance;
        late.push({ name, instance });
      }
    } else if (Array.isArray(row)) {
      const [name, coded, amends] = row as unknown as LateRow;
      late.push({ name: dictionary.iri(name), instance: codec.decodeInstance(coded, base), ...(amends && { amends }) });
    } else late.push(row as LateInstance);
  }
  return late;
}

const isRun = (row: LateRow | LateRun | LateInstance): row is LateRun => 'r' in row;
