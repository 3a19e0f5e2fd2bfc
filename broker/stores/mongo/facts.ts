import { type AttributeInstance, instanceValue } from '../../domain/attribute.ts';
import type { Entity } from '../../domain/entity.ts';
import type { Iri } from '../../domain/iri.ts';
import { isObject, type JsonValue } from '../../domain/json.ts';
import { unwrapped } from '../../domain/query/compare.ts';
import { parseInstant, toMicros } from '../../domain/time.ts';

/**
 * One target value of one path (4.9), so that conditions are asked of the database: the value that an attribute has, one inside it, or a member
 * inside its value. What a fact does not hold is marked ({@link r}), and then evaluate.ts decides.
 */
export interface Fact {
  /** {@link pathKey}. */
  readonly p: string;
  /** datasetId of the attribute's instance; absent: the default instance. */
  readonly d?: Iri;
  /** A scalar, or the scalars of a list; absent: something else is there. */
  readonly v?: Scalar | readonly Scalar[];
  /** The text as a moment, microseconds since 1970. */
  readonly m?: number | readonly number[];
  /** {@link v} is a list. 1: of what has equality and no order (4.9): values, or what a Relationship names; 2: of texts of a languageMap. */
  readonly l?: 1 | 2;
  /** There is a value that {@link v} could not hold, or not exactly, and it is not there. */
  readonly r?: true;
}

type Scalar = string | number | boolean;

/** Longer texts are not held: keys of an index are limited to 1 024 bytes before MongoDB 4.2. */
const TEXT_CHARS = 160;
/** Longer paths are not held, for the same reason. */
export const PATH_CHARS = 320;
/** Facts that one entity may have; beyond them it is found by every condition ({@link ANYTHING}). */
const MOST_FACTS = 400;
/** Sub-attributes and members of values inside each other that are held. */
const DEPTH = 4;

/** The path of a fact that stands for all that are not held. */
export const ANYTHING = '*';

/** MongoDB orders text by its UTF-8 bytes, which from U+D800 on is another order than that of code units (4.9, RFC 8259). */
const BEYOND_PLAIN = /[\0\ud800-\uffff]/;

/** True of a text that the database compares like evaluate.ts. */
export const isPlainText = (text: string): boolean => text.length <= TEXT_CHARS && !BEYOND_PLAIN.test(text);

/** True of a number that it holds exactly. */
export const isPlainNumber = (value: number | bigint): value is number => typeof value === 'number' && Number.isFinite(value);

/** A path as text: names of attributes, and members inside the value behind them. */
export function pathKey(names: readonly Iri[], inside: readonly string[] = []): string {
  return inside.length === 0 ? names.join(' ') : `${names.join(' ')}\n${inside.join('\n')}`;
}

/** The path of a languageMap's text: language tags do not distinguish upper and lower case (RFC 5646, 2.1.1). */
export const languageKey = (names: readonly Iri[], tag: string): string => `${names.join(' ')}\t${tag.toLowerCase()}`;

/** What the database is told of an entity's values. */
export function factsOf({ attributes }: Entity): { readonly facts: readonly Fact[]; readonly rough: boolean } {
  const facts: Fact[] = [];
  for (const name in attributes) {
    for (const instance of attributes[name as Iri] as readonly AttributeInstance[]) {
      collect(instance, [name as Iri], instance.datasetId, facts);
    }
  }
  markSeveral(facts);
  const kept = facts.filter(({ p }) => p.length <= PATH_CHARS);
  if (kept.length === facts.length && facts.length <= MOST_FACTS) return { facts, rough: facts.some(({ r }) => r) };
  return { facts: [...kept.slice(0, MOST_FACTS), { p: ANYTHING, r: true }], rough: true };
}

/** The path of a fact that says that there are several targets of a path: two conditions on it may be true of two of them. */
export const severalKey = (key: string): string => `${key}\r`;

function markSeveral(facts: Fact[]): void {
  const seen = new Set<string>();
  const several = new Set<string>();
  for (const { p, v } of facts) {
    if (seen.has(p) || (Array.isArray(v) && v.length > 1)) several.add(p);
    seen.add(p);
  }
  for (const key of several) facts.push({ p: severalKey(key) });
}

function collect(instance: AttributeInstance, names: readonly Iri[], dataset: Iri | undefined, into: Fact[]): void {
  const about = dataset === undefined ? {} : { d: dataset };
  if (instance.type === 'LanguageProperty') {
    const texts = Object.values(instance.languageMap).flat();
    into.push({ p: pathKey(names), ...about, ...listOf(texts, 2) });
    into.push({ p: languageKey(names, '*'), ...about, ...listOf(texts, 2) });
    const tags = Object.keys(instance.languageMap);
    for (const tag of tags) {
      // Which of two tags is meant that differ in case alone, if any, the database does not know.
      const twice = tags.some((other) => other !== tag && other.toLowerCase() === tag.toLowerCase());
      const held = twice ? ({ r: true } as const) : listOf([instance.languageMap[tag] ?? []].flat(), 2);
      into.push({ p: languageKey(names, tag), ...about, ...held });
    }
  } else {
    const value = instanceValue(instance);
    const link = instance.type === 'Relationship' || instance.type === 'ListRelationship';
    const nested = instance.type === 'ListRelationship' && Array.isArray(value);
    into.push({ p: pathKey(names), ...about, ...factValue(nested ? (value as JsonValue[]).flat() : value, link) });
    members(value, names, [], about, link, into);
  }
  if (instance.attributes === undefined) return;
  for (const name in instance.attributes) {
    for (const below of instance.attributes[name as Iri] as readonly AttributeInstance[]) {
      if (names.length >= DEPTH) into.push({ p: ANYTHING, r: true });
      else collect(below, [...names, name as Iri], dataset, into);
    }
  }
}

/** Members inside a value that is a JSON object (4.9). */
function members(
  value: JsonValue,
  names: readonly Iri[],
  inside: readonly string[],
  about: { readonly d?: Iri },
  link: boolean,
  into: Fact[],
): void {
  if (!isObject(value)) return;
  if (inside.length >= DEPTH || into.length > MOST_FACTS) {
    into.push({ p: ANYTHING, r: true });
    return;
  }
  for (const [name, member] of Object.entries(value)) {
    const path = [...inside, name];
    into.push({ p: pathKey(names, path), ...about, ...factValue(member, link) });
    members(member, names, path, about, link, into);
  }
}

function factValue(value: JsonValue, link: boolean): Pick<Fact, 'v' | 'm' | 'l' | 'r'> {
  if (Array.isArray(value)) return listOf(value as readonly JsonValue[], 1);
  return link ? listOf([value], 1) : scalar(value);
}

function listOf(values: readonly JsonValue[], l: 1 | 2): Pick<Fact, 'v' | 'm' | 'l' | 'r'> {
  const found = values.map(scalar);
  const v = found.flatMap((one) => (one.v === undefined ? [] : [one.v]));
  const m = found.flatMap((one) => (one.m === undefined ? [] : [one.m]));
  // Without a value it lies where facts are looked for that must be looked at.
  if (found.some(({ r }) => r)) return { l, r: true };
  return { v: [...new Set(v)], l, ...(m.length > 0 ? { m } : {}) };
}

function scalar(wrapped: JsonValue): { readonly v?: Scalar; readonly m?: number; readonly r?: true } {
  const value = isObject(wrapped) ? unwrapped(wrapped) : wrapped;
  switch (typeof value) {
    case 'number':
      return isPlainNumber(value) ? { v: value } : { r: true };
    case 'boolean':
      return { v: value };
    case 'string': {
      if (!isPlainText(value)) return { r: true };
      const moment = BEGINS_WITH_DIGITS.test(value) ? parseInstant(value) : undefined;
      const micros = moment === undefined ? Number.NaN : toMicros(moment);
      return Number.isNaN(micros) ? { v: value } : { v: value, m: micros };
    }
    case 'bigint':
      return { r: true };
    default:
      return {};
  }
}

const BEGINS_WITH_DIGITS = /^\d\d/;
