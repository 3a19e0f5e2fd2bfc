import { badRequest } from '../../domain/errors.ts';
import { isObject } from '../../domain/json.ts';
import { geometryIn } from '../../domain/sta/filter/value.ts';
import type { Model } from '../../domain/sta/model.ts';
import type { Options } from '../../domain/sta/options.ts';
import type { ResourcePath } from '../../domain/sta/resource-path.ts';
import type { Answer, Page } from '../../operations/sta/operations.ts';
import { entityJson, nextLinkOf } from './render.ts';

/** What must be read so that a format can be written. @throws DomainError BadRequestData where the format means nothing */
export function optionsForFormat(options: Options, path: ResourcePath, model: Model): Options {
  switch (options.format) {
    case 'dataArray': {
      if (path.set !== 'Observations' || !path.many)
        throw badRequest('$resultFormat=dataArray is for collections of Observations');
      if (options.expand !== undefined) throw badRequest('$resultFormat=dataArray cannot carry what $expand asks for');
      const only = { select: ['id'] };
      return {
        ...options,
        expand: [
          { link: 'Datastream', options: only },
          { link: 'MultiDatastream', options: only },
        ],
      };
    }
    case 'CSV':
      if (path.set === 'MultiDatastreams') throw badRequest('$resultFormat=CSV has no columns for a MultiDatastream');
      for (const { link, options: inner } of options.expand ?? []) {
        if (model.link(path.set, link)?.many && inner.top !== 1)
          throw badRequest(`$resultFormat=CSV has one row for each entity: ${link} may be expanded with $top=1 only`);
      }
      return options;
    default:
      return options;
  }
}

const DEFAULT_COMPONENTS = ['id', 'phenomenonTime', 'resultTime', 'result'];
const OPTIONAL = ['resultQuality', 'validTime', 'parameters'];

/** 18-088, 12.1: Observations as rows, by Datastream. */
export function dataArray(page: Page, url: string): Record<string, unknown> {
  const groups = new Map<string, Answer[]>();
  for (const answer of page.answers) {
    const of = answer.expanded.get('Datastream') ?? answer.expanded.get('MultiDatastream');
    if (of === undefined || 'answers' in of) continue;
    const key = `${of.item.type.type}@iot.navigationLink ${of.item.selfLink()}`;
    const known = groups.get(key);
    if (known === undefined) groups.set(key, [answer]);
    else known.push(answer);
  }
  const value = [...groups].map(([key, answers]) => {
    const [name, link] = key.split(' ') as [string, string];
    const selected = page.options.select?.map((one) => (one === '@iot.id' ? 'id' : one));
    const present = OPTIONAL.filter((one) => answers.some(({ item }) => item.property(one) !== undefined));
    const components = selected ?? [...DEFAULT_COMPONENTS, ...present];
    const rows = answers.map(({ item }) => components.map((one) => (one === 'id' ? item.id : (item.property(one) ?? null))));
    return { [name]: link, components, 'dataArray@iot.count': rows.length, dataArray: rows };
  });
  return {
    ...(page.count === undefined ? {} : { '@iot.count': page.count }),
    value,
    ...(page.token === undefined ? {} : { '@iot.nextLink': nextLinkOf(url, page) }),
  };
}

/** The members of an entity and of what is expanded in it, each under its path: `Thing/properties/owner`, `Observations/0/result`. */
function flat(
  answer: Answer,
  depth: 'members' | 'leaves',
  prefix = '',
  into: Record<string, unknown> = {},
): Record<string, unknown> {
  const bare = { ...answer, options: { ...answer.options, metadata: 'none' as const }, expanded: new Map() };
  for (const [name, value] of Object.entries(entityJson(bare))) {
    const key = prefix + (name === '@iot.id' ? 'id' : name);
    const unit = name === 'unitOfMeasurement' && isObject(value);
    if (unit) for (const [inner, one] of Object.entries(value)) into[`${key}/${inner}`] = one;
    else if (depth === 'leaves') leaves(value, key, into);
    else into[key] = value;
  }
  for (const [link, value] of answer.expanded) {
    if (value === undefined) continue;
    if (!('answers' in value)) flat(value, depth, `${prefix}${link}/`, into);
    else if (depth === 'members') for (const one of value.answers.slice(0, 1)) flat(one, depth, `${prefix}${link}/`, into);
    else for (const [at, one] of value.answers.entries()) flat(one, depth, `${prefix}${link}/${at}/`, into);
  }
  return into;
}

function leaves(value: unknown, key: string, into: Record<string, unknown>): void {
  if (typeof value !== 'object' || value === null) into[key] = value;
  else for (const [name, inner] of Object.entries(value)) leaves(inner, `${key}/${name}`, into);
}

/** RFC 4180, with a header of all names that occur. */
export function csv(answers: readonly Answer[]): string {
  const rows = answers.map((answer) => flat(answer, 'members'));
  const names = [...new Set(rows.flatMap((row) => Object.keys(row)))];
  const lines = [names, ...rows.map((row) => names.map((name) => row[name]))];
  return lines.map((line) => `${line.map(cell).join(',')}\r\n`).join('');
}

function cell(value: unknown): string {
  if (value === undefined || value === null) return '';
  const text = typeof value === 'object' ? JSON.stringify(value) : String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** A Feature for each entity, with the first geometry found in it or in what is expanded. */
export function geoJson(answers: readonly Answer[], next: string | undefined): Record<string, unknown> {
  return {
    type: 'FeatureCollection',
    features: answers.map((answer) => {
      const found = placeIn(answer);
      const properties = Object.fromEntries(
        Object.entries(flat(answer, 'leaves')).filter(([name]) => found === undefined || !name.startsWith(`${found.at}/`)),
      );
      return { type: 'Feature', geometry: found?.geometry ?? null, properties };
    }),
    ...(next === undefined ? {} : { '@iot.nextLink': next }),
  };
}

function placeIn({ item, expanded }: Answer): { readonly geometry: unknown; readonly at: string } | undefined {
  for (const name of ['location', 'feature', 'observedArea']) {
    const geometry = item.type.properties.some((property) => property.name === name)
      ? geometryIn(item.property(name))
      : undefined;
    if (geometry !== undefined) return { geometry, at: name };
  }
  for (const [link, value] of expanded) {
    const inner = value === undefined ? [] : 'answers' in value ? value.answers : [value];
    for (const [at, one] of inner.entries()) {
      const found = placeIn(one);
      const path = value !== undefined && 'answers' in value ? `${link}/${at}` : link;
      if (found !== undefined) return { geometry: found.geometry, at: `${path}/${found.at}` };
    }
  }
  return undefined;
}
