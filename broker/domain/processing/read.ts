import { syntax } from '../device-document.ts';
import { isObject, type JsonValue } from '../json.ts';

/** Reads one object of a document that an operator wrote; whatever is wrong is said with its place. */
export interface Reader {
  /** The member as it is; undefined: absent. */
  any(name: string): JsonValue | undefined;
  text(name: string): string | undefined;
  flag(name: string): boolean | undefined;
  number(name: string, bounds?: { readonly above?: number; readonly from?: number; readonly to?: number }): number | undefined;
  choice<T extends string>(name: string, choices: readonly T[]): T | undefined;
  object(name: string): Reader | undefined;
  /** @throws ProvisioningError WRONG_SYNTAX if the object has other members */
  only(...names: readonly string[]): void;
  readonly names: readonly string[];
  readonly at: string;
}

/** @param at where the object stands, for messages; '' is the document itself @throws ProvisioningError WRONG_SYNTAX */
export function reader(value: JsonValue | undefined, at = ''): Reader {
  if (!isObject(value)) throw syntax(`${at === '' ? 'The document' : at}: must be a JSON object`);
  const place = (name: string): string => (at === '' ? name : `${at}.${name}`);
  function typed<T>(name: string, test: (member: JsonValue) => boolean, what: string): T | undefined {
    const member = value?.[name as keyof typeof value] as JsonValue | undefined;
    if (member === undefined) return undefined;
    if (!test(member)) throw syntax(`${place(name)}: must be ${what}`);
    return member as T;
  }
  return {
    at,
    names: Object.keys(value),
    any: (name) => value[name],
    text: (name) => typed<string>(name, (member) => typeof member === 'string' && member !== '', 'a text'),
    flag: (name) => typed<boolean>(name, (member) => typeof member === 'boolean', 'true or false'),
    number(name, { above, from, to } = {}) {
      const what = [
        'a number',
        ...(above === undefined ? [] : [`above ${above}`]),
        ...(from === undefined ? [] : [`from ${from}`]),
        ...(to === undefined ? [] : [`up to ${to}`]),
      ].join(' ');
      const fits = (member: JsonValue): boolean =>
        typeof member === 'number' &&
        Number.isFinite(member) &&
        (above === undefined || member > above) &&
        (from === undefined || member >= from) &&
        (to === undefined || member <= to);
      return typed<number>(name, fits, what);
    },
    choice: <T extends string>(name: string, choices: readonly T[]) =>
      typed<T>(name, (member) => choices.includes(member as T), `one of ${choices.join(', ')}`),
    object: (name) => (value[name] === undefined ? undefined : reader(value[name], place(name))),
    only(...names) {
      const unknown = Object.keys(value).find((name) => !names.includes(name));
      if (unknown !== undefined) throw syntax(`${place(unknown)}: there is no such member; there are ${names.join(', ')}`);
    },
  };
}

/** Members that listings show beside what was written, so that what was listed can be sent back. */
export const SHOWN_MEMBERS = ['name', 'version', 'state'] as const;
