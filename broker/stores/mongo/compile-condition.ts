import type { Iri, TenantId } from '../../domain/iri.ts';
import { isCalendarDate } from '../../domain/query/compare.ts';
import { searchBox } from '../../domain/query/geo.ts';
import { innermost, isSystemMember } from '../../domain/query/path.ts';
import type { AttributePath, Comparison, Condition, GeoCondition, Operand } from '../../domain/query/query.ts';
import { parseInstant, toMicros } from '../../domain/time.ts';
import { and, type Compiled, NONE, not, or, type Part, some } from './compiled.ts';
import { ANYTHING, isPlainNumber, isPlainText, languageKey, PATH_CHARS, pathKey, severalKey } from './facts.ts';
import { areaOf } from './places.ts';

type Datasets = readonly (Iri | '@none')[] | undefined;

/** Cannot be asked of the database at all. */
const UNKNOWN: Compiled = { may: {}, must: NONE, exact: false, facts: true };

/** Whose entities are asked for, and of what server. */
export interface Where extends Server {
  readonly tenant: TenantId;
}

/** What not every server that speaks the protocol can do. What it cannot is done in the broker, on more entities. */
export interface Server {
  /** There is an index of places. */
  readonly places: boolean;
  /** It can look for an element of an array by several of its members. */
  readonly elements: boolean;
}

/** A condition on values (4.9) and places (4.10). */
export function compileCondition(condition: Condition, datasets: Datasets, where: Where): Compiled {
  if (!where.elements) return attributesOf(condition);
  switch (condition.kind) {
    case 'and':
      return and(parted(condition.of, datasets).map((one) => ('may' in one ? one : compileCondition(one, datasets, where))));
    case 'or':
      return or(condition.of.map((one) => compileCondition(one, datasets, where)));
    case 'not':
      return not(compileCondition(condition.of, datasets, where));
    case 'exists':
      return onPaths(condition.path, datasets, [{ exact: true }]);
    case 'compare':
      return compileComparison(condition, datasets);
    case 'geo':
      return compileGeo(condition, datasets, where);
  }
}

/** Only that the attributes are there which a condition is about. */
function attributesOf(condition: Condition): Compiled {
  switch (condition.kind) {
    case 'and':
      return and(condition.of.map(attributesOf));
    case 'or':
      return or(condition.of.map(attributesOf));
    case 'not':
      return UNKNOWN;
    case 'geo':
      return onlyThere(condition.property, undefined);
    default: {
      const [first] = condition.path.names;
      return first === undefined || isSystemMember(first) ? UNKNOWN : onlyThere(first, undefined);
    }
  }
}

/** What is asked of one fact. */
interface Test {
  readonly fact?: Part;
  /** A fact of which it is true is a match. */
  readonly exact: boolean;
}

function compileComparison({ path, operator, value }: Comparison, datasets: Datasets): Compiled {
  // What a VocabProperty is compared with depends on its kind.
  if (innermost(path).expanded !== undefined) return onPaths(path, datasets, [{ exact: false }]);
  return onPaths(path, datasets, testsOf(operator, value));
}

/** A path with a fact of which one of the tests is true. */
function onPaths(path: AttributePath, datasets: Datasets, tests: readonly Test[]): Compiled {
  const [first, ...others] = path.names;
  if (first === undefined) return { may: NONE, must: NONE, exact: true, facts: false };
  // It ends at a member of the entity itself, which is no fact.
  if (isSystemMember(first)) return UNKNOWN;
  if (path.linked !== undefined || others.some(isSystemMember)) return onlyThere(first, datasets);
  const keys = keysOfPath(path);
  if (keys.some((key) => key.length > PATH_CHARS)) return UNKNOWN;
  const p = keys.length === 1 ? keys[0] : { $in: keys };
  const found = tests.map(({ fact }) => aFact({ p, ...inDatasets(datasets), ...fact }));
  const rough = roughOf(keys);
  const exact = tests.every((test) => test.exact);
  return { may: some([...found, rough]), must: exact ? some(found) : NONE, exact, facts: true };
}

/** A value is there that facts do not hold. That they have none is what the index finds them by. */
const roughOf = (keys: readonly string[]): Part => aFact({ p: { $in: [...keys, ANYTHING] }, v: null, r: true });

type Bounds = Record<Bound, string | number>;

/**
 * Bounds of one path, such as `speed>=50;speed<60`, are asked of one fact, which is one range of the index instead of two that have half of all values each. Where
 * there are several targets of the path, one may be true of one of them and another of another: those are found by a fact that says so, and asked one by one.
 * @returns what is left of the conditions, and what stands for the bounds
 */
function parted(conditions: readonly Condition[], datasets: Datasets): readonly (Condition | Compiled)[] {
  const bounds = Map.groupBy(conditions, (one) => (one.kind === 'compare' ? boundedKey(one) : undefined));
  const parts: (Condition | Compiled)[] = [...(bounds.get(undefined) ?? [])];
  for (const [key, those] of bounds) {
    if (key === undefined) continue;
    const merged: Partial<Bounds> = {};
    for (const one of those as readonly Comparison[]) Object.assign(merged, boundOf(one));
    if (those.length === 1 || Object.keys(merged).length < those.length) {
      parts.push(...those);
      continue;
    }
    const each = and(those.map((one) => compileComparison(one as Comparison, datasets)));
    const range = aFact({ p: key, ...inDatasets(datasets), v: merged, l: { $ne: 1 } });
    const apart = { $and: [{ 'q.p': severalKey(key) }, each.may] };
    parts.push({ ...each, may: some([range, apart, roughOf([key])]) });
  }
  return parts;
}

/** The path of a comparison with a number or a text that has one key; undefined: it is another one. */
function boundedKey(one: Comparison): string | undefined {
  const { path, operator, value } = one;
  if (!(operator in BOUNDS) || value.kind !== 'literal' || typeof plain(value) === 'boolean' || plain(value) === undefined) {
    return undefined;
  }
  if (path.linked !== undefined || path.expanded !== undefined || path.names.some(isSystemMember)) return undefined;
  const [key, ...others] = keysOfPath(path);
  return others.length > 0 || severalKey(key as string).length > PATH_CHARS ? undefined : key;
}

const BOUNDS = { '>': '$gt', '>=': '$gte', '<': '$lt', '<=': '$lte' } as const;

const boundOf = ({ operator, value }: Comparison): Partial<Bounds> => ({
  [BOUNDS[operator as keyof typeof BOUNDS]]: plain(value) as string | number,
});

/** The attribute is there; what else is asked for is not known to the database. */
function onlyThere(name: Iri, datasets: Datasets): Compiled {
  if (name.length > PATH_CHARS) return UNKNOWN;
  const may = { $or: [aFact({ p: name, ...inDatasets(datasets) }), { 'q.p': ANYTHING }] };
  return { may, must: NONE, exact: false, facts: true };
}

const inDatasets = (datasets: Datasets): Part =>
  datasets ? { d: { $in: datasets.map((id) => (id === '@none' ? null : id)) } } : {};

/** What is in brackets is a language or a member of the value, whatever the entity has. */
function keysOfPath({ names, inside }: AttributePath): readonly string[] {
  const [only, ...others] = inside ?? [];
  if (only === undefined || others.length > 0) return [pathKey(names, inside)];
  return [pathKey(names, inside), languageKey(names, only)];
}

function aFact(fact: Part): Part {
  const { p, ...others } = fact;
  return Object.keys(others).length === 0 ? { 'q.p': p } : { q: { $elemMatch: fact } };
}

const ANY: readonly Test[] = [{ exact: false }];

function testsOf(operator: Comparison['operator'], operand: Operand): readonly Test[] {
  switch (operator) {
    case '==':
      return equal(operand);
    case '!=':
      return unequal(operand);
    case '>':
      return ordered('$gt', operand);
    case '>=':
      return ordered('$gte', operand);
    case '<':
      return ordered('$lt', operand);
    case '<=':
      return ordered('$lte', operand);
    case '~=':
    case '!~=':
      return ANY;
  }
}

/** The value that a literal is compared with, as facts hold it; undefined: they do not hold it exactly. */
function plain(operand: Operand): string | number | boolean | undefined {
  if (operand.kind !== 'literal' && operand.kind !== 'uri') return undefined;
  const { value } = operand;
  if (typeof value === 'string') return isPlainText(value) ? value : undefined;
  if (typeof value === 'boolean') return value;
  return isPlainNumber(value) ? value : undefined;
}

function equal(operand: Operand): readonly Test[] {
  if (operand.kind === 'list') return operand.of.flatMap(equal);
  if (operand.kind === 'range') return between(operand.from, operand.to);
  const value = plain(operand);
  if (value !== undefined) return [{ fact: { v: value }, exact: true }];
  if (operand.kind === 'dateTime') {
    const moment = momentOf(operand.value);
    return moment === undefined ? ANY : [{ fact: { m: moment }, exact: true }];
  }
  if (operand.kind === 'date' && isCalendarDate(operand.value)) return [{ fact: { v: operand.value }, exact: true }];
  return ANY;
}

/** The target is there, and nothing of it equals the operand. */
function unequal(operand: Operand): readonly Test[] {
  const values = operand.kind === 'list' ? operand.of.map(plain) : [plain(operand)];
  if (values.some((value) => value === undefined)) return ANY;
  return [{ fact: { v: { $nin: values }, r: { $exists: false } }, exact: true }];
}

type Bound = '$gt' | '$gte' | '$lt' | '$lte';

/** Lists have no order (4.9), except that of several texts of a languageMap any may match. */
function ordered(bound: Bound, operand: Operand): readonly Test[] {
  const value = plain(operand);
  if (operand.kind === 'literal' && value !== undefined && typeof value !== 'boolean') {
    return [{ fact: { v: { [bound]: value }, l: { $ne: 1 } }, exact: true }];
  }
  const moment = operand.kind === 'dateTime' ? momentOf(operand.value) : undefined;
  return moment === undefined ? ANY : [{ fact: { m: { [bound]: moment }, l: { $ne: 1 } }, exact: true }];
}

/** Both ends are included; one value lies between both. */
function between(from: Operand, to: Operand): readonly Test[] {
  const low = plain(from);
  const high = plain(to);
  if (low === undefined || high === undefined || typeof low !== typeof high || typeof low === 'boolean') return ANY;
  const range = { $gte: low, $lte: high };
  return [
    { fact: { v: range, l: { $exists: false } }, exact: true },
    { fact: { v: { $elemMatch: range }, l: { $exists: true } }, exact: true },
  ];
}

function momentOf(text: string): number | undefined {
  const moment = parseInstant(text);
  const micros = moment === undefined ? Number.NaN : toMicros(moment);
  return Number.isNaN(micros) ? undefined : micros;
}

function compileGeo(condition: GeoCondition, datasets: Datasets, { tenant, places }: Where): Compiled {
  const { property } = condition;
  const box = condition.relation === 'disjoint' || !places ? undefined : searchBox(condition);
  const area = box && areaOf(box);
  if (area === undefined) return onlyThere(property, datasets);
  const there = { $geoIntersects: { $geometry: area } };
  // The index looks at the place only outside of $elemMatch, and in both branches only with the tenant in each.
  const near = { t: tenant, 'g.b': there, g: { $elemMatch: { n: property, b: there } } };
  return { may: { $or: [near, { t: tenant, w: property }] }, must: NONE, exact: false, facts: true };
}
