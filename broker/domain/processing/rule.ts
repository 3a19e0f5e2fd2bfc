import { syntax } from '../device-document.ts';
import { isObject, type JsonValue } from '../json.ts';
import { type Reader, reader, SHOWN_MEMBERS } from './read.ts';
import { type DeviceSelection, readSelection } from './select.ts';

/** When a value is bad. Times in seconds. */
export type BadDataCondition =
  | { readonly kind: 'range'; readonly min?: number; readonly max?: number }
  /** Change against the last good value before it, divided by the time between: a lasting step is accepted after a while. */
  | { readonly kind: 'rate'; readonly maxPerMinute: number }
  /** The value has not moved by more than `tolerance` for so long. */
  | { readonly kind: 'flatline'; readonly seconds: number; readonly tolerance: number }
  /** Equal to a value that was observed at most so long before. */
  | { readonly kind: 'duplicate'; readonly seconds: number }
  /** No value has come for so long. */
  | { readonly kind: 'missing'; readonly seconds: number }
  /** Observed later than it was heard. */
  | { readonly kind: 'future'; readonly seconds: number }
  /** Heard so long after it was observed. */
  | { readonly kind: 'late'; readonly seconds: number }
  /** Further than so many standard deviations from the mean of the last `count` values; not judged before there are `minimum`. */
  | { readonly kind: 'outlier'; readonly count: number; readonly deviations: number; readonly minimum: number };

export type BadDataAction =
  | { readonly kind: 'discard' }
  | { readonly kind: 'flag' }
  | { readonly kind: 'replace'; readonly by: 'lastGood' | 'clamp' | { readonly constant: JsonValue } };

/** What an operator says about bad values of some devices. Names are short names in the @context of the device, or IRIs. */
export interface BadDataRule {
  readonly name: string;
  readonly select: DeviceSelection & { readonly type?: string; readonly attribute?: string };
  readonly when: BadDataCondition;
  readonly action: BadDataAction;
  /** Smaller ones judge first. */
  readonly priority: number;
  readonly enabled: boolean;
}

const CONDITIONS = ['range', 'rate', 'flatline', 'duplicate', 'missing', 'future', 'late', 'outlier'] as const;
const MEMBERS = ['select', 'when', 'action', 'priority', 'enabled', ...SHOWN_MEMBERS];
/** A window of outlier is kept for every attribute that the rule concerns. */
const MOST_COUNT = 200;
const YEAR_S = 366 * 86_400;

/** Reads a rule. @throws ProvisioningError WRONG_SYNTAX naming the place */
export function readRule(name: string, body: JsonValue): BadDataRule {
  const read = reader(body);
  read.only(...MEMBERS);
  const select = read.object('select');
  select?.only('device', 'servicePath', 'entityType', 'type', 'attribute');
  const [type, attribute] = [select?.text('type'), select?.text('attribute')];
  const when = condition(read.object('when'));
  const action = readAction(read.any('action'), when);
  if (when.kind === 'missing' && attribute === undefined)
    throw syntax('select.attribute: must say which attribute may be missing');
  return {
    name,
    select: {
      ...readSelection(select),
      ...(type !== undefined && { type }),
      ...(attribute !== undefined && { attribute }),
    },
    when,
    action,
    priority: read.number('priority') ?? 0,
    enabled: read.flag('enabled') ?? true,
  };
}

function condition(read: Reader | undefined): BadDataCondition {
  const [kind, ...more] = read?.names ?? [];
  if (read === undefined || kind === undefined || more.length > 0 || !(CONDITIONS as readonly string[]).includes(kind))
    throw syntax(`when: must have exactly one of ${CONDITIONS.join(', ')}`);
  const own = read.object(kind) as Reader;
  const must = (name: string, bounds: Parameters<Reader['number']>[1]): number => {
    const value = own.number(name, bounds);
    if (value === undefined) throw syntax(`${own.at}.${name}: is missing`);
    return value;
  };
  switch (kind as BadDataCondition['kind']) {
    case 'range': {
      own.only('min', 'max');
      const [min, max] = [own.number('min'), own.number('max')];
      if (min === undefined && max === undefined) throw syntax('when.range: must have min or max');
      if (min !== undefined && max !== undefined && min > max) throw syntax('when.range.min: is greater than max');
      return { kind: 'range', ...(min !== undefined && { min }), ...(max !== undefined && { max }) };
    }
    case 'rate':
      own.only('maxPerMinute');
      return { kind: 'rate', maxPerMinute: must('maxPerMinute', { above: 0 }) };
    case 'flatline':
      own.only('seconds', 'tolerance');
      return {
        kind: 'flatline',
        seconds: must('seconds', { above: 0, to: YEAR_S }),
        tolerance: own.number('tolerance', { from: 0 }) ?? 0,
      };
    case 'duplicate':
      own.only('seconds');
      return { kind: 'duplicate', seconds: own.number('seconds', { from: 0, to: YEAR_S }) ?? 0 };
    case 'outlier': {
      own.only('count', 'deviations', 'minimum');
      const count = own.number('count', { from: 3, to: MOST_COUNT }) ?? 30;
      return {
        kind: 'outlier',
        count,
        deviations: own.number('deviations', { above: 0 }) ?? 4,
        minimum: own.number('minimum', { from: 3, to: count }) ?? Math.min(10, count),
      };
    }
    case 'missing':
    case 'future':
    case 'late':
      own.only('seconds');
      return { kind: kind as 'missing' | 'future' | 'late', seconds: must('seconds', { from: 0, to: YEAR_S }) };
  }
}

function readAction(given: JsonValue | undefined, when: BadDataCondition): BadDataAction {
  if (given === 'flag') return { kind: 'flag' };
  if (given === 'discard') {
    if (when.kind === 'missing') throw syntax('action: a value that is missing cannot be discarded');
    return { kind: 'discard' };
  }
  const by = isObject(given) && Object.keys(given).length === 1 ? given['replace'] : undefined;
  if (by === 'lastGood') return { kind: 'replace', by };
  if (by === 'clamp') {
    if (when.kind !== 'range') throw syntax('action.replace: "clamp" needs when.range');
    return { kind: 'replace', by };
  }
  if (isObject(by) && by['constant'] !== undefined && by['constant'] !== null)
    return { kind: 'replace', by: { constant: by['constant'] } };
  throw syntax('action: must be "discard", "flag" or {"replace": "lastGood" | "clamp" | {"constant": …}}');
}
