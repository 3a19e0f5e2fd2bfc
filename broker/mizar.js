// What is started. Plain JavaScript, for two reasons: a Node that is too old can still say so, and the cache of compiled code is on before the first
// TypeScript is read, so that from the second start on nothing is stripped and compiled again.
import { enableCompileCache } from 'node:module';

const OLDEST_NODE = 26;
if (Number(process.versions.node.split('.')[0]) < OLDEST_NODE) {
  console.error(
    `Mizar needs Node ${OLDEST_NODE} and found ${process.version}. Start it with "npm start": npm ci brought the right one along.`,
  );
  process.exit(1);
}
// It is written when the process ends in order. NODE_COMPILE_CACHE names another folder than the one for temporary files.
enableCompileCache();
await import('./main.ts');
