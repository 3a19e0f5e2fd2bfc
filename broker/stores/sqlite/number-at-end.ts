const [ZERO, NINE] = [48, 57];
/** So many digits are always a number that is exact. */
const MOST_DIGITS = 15;

/**
 * The number that a text ends with from a place on, without a zero in front. Read digit by digit, because imports have one in each row, and cutting it out first costs
 * more than reading it.
 * @returns undefined if there is something else
 */
export function numberAtEnd(text: string, from: number): number | undefined {
  const digits = text.length - from;
  if (digits < 1 || digits > MOST_DIGITS || text.charCodeAt(from) === ZERO) return undefined;
  let number = 0;
  for (let at = from; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code < ZERO || code > NINE) return undefined;
    number = number * 10 + code - ZERO;
  }
  return number;
}
