/** `npm run docs`: writes the parts of docs/ that are made from the code. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { configurationTable } from '../../broker/config.ts';
import { conformancePage } from './conformance-page.ts';
import { performancePage } from './performance-page.ts';

const page = `# Configuration

Environment variables, or the same settings in lower camel case in \`mizar.json\` in the folder where the broker starts; the environment wins.
An unknown setting or a bad value stops the start with a message that names it. This page is written by \`npm run docs\`.

${configurationTable()}
`;
writeFileSync(join(import.meta.dirname, '../../docs/configuration.md'), page);
writeFileSync(join(import.meta.dirname, '../../docs/conformance.md'), await conformancePage());
writeFileSync(join(import.meta.dirname, '../../docs/performance.md'), performancePage());
