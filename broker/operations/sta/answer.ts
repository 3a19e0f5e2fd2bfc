import { badRequest, DomainError } from '../../domain/errors.ts';
import { type Compiled, compileExpression, type Needed } from '../../domain/sta/filter/evaluate.ts';
import type { Expression } from '../../domain/sta/filter/expression.ts';
import type { Surroundings } from '../../domain/sta/filter/functions.ts';
import { compareOrder } from '../../domain/sta/filter/order.ts';
import type { Value } from '../../domain/sta/filter/value.ts';
import type { SetName } from '../../domain/sta/model.ts';
import type { Options, OrderKey } from '../../domain/sta/options.ts';
import { linkedCollection } from './collections.ts';
import type { Item } from './item.ts';
import { narrowed } from './narrow.ts';
import type { Reader } from './reader.ts';
import type { Cursor, Source } from './source.ts';
import { readToken, type Token, writeToken } from './token.ts';

/** An entity to be written out, with what was expanded of it. */
export interface Answer {
  readonly item: Item;
  readonly options: Options;
  readonly expanded: ReadonlyMap<string, Answer | Page | undefined>;
}

/** A page of a collection. */
export interface Page {
  readonly set: SetName;
  readonly answers: readonly Answer[];
  readonly count?: number;
  /** What a request for the next page carries as $skiptoken; undefined: this is the last. */
  readonly token?: string;
  readonly options: Options;
}

/** Extents of Datastreams are asked for by these names. */
const EXTENTS = /phenomenonTime|resultTime|observedArea/;
/** How long one request works before it lets others have their turn. */
const SLICE_MS = 10;
/** Members that are looked at in one go. */
const STEP = 200;

/** One request's work: what it may still expand, and the moment that it calls now. */
export class Work {
  readonly reader: Reader;
  readonly surroundings: Surroundings;
  #expandable: number;
  readonly #began = performance.now();
  #since = performance.now();

  constructor(reader: Reader) {
    this.reader = reader;
    this.surroundings = { now: reader.dependencies.clock.micros() };
    this.#expandable = reader.dependencies.limits.expanded;
  }

  /** A page of a collection, and what is expanded of its members. */
  async page(source: Source, set: SetName, options: Options): Promise<Page> {
    const { limits } = this.reader.dependencies;
    const top = Math.min(options.top ?? limits.page, limits.maxPage);
    const token = options.token === undefined ? undefined : readToken(options.token);
    const filter = options.filter && compileExpression(options.filter, set, this.reader.model);
    const test: Test | undefined = filter && { compiled: filter, extents: EXTENTS.test(JSON.stringify(options.filter)) };
    const direction = naturalDirection(source.order, set, options.order);
    const found =
      direction === undefined
        ? await this.#sorted(source, set, test, options, top, token)
        : await this.#walked(source, test, direction, options, top, token);
    const count = options.count === true ? (found.count ?? (await this.#count(source, test))) : undefined;
    const answers = await this.answers(found.items, options);
    return {
      set,
      answers,
      options,
      ...(count === undefined ? {} : { count }),
      ...(found.next === undefined || top === 0 ? {} : { token: writeToken(found.next) }),
    };
  }

  async answers(items: readonly Item[], options: Options): Promise<readonly Answer[]> {
    if (options.select === undefined || options.select.some((name) => EXTENTS.test(name))) await this.reader.complete(items);
    const answers: Answer[] = [];
    for (const item of items) answers.push({ item, options, expanded: await this.#expand(item, options) });
    return answers;
  }

  async #expand(item: Item, { expand }: Options): Promise<Answer['expanded']> {
    if (expand === undefined) return NOTHING;
    const expanded = new Map<string, Answer | Page | undefined>();
    for (const { link, options } of expand) {
      const { many, to } = this.reader.model.of(item.set).links.find(({ name }) => name === link) ?? {};
      if (to === undefined) throw badRequest(`$expand names "${link}", which is not a link of ${item.set}`);
      if (many) {
        const page = await this.page(await this.linked(item, link, options), to, options);
        this.#spend(page.answers.length);
        expanded.set(link, page);
      } else {
        const target = await this.reader.one(item, link);
        this.#spend(1);
        expanded.set(link, target && (await this.answers([target], options))[0]);
      }
    }
    return expanded;
  }

  #spend(entities: number): void {
    this.#expandable -= entities;
    if (this.#expandable < 0) {
      throw new DomainError(
        'TooManyResults',
        `$expand would put more than ${this.reader.dependencies.limits.expanded} entities into one answer`,
      );
    }
  }

  /** The collection behind a link, narrowed to what the options can ask of it. */
  linked(item: Item, link: string, options: Options): Promise<Source> {
    return linkedCollection(this.reader, item, link, narrowed(options.filter));
  }

  /** In the order that the source has. */
  async #walked(
    source: Source,
    test: Test | undefined,
    direction: 'asc' | 'desc',
    options: Options,
    top: number,
    token: Token | undefined,
  ): Promise<Found> {
    if (token !== undefined && token.kind !== 'place') throw badRequest('$skiptoken does not belong to this request');
    let skip = token === undefined ? (options.skip ?? 0) : 0;
    let after: Cursor | undefined = token?.cursor;
    const items: Item[] = [];
    let last: Cursor | undefined;
    if (top === 0) return { items };
    for (;;) {
      const wanted = top + 1 - items.length + skip;
      const page = await source.page(
        after,
        test === undefined ? Math.min(wanted, 10_001) : Math.max(STEP, Math.min(wanted, 2000)),
        direction === 'desc',
      );
      await this.#rest();
      for (const { item, cursor } of page.placed) {
        if (!(await this.#passes(item, test))) continue;
        if (skip > 0) {
          skip--;
          continue;
        }
        if (items.length === top) return { items, next: { kind: 'place', cursor: last as Cursor } };
        items.push(item);
        last = cursor;
      }
      if (page.next === undefined) return { items };
      after = page.next;
    }
  }

  /** In another order: all that match are sorted, and going on is going behind a key. */
  async #sorted(
    source: Source,
    set: SetName,
    test: Test | undefined,
    options: Options,
    top: number,
    token: Token | undefined,
  ): Promise<Found> {
    if (token !== undefined && token.kind !== 'key') throw badRequest('$skiptoken does not belong to this request');
    const { limits } = this.reader.dependencies;
    const keys = options.order ?? [];
    const compiled = keys.map(({ by }) => compileExpression(by, set, this.reader.model));
    const extents = keys.some(({ by }) => EXTENTS.test(JSON.stringify(by)));
    const compare = compareOrder(keys.map(({ descending }) => descending));
    interface Keyed {
      readonly item: Item;
      readonly key: readonly Value[];
    }
    const order = (a: Keyed, b: Keyed) => compare(a.key, a.item.id, b.key, b.item.id);
    const rows: Keyed[] = [];
    const from = token === undefined ? (options.skip ?? 0) : 0;
    const wanted = from + top + 1;
    if (wanted > limits.sorted) {
      throw new DomainError(
        'TooComplexQuery',
        `$skip and $top go beyond the ${limits.sorted} entities that can be put in the order of $orderby`,
      );
    }
    let count = 0;
    let passed = false;
    for await (const item of this.#matches(source, test)) {
      count++;
      if (extents) await this.reader.complete([item]);
      const key: Value[] = [];
      for (const one of compiled) {
        await this.#load(item, one.needed);
        key.push(one.value(item, this.surroundings));
      }
      const row = { item, key };
      if (token !== undefined && compare(row.key, item.id, token.key, token.id) <= 0) continue;
      rows.push(row);
      // Only what can be on this page is kept, now and then.
      if (rows.length > 2 * wanted + 1000) {
        rows.sort(order);
        rows.length = wanted;
        passed = true;
      }
    }
    rows.sort(order);
    const page = rows.slice(from, from + top);
    const last = page.at(-1);
    const more = last !== undefined && (passed || rows.length > from + top);
    return {
      items: page.map(({ item }) => item),
      count,
      ...(more ? { next: { kind: 'key', key: last.key, id: last.item.id } } : {}),
    };
  }

  async #count(source: Source, test: Test | undefined): Promise<number> {
    if (test === undefined && source.count !== undefined) return source.count();
    let count = 0;
    for await (const _ of this.#matches(source, test)) count++;
    return count;
  }

  /** Lets others have their turn: what the store answers at once would keep the process to itself. */
  async #rest(): Promise<void> {
    const now = performance.now();
    if (now - this.#since < SLICE_MS) return;
    const { lookMs } = this.reader.dependencies.limits;
    if (now - this.#began > lookMs) {
      throw new DomainError(
        'TooComplexQuery',
        `After ${lookMs / 1000} s not everything was looked at that $filter, $orderby, $skip or $count ask for: bound phenomenonTime, name a Datastream, or follow @iot.nextLink`,
      );
    }
    await new Promise((resolve) => setImmediate(resolve));
    this.#since = performance.now();
  }

  /** All that match, in whatever order. */
  async *#matches(source: Source, test: Test | undefined): AsyncGenerator<Item, void, undefined> {
    let after: Cursor | undefined;
    for (;;) {
      const page = await source.page(after, 500, false);
      for (const { item } of page.placed) if (await this.#passes(item, test)) yield item;
      await this.#rest();
      if (page.next === undefined) return;
      after = page.next;
    }
  }

  async #passes(item: Item, test: Test | undefined): Promise<boolean> {
    if (test === undefined) return true;
    if (test.extents) await this.reader.complete([item]);
    if (test.compiled.needed.size > 0) await this.#load(item, test.compiled.needed, test.extents);
    return test.compiled.test(item, this.surroundings) === true;
  }

  /** Loads what an expression asks of related entities. */
  async #load(item: Item, needed: Needed, extents = false): Promise<void> {
    for (const [link, below] of needed) {
      let linked = item.loaded.get(link);
      if (linked === undefined) {
        const many = this.reader.model.link(item.set, link)?.many === true;
        linked = many
          ? await this.#all(await this.linked(item, link, {}))
          : [await this.reader.one(item, link)].filter((one) => one !== undefined);
        item.loaded.set(link, linked);
      }
      if (extents) await this.reader.complete(linked);
      if (below.size > 0) for (const one of linked) await this.#load(one, below, extents);
    }
  }

  async #all(source: Source): Promise<readonly Item[]> {
    const items: Item[] = [];
    for await (const item of this.#matches(source, undefined)) {
      items.push(item);
      if (items.length > this.reader.dependencies.limits.sorted) {
        throw new DomainError('TooComplexQuery', 'A path of the filter leads to more entities than can be looked at');
      }
    }
    return items;
  }
}

const NOTHING: Answer['expanded'] = new Map();

interface Test {
  readonly compiled: Compiled;
  readonly extents: boolean;
}

interface Found {
  readonly items: readonly Item[];
  readonly count?: number;
  readonly next?: Token;
}

/** The direction in which the source's own order is what was asked for; undefined: it is another order. */
function naturalDirection(
  order: Source['order'],
  set: SetName,
  keys: readonly OrderKey[] | undefined,
): 'asc' | 'desc' | undefined {
  if (keys === undefined || keys.length === 0) return 'asc';
  const names = keys.map(({ by }) => nameOf(by));
  const [first, second] = keys as [OrderKey, OrderKey | undefined];
  const isId = (name: string | undefined) => name === 'id' || name === '@iot.id';
  if (order === 'id') return keys.length === 1 && isId(names[0]) ? direction(first) : undefined;
  const time = set === 'HistoricalLocations' ? 'time' : 'phenomenonTime';
  if (order !== 'time' || names[0] !== time) return undefined;
  // Starts order intervals; where two start together, the id decides.
  if (second === undefined) return direction(first);
  return keys.length === 2 && isId(names[1]) && second.descending === first.descending ? direction(first) : undefined;
}

const direction = ({ descending }: OrderKey): 'asc' | 'desc' => (descending ? 'desc' : 'asc');

function nameOf(by: Expression): string | undefined {
  return by.kind === 'path' && by.steps.length === 1 && by.steps[0]?.indexes.length === 0 ? by.steps[0].name : undefined;
}
