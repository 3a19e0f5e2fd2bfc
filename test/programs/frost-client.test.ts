import { execFile, execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it, onTestFinished } from 'vitest';
import { inMemoryBroker } from '../support/broker.ts';

/** A Python that has frost_sta_client (`pip install frost-sta-client`), the client of FROST-Server; undefined: there is none. */
function pythonWithClient(): string | undefined {
  for (const python of [process.env['MIZAR_TEST_FROST_PYTHON'], 'python3']) {
    if (python === undefined) continue;
    try {
      execFileSync(python, ['-c', 'import frost_sta_client'], { stdio: 'ignore' });
      return python;
    } catch {
      // Not this one.
    }
  }
  return undefined;
}

const python = pythonWithClient();
if (python === undefined) {
  const how =
    'frost-sta-client is not installed: pip install frost-sta-client, and MIZAR_TEST_FROST_PYTHON names the Python that has it';
  if (process.env['MIZAR_TEST_FROST_PYTHON']) throw new Error(how);
  console.warn(`left out: ${how}`);
}

describe('the Python client of FROST-Server', () => {
  it.skipIf(python === undefined)('creates, pages, filters, expands, updates and deletes', async () => {
    const broker = await inMemoryBroker();
    onTestFinished(() => broker[Symbol.asyncDispose]());
    const { url } = await broker.broker.listen();
    const script = join(import.meta.dirname, 'frost-client.py');
    const { stdout } = await promisify(execFile)(python as string, [script, `${url}/sta/v1.1`]);
    expect(JSON.parse(stdout)).toEqual({
      thing: expect.any(Number),
      datastream: 'water',
      newest: [33, 32, 31, 30, 29],
      walked: 24,
      warm: 3,
      place: [14.5, 45.3],
      property: 'water temperature',
      renamed: 'renamed',
      left: 0,
    });
  });
});
