import { describe, it } from 'vitest';
import { MONGODB } from './mongodb-url.ts';

export { MONGODB, newDatabase, type TestDatabase, urlOf } from './mongodb-url.ts';

/** Continuous integration has a server, unless it could not be had. */
export const MUST_BE_THERE = process.env['MIZAR_TEST_ALL_SERVERS'] === '1' && process.env['MIZAR_TEST_WITHOUT_MONGODB'] !== '1';

/** Tests that need a MongoDB: without one they are left out, and say so; where all servers must be there (CI) that is an error. */
export function describeWithMongoDb(what: string, tests: () => void): void {
  if (MONGODB !== undefined) {
    tests();
    return;
  }
  describe(what, () => {
    const reason = 'no MongoDB: set MIZAR_TEST_MONGODB, for example to mongodb://127.0.0.1:27017 (docs/stores.md)';
    if (MUST_BE_THERE) {
      it('has a server to run on', () => {
        throw new Error(reason);
      });
    } else it.skip(`left out: ${reason}`, () => {});
  });
}
