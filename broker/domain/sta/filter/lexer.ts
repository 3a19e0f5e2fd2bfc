import { badRequest } from '../../errors.ts';
import { parseDuration, parseMoment } from '../time.ts';
import { parseWkt } from '../wkt.ts';
import { spanValue, type Value } from './value.ts';

export type Token =
  | { readonly kind: 'literal'; readonly value: Value; readonly text: string; readonly at: number }
  | { readonly kind: 'name'; readonly text: string; readonly at: number }
  | { readonly kind: 'sign'; readonly text: string; readonly at: number }
  | { readonly kind: 'end'; readonly text: ''; readonly at: number };

const MOMENT = String.raw`\d{4}-\d\d-\d\d[Tt]\d\d:\d\d(?::\d\d(?:[.,]\d{1,9})?)?(?:[Zz]|[+-]\d\d:?\d\d)`;
const BLANK = /[ \t\r\n]+/y;
const SPAN = new RegExp(`(${MOMENT})(?:/(?:(${MOMENT})|(?:duration)?'?(P[0-9YMWDTHS.]+)'?))?`, 'y');
const BARE_DATE = /(\d{4})-(\d\d)-(\d\d)(?![\d-])/y;
const TIME_OF_DAY = /([01]\d|2[0-3]):([0-5]\d)(?::([0-5]\d(?:\.\d{1,6})?))?/y;
const NUMBER = /-?(?:\d+\.?\d*(?:[eE][-+]?\d+)?|\.\d+)(?:[mMdDfFL](?![A-Za-z0-9_]))?/y;
const TEXT = /'((?:[^']|'')*)'/y;
const TYPED = /(duration|geography|geometry|datetime|datetimeoffset|time)'((?:[^']|'')*)'/iy;
const NAME = /[@A-Za-z_\u0080-\uffff][@A-Za-z0-9_.\-\u0080-\uffff]*/y;

/** Splits a filter into tokens. @throws DomainError BadRequestData that names what cannot be read */
export function tokens(text: string): Token[] {
  const found: Token[] = [];
  let at = 0;
  const match = (pattern: RegExp): RegExpExecArray | null => {
    pattern.lastIndex = at;
    return pattern.exec(text);
  };
  const literal = (value: Value, length: number): void => {
    found.push({ kind: 'literal', value, text: text.slice(at, at + length), at });
    at += length;
  };
  while (at < text.length) {
    const blank = match(BLANK);
    if (blank !== null) at += blank[0].length;
    if (at >= text.length) break;
    const span = match(SPAN);
    if (span !== null) {
      literal(spanOf(span), span[0].length);
      continue;
    }
    const date = match(BARE_DATE);
    if (date !== null) {
      const start = parseMoment(`${date[0]}T00:00:00Z`);
      if (start === undefined) throw badRequest(`There is no date ${date[0]}`);
      literal(spanValue(start), date[0].length);
      continue;
    }
    const time = match(TIME_OF_DAY);
    if (time !== null) {
      const seconds = Number(time[1]) * 3600 + Number(time[2]) * 60 + Number(time[3] ?? 0);
      literal({ kind: 'timeOfDay', micros: Math.round(seconds * 1_000_000) }, time[0].length);
      continue;
    }
    const number = match(NUMBER);
    if (number !== null) {
      literal(Number(number[0].replace(/[mMdDfFL]$/, '')), number[0].length);
      continue;
    }
    const quoted = match(TEXT);
    if (quoted !== null) {
      literal((quoted[1] as string).replaceAll("''", "'"), quoted[0].length);
      continue;
    }
    const typed = match(TYPED);
    if (typed !== null) {
      literal(typedLiteral(typed[1] as string, (typed[2] as string).replaceAll("''", "'")), typed[0].length);
      continue;
    }
    const name = match(NAME);
    if (name !== null) {
      found.push({ kind: 'name', text: name[0], at });
      at += name[0].length;
      continue;
    }
    const sign = text[at] as string;
    if (!'(),/[]:*'.includes(sign)) {
      throw badRequest(`The filter cannot be read at "${text.slice(at, at + 30)}" (character ${at + 1})`);
    }
    found.push({ kind: 'sign', text: sign, at });
    at++;
  }
  found.push({ kind: 'end', text: '', at });
  return found;
}

function spanOf([whole, start, end, length]: RegExpExecArray): Value {
  const from = parseMoment(start as string);
  if (from === undefined) throw badRequest(`There is no moment ${start}`);
  if (end === undefined && length === undefined) return spanValue(from);
  const to = end === undefined ? from + (parseDuration(length as string) ?? Number.NaN) : parseMoment(end);
  if (to === undefined || !(to >= from)) throw badRequest(`${whole} is not an interval: its end must not be before its start`);
  return spanValue(from, to);
}

function typedLiteral(type: string, text: string): Value {
  switch (type.toLowerCase()) {
    case 'duration': {
      const micros = parseDuration(text);
      if (micros === undefined) throw badRequest(`duration'${text}' is not a duration of ISO 8601`);
      return { kind: 'duration', micros };
    }
    case 'geography':
    case 'geometry':
      return { kind: 'geometry', geometry: parseWkt(text) };
    default: {
      const at = parseMoment(text);
      if (at === undefined) throw badRequest(`${type}'${text}' is not a moment of ISO 8601 with a time zone`);
      return spanValue(at);
    }
  }
}
