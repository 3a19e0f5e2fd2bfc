import type { Iri } from '../../domain/iri.ts';
import type { Database, Value } from './database.ts';

const CONTEXT = 'https://uri.etsi.org/ngsi-ld/default-context/';
/** Sub-attributes whose texts have an index of their own (schema.ts): what it is called, and the last part of the name. */
const INDEXED = new Map<Iri, { readonly index: string; readonly last: string }>(
  ['resultTime', 'phenomenonEnd'].map((last) => [
    (CONTEXT + last) as Iri,
    { index: last === 'resultTime' ? 'history_result_time' : 'history_phenomenon_end', last },
  ]),
);

/** Instances of one series: what is asked of them, and the values for it. */
export interface Those {
  readonly entity: number;
  readonly name: number;
  readonly dataset: number | null;
  /** What else must hold of a row `h`. */
  readonly kept: { readonly sql: string; readonly values: readonly Value[] };
}

/** The smallest and the largest text that a sub-attribute has in a series; undefined: it has none. */
export function textsOf(
  database: Database,
  those: Those,
  name: Iri,
): { readonly least: string; readonly greatest: string } | undefined {
  const indexed = INDEXED.get(name);
  const { entity, name: attribute, dataset, kept } = those;
  const path = `$.attributes."${name}"[0].value`;
  const same = 'h.entity = ? AND h.name = ? AND h.dataset IS ?';
  const of: Value[] = [entity, attribute, dataset, ...kept.values];
  let found: readonly (Value | undefined)[];
  if (indexed === undefined) {
    const sql = `SELECT min(json_extract(instance, ?)), max(json_extract(instance, ?)) FROM history h WHERE ${same} AND deleted IS NULL${kept.sql}`;
    found = database.get(sql, path, path, ...of) ?? [];
  } else {
    // Word for word what the index is made of: SQLite takes it for no other expression.
    const text = `json_extract(instance, '${path}')`;
    const end = (direction: 'ASC' | 'DESC') =>
      database.get(
        `SELECT ${text} FROM history h INDEXED BY ${indexed.index} WHERE ${same}
         AND instr(instance, 'default-context/${indexed.last}"') > 0${kept.sql} ORDER BY ${text} ${direction} LIMIT 1`,
        ...of,
      )?.[0];
    const least = end('ASC');
    found = [least, least === undefined ? undefined : end('DESC')];
  }
  const [least, greatest] = found;
  return typeof least === 'string' && typeof greatest === 'string' ? { least, greatest } : undefined;
}
