/** `npm run test:processes`: every API test again, with requests that go to two processes of one broker in turn (test/support/broker.ts). */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';

const vitest = join(import.meta.dirname, '../../node_modules/vitest/vitest.mjs');
const { status } = spawnSync(process.execPath, [vitest, 'run', 'test/api'], {
  stdio: 'inherit',
  env: { ...process.env, MIZAR_TEST_PROCESSES: '2' },
});
process.exit(status ?? 1);
