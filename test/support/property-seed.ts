// Random tests look elsewhere in every run on a developer's machine. With MIZAR_TEST_SEED they look where they looked before: CI sets it, so that
// a change is judged by what it changed, and a failure there can be repeated with the same number.
import fc from 'fast-check';

const seed = process.env['MIZAR_TEST_SEED'];
if (seed !== undefined) fc.configureGlobal({ seed: Number(seed) });
