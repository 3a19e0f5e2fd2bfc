import { RE2JS } from 're2js';
import { badRequest } from '../errors.ts';
import { limits } from '../limits.ts';

/** True if the text contains a match of the pattern. */
export type Pattern = (text: string) => boolean;

const compiled = new Map<string, Pattern>();
/** Compiled patterns that are kept. */
const MAX_COMPILED = 500;

/**
 * A regular expression of `~=` (4.9) or idPattern (5.2.8). Syntax: RE2, which covers IEEE 1003.2 extended expressions (except back references) and most of what
 * people write. Matching takes time linear in the text whatever the pattern, which the engine of JavaScript cannot promise. As in every broker
 * and in the clause's examples it need not cover the whole text: `^` and `$` ask for that.
 * @throws DomainError BadRequestData if it is no pattern, or too long or large
 */
export function compilePattern(source: string): Pattern {
  const known = compiled.get(source);
  if (known !== undefined) return known;
  if (source.length > limits().patternChars) {
    throw badRequest(`A pattern has at most ${limits().patternChars} characters, and this one has ${source.length}`);
  }
  let expression: RE2JS;
  try {
    expression = RE2JS.compile(source, RE2JS.DOTALL);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw badRequest(`The pattern ${JSON.stringify(source)} is not a regular expression (RE2 syntax): ${reason}`);
  }
  const pattern: Pattern = (text) => expression.test(text);
  if (compiled.size >= MAX_COMPILED) compiled.delete(compiled.keys().next().value as string);
  compiled.set(source, pattern);
  return pattern;
}
