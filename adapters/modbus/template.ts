import { isObject, type JsonValue } from '../../broker/ports/ingest.ts';
import { SettingsError } from './settings.ts';

/** What placeholders stand for: values by variable; absent: the variable has no reading. */
export type Values = ReadonlyMap<string, JsonValue>;

const DATE = '_DATE_';

/**
 * Fills a message template: `_name_` is the value of a variable, `_DATE_` the time. A placeholder that is the whole text keeps its type; inside a longer text it is
 * text. A member whose placeholder has no value is dropped, or null.
 * @param names known variables; of several that fit, the longest is meant
 */
export function fillTemplate(
  template: JsonValue,
  values: Values,
  names: readonly string[],
  date: string,
  missing: 'drop' | 'null',
): JsonValue | undefined {
  if (typeof template === 'string') {
    const filled = fillText(template, values, names, date);
    return filled === undefined && missing === 'null' ? null : filled;
  }
  if (Array.isArray(template)) {
    return template.flatMap((item: JsonValue) => {
      const filled = fillTemplate(item, values, names, date, missing);
      return filled === undefined ? [] : [filled];
    });
  }
  if (!isObject(template)) return template;
  const members = Object.entries(template).flatMap(([name, member]) => {
    const filled = fillTemplate(member as JsonValue, values, names, date, missing);
    return filled === undefined ? [] : [[name, filled] as const];
  });
  return Object.fromEntries(members);
}

function fillText(text: string, values: Values, names: readonly string[], date: string): JsonValue | undefined {
  const found = placeholders(text, names);
  const [only] = found;
  if (only !== undefined && only.from === 0 && only.to === text.length)
    return only.name === undefined ? date : values.get(only.name);
  let filled = '';
  let at = 0;
  for (const { from, to, name } of found) {
    const value = name === undefined ? date : values.get(name);
    if (value === undefined) return undefined;
    filled += text.slice(at, from) + (typeof value === 'string' ? value : JSON.stringify(value));
    at = to;
  }
  return filled + text.slice(at);
}

/** @param path of the template, for the message @throws SettingsError if a placeholder names no variable */
export function checkTemplate(template: JsonValue, names: readonly string[], path: string): void {
  if (typeof template === 'string') {
    const rest = placeholders(template, names).reduceRight(
      (text, { from, to }) => `${text.slice(0, from)} ${text.slice(to)}`,
      template,
    );
    const unknown = /(?<![A-Za-z0-9_])_([A-Za-z][A-Za-z0-9_]*?)_(?![A-Za-z0-9_])/.exec(rest);
    if (unknown) throw new SettingsError(`${path}: no variable is called "${unknown[1]}"`);
  } else if (Array.isArray(template)) {
    template.forEach((item: JsonValue, index) => {
      checkTemplate(item, names, `${path}[${index}]`);
    });
  } else if (isObject(template)) {
    for (const [name, member] of Object.entries(template)) checkTemplate(member as JsonValue, names, `${path}.${name}`);
  }
}

interface Placeholder {
  readonly from: number;
  readonly to: number;
  /** undefined: the date. */
  readonly name?: string;
}

function placeholders(text: string, names: readonly string[]): readonly Placeholder[] {
  const longestFirst = [...names].sort((a, b) => b.length - a.length);
  const found: Placeholder[] = [];
  for (let at = text.indexOf('_'); at >= 0; at = text.indexOf('_', at)) {
    const name = longestFirst.find((candidate) => text.startsWith(`_${candidate}_`, at));
    if (name !== undefined) found.push({ from: at, to: at + name.length + 2, name });
    else if (text.startsWith(DATE, at)) found.push({ from: at, to: at + DATE.length });
    at = found.at(-1)?.from === at ? (found.at(-1) as Placeholder).to : at + 1;
  }
  return found;
}
