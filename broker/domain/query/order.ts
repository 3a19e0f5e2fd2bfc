import type { Entity } from '../entity.ts';
import { distanceM } from '../geometry/distance.ts';
import type { Geometry } from '../geometry.ts';
import { isObject, type JsonValue } from '../json.ts';
import { compareInstants, type Instant, parseInstant } from '../time.ts';
import { compareNumbers, isCalendarDate, parseTimeOfDay, type TargetKind } from './compare.ts';
import { compilePath, type PathTest } from './path.ts';
import type { Order } from './query.ts';

/** Compares two entities: negative if the first comes first. Never 0 for two different entities, because the id decides at last. */
export type EntityOrder = (a: Entity, b: Entity) => number;

/** The order of 4.23 as a comparison. Entities without the attribute come last in both directions. No orders: ascending id. */
export function compileOrder(orders: readonly Order[]): EntityOrder {
  const keys = orders.map(compileKey);
  return (a, b) => {
    for (const compare of keys) {
      const order = compare(a, b);
      if (order !== 0) return order;
    }
    return compareIds(a, b);
  };
}

function compareIds(a: Entity, b: Entity): number {
  return a.id === b.id ? 0 : a.id < b.id ? -1 : 1;
}

function compileKey(order: Order): EntityOrder {
  const sign = order.direction.endsWith('desc') ? -1 : 1;
  const collator = collatorOf(order.collation);
  const { by } = order;
  if (by === 'id') return (a, b) => sign * compareIds(a, b);
  if (by === 'type') return (a, b) => sign * collator.compare(a.types[0] ?? '', b.types[0] ?? '');
  if (by === 'createdAt' || by === 'modifiedAt') return (a, b) => sign * compareInstants(a[by], b[by]);
  const path = compilePath(by, undefined, undefined);
  const byValue = (a: Target | undefined, b: Target | undefined) => compareTargets(a, b, sign, collator);
  if (!order.direction.startsWith('dist') || order.from === undefined) {
    return (a, b) => byValue(target(path, a), target(path, b));
  }
  const from = order.from;
  return (a, b) => {
    const left = target(path, a);
    const right = target(path, b);
    const leftPlace = placeOf(left);
    const rightPlace = placeOf(right);
    // 4.23.2: GeoProperties first, everything else by value behind them.
    if (leftPlace === undefined && rightPlace === undefined) return byValue(left, right);
    if (leftPlace === undefined) return 1;
    if (rightPlace === undefined) return -1;
    return sign * (distanceM(leftPlace, from) - distanceM(rightPlace, from));
  };
}

/**
 * RFC 6067: `ks` gives the strength, which Intl takes as an option only. The root collation is asked for as that of English, which is the same: "und"
 * would become whatever the process's environment says.
 */
function collatorOf(collation = 'und'): Intl.Collator {
  const strength = /-ks-(level1|level2|level3|level4|identic)/.exec(collation)?.[1];
  const sensitivity = strength === 'level1' ? 'base' : strength === 'level2' ? 'accent' : 'variant';
  return new Intl.Collator(collation.replace(/^und(?=-|$)/i, 'en'), { sensitivity });
}

interface Target {
  readonly value: JsonValue;
  readonly kind: TargetKind;
}

/** The first target value of the path: the default instance, if there is one, comes first in what the broker stores. */
function target(path: PathTest, entity: Entity): Target | undefined {
  let found: Target | undefined;
  path(entity, (value, kind) => {
    found = { value, kind };
    return true;
  });
  return found;
}

function placeOf(found: Target | undefined): Geometry | undefined {
  return found?.kind === 'GeoProperty' && isObject(found.value) ? (found.value as unknown as Geometry) : undefined;
}

/** Table of 4.23.2: numbers, strings, objects, arrays, booleans, times, dates, moments, null. */
function rankOf(value: JsonValue): number {
  if (typeof value === 'number' || typeof value === 'bigint') return 0;
  if (typeof value === 'string') {
    if (parseTimeOfDay(value) !== undefined) return 5;
    if (isCalendarDate(value)) return 6;
    return parseInstant(value) === undefined ? 1 : 7;
  }
  if (value === null) return 8;
  if (typeof value === 'boolean') return 4;
  return Array.isArray(value) ? 3 : 2;
}

function compareTargets(a: Target | undefined, b: Target | undefined, sign: number, collator: Intl.Collator): number {
  if (a === undefined || b === undefined) return a === b ? 0 : a === undefined ? 1 : -1;
  const left = plain(a);
  const right = plain(b);
  const rank = rankOf(left);
  const byRank = rank - rankOf(right);
  if (byRank !== 0) return left === null || right === null ? byRank : sign * byRank;
  switch (rank) {
    case 0:
      return sign * compareNumbers(left as number | bigint, right as number | bigint);
    case 1:
      return sign * collator.compare(left as string, right as string);
    case 4:
      return sign * (Number(left) - Number(right));
    case 5:
      return sign * ((parseTimeOfDay(left as string) ?? 0) - (parseTimeOfDay(right as string) ?? 0));
    case 6:
      return sign * (left === right ? 0 : (left as string) < (right as string) ? -1 : 1);
    case 7:
      return sign * compareInstants(left as Instant, right as Instant);
    default:
      return 0;
  }
}

/** Of a languageMap its first text. */
function plain({ value, kind }: Target): JsonValue {
  return kind === 'LanguageProperty' && Array.isArray(value) ? ((value as readonly JsonValue[])[0] ?? null) : value;
}
