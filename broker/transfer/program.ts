import { mkdirSync } from 'node:fs';
import type { Config } from '../config.ts';
import { allowEverything } from '../domain/access.ts';
import { isTenantName, type TenantId } from '../domain/iri.ts';
import { databaseFile } from '../foundations.ts';
import { openStore, shownStore } from '../open-store.ts';
import { transferOperations } from '../operations/transfer.ts';
import { systemClock } from '../stores/system-clock.ts';
import { exportTo } from './export.ts';
import { importFrom, type Target } from './import.ts';
import { brokerSource, fileSource, type Source } from './source.ts';

const USAGE = `Usage: npm run export -- --from URL --to FILE [--tenant NAME]
       npm run import -- --from URL|FILE [--tenant NAME]

export writes what a running broker has to a file. import takes it from there, or from a running broker, into the store that MIZAR_STORE or
MIZAR_DATA_DIR names; no broker may use that one meanwhile. Both go on where they were if they are interrupted (docs/stores.md).`;

/** `mizar export` and `mizar import`. @returns the exit status */
export async function runTransfer(command: 'export' | 'import', options: readonly string[], config: Config): Promise<number> {
  const option = (name: string) => (options.includes(name) ? options[options.indexOf(name) + 1] : undefined);
  const [from, to, name] = [option('--from'), option('--to'), option('--tenant')];
  if (from === undefined || (command === 'export') === (to === undefined) || (name && !isTenantName(name))) {
    console.error(USAGE);
    return 2;
  }
  const tenant = name as TenantId | undefined;
  const say = (text: string) => console.error(text);
  const isUrl = /^https?:\/\//.test(from);
  try {
    const source: Source = isUrl ? brokerSource(from, tenant) : fileSource(from);
    if (command === 'export') console.log(`${to}: ${await exportTo(to as string, source, say)}`);
    else console.log(`${shownStore(config)}: ${await importFrom(source, targetOf(config), say)}, the same on both sides`);
    return 0;
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    return 1;
  }
}

/** The store that a configuration names. */
export function targetOf(config: Config): Target {
  return {
    async openImporter() {
      if (config.store !== '') {
        const { openMongoImporter } = await import('../stores/mongo/importer.ts');
        return openMongoImporter(config.store, config.storeWaitMs);
      }
      mkdirSync(config.dataDir, { recursive: true });
      const { openSqliteImporter } = await import('../stores/sqlite/importer.ts');
      return openSqliteImporter(databaseFile(config));
    },
    async openReader() {
      const store = await openStore(config, systemClock('import'));
      return { transfer: transferOperations({ ...store, access: allowEverything }), close: () => store.close() };
    },
  };
}
