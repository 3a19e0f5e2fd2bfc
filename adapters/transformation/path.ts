import { isObject, type JsonValue } from '../../broker/ports/ingest.ts';

/** Steps into a JSON value: names of members and indexes of arrays. */
export type Path = readonly (string | number)[];

const STEP = /^(?:\.?([^.[\]{}"'(),\s]+)|\[(\d{1,6})\]|\["([^"]*)"\])/;

/** Reads `p.total`, `list[0].x` or `a["odd name"]`. @returns undefined if it is no path */
export function parsePath(text: string): Path | undefined {
  const path: (string | number)[] = [];
  let rest = text.trim();
  if (rest === '' || rest.startsWith('.')) return undefined;
  while (rest !== '') {
    const found = STEP.exec(rest);
    if (found === null) return undefined;
    const [whole, name, index, quoted] = found;
    path.push(index === undefined ? ((name ?? quoted) as string) : Number(index));
    rest = rest.slice(whole.length);
  }
  return path;
}

/** The value there; undefined: there is none. Only what the message itself has can be reached. */
export function valueAt(value: JsonValue, path: Path): JsonValue | undefined {
  let at: JsonValue | undefined = value;
  for (const step of path) {
    if (Array.isArray(at)) at = typeof step === 'number' || /^\d+$/.test(step) ? (at[Number(step)] as JsonValue) : undefined;
    else if (isObject(at)) at = Object.hasOwn(at, String(step)) ? at[String(step)] : undefined;
    else return undefined;
  }
  return at;
}
