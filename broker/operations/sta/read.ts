import { DomainError, notFound } from '../../domain/errors.ts';
import { isObject, type JsonValue } from '../../domain/json.ts';
import type { Options } from '../../domain/sta/options.ts';
import type { PathStep, ResourcePath } from '../../domain/sta/resource-path.ts';
import { type Answer, type Page, Work } from './answer.ts';
import { collection, linkedCollection, observationsInTime, seriesSource } from './collections.ts';
import type { Item } from './item.ts';
import { fixedIds, narrowed } from './narrow.ts';
import type { Reader } from './reader.ts';
import { listSource, type Source } from './source.ts';

/** What is at the end of a path. */
export type Read =
  | { readonly kind: 'page'; readonly page: Page; readonly parent?: Item }
  | { readonly kind: 'entity'; readonly answer: Answer }
  /** undefined: there is no value. */
  | { readonly kind: 'property'; readonly value: JsonValue | undefined };

/** @throws DomainError ResourceNotFound, BadRequestData */
export async function read(reader: Reader, path: ResourcePath, options: Options): Promise<Read> {
  const work = new Work(reader);
  if (!path.many) {
    const item = await resolve(reader, path.steps);
    if (path.end.kind === 'property') {
      await reader.complete([item]);
      return { kind: 'property', value: inside(item, path.end.name, path.end.inside) };
    }
    return { kind: 'entity', answer: (await work.answers([item], options))[0] as Answer };
  }
  const last = path.steps.at(-1) as PathStep;
  if (last.kind === 'set') {
    return { kind: 'page', page: await work.page(await wholeSet(reader, last.set, options), last.set, options) };
  }
  const parent = await resolve(reader, path.steps.slice(0, -1));
  return { kind: 'page', page: await work.page(await work.linked(parent, last.link, options), last.to, options), parent };
}

/** A whole set, or the little of it that a filter can mean. */
async function wholeSet(reader: Reader, set: Item['set'], options: Options): Promise<Source> {
  const { id, datastream } = fixedIds(options.filter);
  if (id !== undefined) return listSource([await reader.find(set, id)].filter((item) => item !== undefined));
  if (set === 'Observations' && datastream !== undefined) {
    const found = await reader.find('Datastreams', datastream);
    if (found?.origin.kind !== 'series') return listSource([]);
    return seriesSource(reader, set, found.origin.thing, found.origin.series, narrowed(options.filter));
  }
  // Unless another order is asked for, the index of times has them.
  if (set === 'Observations' && !isById(options.order)) {
    const inTime = await observationsInTime(reader, narrowed(options.filter));
    if (inTime !== undefined) return inTime;
  }
  return collection(reader, set);
}

const isById = (order: Options['order']): boolean => {
  const by = order?.[0]?.by;
  return by?.kind === 'path' && by.steps.length === 1 && (by.steps[0]?.name === 'id' || by.steps[0]?.name === '@iot.id');
};

/** The entity that a path of single entities leads to; every step must be true. */
export async function resolve(reader: Reader, steps: readonly PathStep[]): Promise<Item> {
  let at: Item | undefined;
  for (const step of steps) {
    const next: Item | undefined = at === undefined ? await first(reader, step) : await follow(reader, at, step);
    if (next === undefined) throw notFound(describe(step, at));
    at = next;
  }
  if (at === undefined) throw notFound('The path names no entity');
  return at;
}

function first(reader: Reader, step: PathStep): Promise<Item | undefined> {
  if (step.kind !== 'set') throw new DomainError('InternalError', 'A path begins with a link');
  return reader.find(step.set, step.id ?? 0);
}

async function follow(reader: Reader, from: Item, step: PathStep): Promise<Item | undefined> {
  if (step.kind !== 'link') throw new DomainError('InternalError', 'A path has a set behind its start');
  if (!step.many) return reader.one(from, step.link);
  const target = await reader.find(step.to, step.id ?? 0);
  return target !== undefined && (await isLinked(reader, from, step.link, target)) ? target : undefined;
}

/** Does the link of many lead to this entity? */
export async function isLinked(reader: Reader, from: Item, link: string, target: Item): Promise<boolean> {
  const model = reader.model.link(from.set, link);
  const back = model && reader.model.link(target.set, model.inverse);
  if (back !== undefined && !back.many) return (await reader.one(target, back.name))?.id === from.id;
  const source = await linkedCollection(reader, from, link);
  let after: readonly number[] | undefined;
  for (;;) {
    const page = await source.page(after, 1000, false);
    if (page.placed.some(({ item }) => item.id === target.id)) return true;
    if (page.next === undefined) return false;
    after = page.next;
  }
}

function describe(step: PathStep, from: Item | undefined): string {
  const id = step.id === undefined ? '' : `(${step.id})`;
  if (step.kind === 'set') return `There is no ${step.set}${id}`;
  return `${from?.set}(${from?.id}) has no ${step.link}${id}`;
}

function inside(item: Item, name: string, members: readonly string[]): JsonValue | undefined {
  if (name === 'id') return item.id;
  let at: JsonValue | undefined = item.property(name);
  for (const member of members) {
    const [, key, indexes] = /^([^[\]]*)((?:\[\d+\])*)$/.exec(member) ?? [];
    if (key === undefined) throw notFound(`${name} has no member "${member}"`);
    at =
      isObject(at) && Object.hasOwn(at, key)
        ? at[key]
        : Array.isArray(at) && /^\d+$/.test(key)
          ? (at[Number(key)] as JsonValue)
          : undefined;
    for (const [, index] of (indexes ?? '').matchAll(/\[(\d+)\]/g))
      at = Array.isArray(at) ? (at[Number(index)] as JsonValue) : undefined;
    if (at === undefined) throw notFound(`${item.set}(${item.id})/${name} has no member "${member}"`);
  }
  return at;
}
