/** `npm run contexts`: writes what the core contexts define as tables, so that a start needs no JSON-LD processing. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { BUNDLED, preparedFile } from '../../contexts/index.ts';
import { coreTable } from '../support/core-table.ts';

for (const url of Object.keys(BUNDLED)) {
  const file = preparedFile(url);
  if (file === undefined) continue;
  const path = join(import.meta.dirname, '../../contexts', file);
  mkdirSync(dirname(path), { recursive: true });
  const { vocabulary, terms } = await coreTable(url);
  const lines = Object.entries(terms).map(([term, entry]) => `  ${JSON.stringify(term)}: ${JSON.stringify(entry)}`);
  writeFileSync(path, `{"vocabulary": ${JSON.stringify(vocabulary)}, "terms": {\n${lines.join(',\n')}\n}}\n`);
}
