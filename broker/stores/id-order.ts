/** Where the order of code units, which is that of JavaScript, may be another than that of the file. */
const BEYOND = /[\ud800-\uffff]/;

/** True of an id whose order among others of which it is true is that of JavaScript. */
export const hasPlainOrder = (id: string): boolean => !BEYOND.test(id);

/** The order of ids in the file: that of their UTF-8 bytes, which is that of code points. */
export function compareIds(a: string, b: string): number {
  if (a === b) return 0;
  if (hasPlainOrder(a) || hasPlainOrder(b)) return a < b ? -1 : 1;
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}
