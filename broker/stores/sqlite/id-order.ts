/** The order of ids in the file: that of their UTF-8 bytes, which is that of code points. */
function compare(a: string, b: string): number {
  if (a === b) return 0;
  if (!BEYOND.test(a) || !BEYOND.test(b)) return a < b ? -1 : 1;
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}

/** Where the order of code units, which is that of JavaScript, may be another. */
const BEYOND = /[\ud800-\uffff]/;

/** Sorts by id as the file does. */
export function inOrderOfId<T>(items: T[], idOf: (item: T) => string): T[] {
  return items.sort((a, b) => compare(idOf(a), idOf(b)));
}
inOrderOfId.compare = compare;
