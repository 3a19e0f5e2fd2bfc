import type { JsonValue } from '../../domain/json.ts';
import { isObject } from '../../domain/json.ts';
import type { Options } from '../../domain/sta/options.ts';
import type { Answer, Item, Page } from '../../operations/sta/operations.ts';

/** Which annotations an answer has ($resultMetadata). */
interface Shown {
  readonly links: boolean;
  readonly selfLink: boolean;
  readonly nextLink: boolean;
}

function shown({ metadata = 'full' }: Options): Shown {
  return { links: metadata === 'full', selfLink: metadata === 'full', nextLink: metadata !== 'off' };
}

/** The JSON of an entity, with what was expanded of it. */
export function entityJson(answer: Answer, parent?: Options): Record<string, unknown> {
  const { item, options, expanded } = answer;
  const metadata = shown({ metadata: options.metadata ?? parent?.metadata ?? 'full' });
  const { select } = options;
  const wanted = (name: string) => select === undefined || select.includes(name);
  const json: Record<string, unknown> = {};
  if (wanted('@iot.id') || select?.includes('id')) json['@iot.id'] = item.id;
  if (metadata.selfLink && (wanted('@iot.selfLink') || select?.includes('selfLink'))) json['@iot.selfLink'] = item.selfLink();
  const { properties } = item;
  for (const { name } of item.type.properties) {
    if (properties[name] === undefined) continue;
    if (wanted(name)) json[name] = properties[name];
    else {
      const deep = select?.filter((one) => one.startsWith(`${name}/`)) ?? [];
      if (deep.length > 0)
        json[name] = selected(
          properties[name],
          deep.map((one) => one.split('/').slice(1)),
        );
    }
  }
  for (const { name, many } of item.type.links) {
    const value = expanded.get(name);
    if (expanded.has(name)) {
      if (value === undefined) continue;
      if ('answers' in value) Object.assign(json, expandedPage(name, value, `${item.selfLink()}/${name}`, options));
      else json[name] = entityJson(value, options);
    } else if (metadata.links && wanted(name) && (many || hasLink(item, name))) {
      json[`${name}@iot.navigationLink`] = `${item.selfLink()}/${name}`;
    }
  }
  return json;
}

/** An Observation shows the one of Datastream and MultiDatastream that it has. */
function hasLink(item: Item, name: string): boolean {
  if (item.set !== 'Observations' || (name !== 'Datastream' && name !== 'MultiDatastream')) return true;
  return item.isMulti === (name === 'MultiDatastream');
}

function expandedPage(name: string, page: Page, url: string, parent: Options): Record<string, unknown> {
  const { nextLink } = shown(parent);
  return {
    ...(page.count === undefined ? {} : { [`${name}@iot.count`]: page.count }),
    [name]: page.answers.map((answer) => entityJson(answer, parent)),
    ...(page.token === undefined || !nextLink ? {} : { [`${name}@iot.nextLink`]: nextLinkOf(url, page) }),
  };
}

/** A part of a JSON value, in its place: `properties/a/b` keeps {a: {b: …}}. */
function selected(value: JsonValue | undefined, paths: readonly (readonly string[])[]): JsonValue | undefined {
  if (paths.some(({ length }) => length === 0) || !isObject(value)) return value;
  const part: Record<string, JsonValue> = {};
  for (const name of new Set(paths.map(([first]) => first as string))) {
    const inner = Object.hasOwn(value, name) ? value[name] : undefined;
    const below = selected(
      inner,
      paths.filter(([first]) => first === name).map((path) => path.slice(1)),
    );
    if (below !== undefined) part[name] = below;
  }
  return part;
}

/** @param url of the collection, without options */
export function pageJson(page: Page, url: string): Record<string, unknown> {
  return {
    ...(page.count === undefined ? {} : { '@iot.count': page.count }),
    value: page.answers.map((answer) => entityJson(answer)),
    ...(page.token === undefined || !shown(page.options).nextLink ? {} : { '@iot.nextLink': nextLinkOf(url, page) }),
  };
}

/** The next page: the same options, from where this one ended. Whoever glues what is behind the question mark to another path gets it, too. */
export function nextLinkOf(url: string, { options, token }: Page): string {
  const kept = (options.written ?? []).filter(([name]) => !/^\$skip(token)?$/i.test(name));
  const pairs = [...kept, ['$skiptoken', token ?? ''] as const].map(([name, value]) => `${name}=${encoded(value)}`);
  return `${url}?${pairs.join('&')}`;
}

/** Percent-encodes what could be taken for something else, and leaves the rest readable. */
function encoded(text: string): string {
  return encodeURIComponent(text).replace(/%(2C|2F|3A|40|28|29|24|27|3B|3D)/g, (found) => decodeURIComponent(found));
}

/** Of each entity its selfLink and nothing else. */
export function refsJson(page: Page, url: string): Record<string, unknown> {
  const { value: _, ...around } = pageJson(page, url);
  return { ...around, value: page.answers.map(({ item }) => ({ '@iot.selfLink': item.selfLink() })) };
}
