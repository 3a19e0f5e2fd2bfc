import { readFileSync } from 'node:fs';

/** How an adapter process is set up; everything else comes from the broker. */
export interface ProcessConfig {
  readonly brokerUrl: string;
  readonly name: string;
  readonly token: string;
  readonly dataDir: string;
  readonly outboxBytes: number;
  readonly dropFolder: string | undefined;
  readonly info: boolean;
}

/** Variable, unit or form, default, and what it does: what --help prints. */
export const VARIABLES: readonly (readonly [string, string, string])[] = [
  ['MIZAR_ADAPTER_BROKER', 'http://127.0.0.1:1026', 'base URL of the broker'],
  ['MIZAR_ADAPTER_NAME', '(must be given)', 'name of this process, as the broker knows it'],
  ['MIZAR_ADAPTER_TOKEN', '(must be given)', 'the token that the broker showed when the process was created'],
  ['MIZAR_ADAPTER_TOKEN_FILE', '', 'a file that holds the token, instead of the variable'],
  ['MIZAR_ADAPTER_DATA_DIR', './adapter-data', 'where readings are kept until the broker has them'],
  [
    'MIZAR_ADAPTER_OUTBOX_BYTES',
    '1073741824',
    'bytes that may wait there; when it is full, devices are asked no more until there is room',
  ],
  ['MIZAR_ADAPTER_DROP_FOLDER', '', 'folder below which file-drop adapters take files'],
  ['MIZAR_ADAPTER_LOG_LEVEL', 'info', 'info, or warn for less'],
];

/** @throws Error that names the variable and says what it must be */
export function readProcessConfig(environment: Readonly<Record<string, string | undefined>>): ProcessConfig {
  for (const name of Object.keys(environment)) {
    if (name.startsWith('MIZAR_ADAPTER_') && !VARIABLES.some(([known]) => known === name))
      throw new Error(`${name} is not a setting of an adapter process`);
  }
  const value = (name: string) => environment[name] ?? '';
  const brokerUrl = value('MIZAR_ADAPTER_BROKER') || 'http://127.0.0.1:1026';
  if (!/^https?:\/\/./.test(brokerUrl) || !URL.canParse(brokerUrl))
    throw new Error('MIZAR_ADAPTER_BROKER must be the http or https URL of the broker');
  const name = value('MIZAR_ADAPTER_NAME');
  if (name === '') throw new Error('MIZAR_ADAPTER_NAME must say which adapter process this is');
  const file = value('MIZAR_ADAPTER_TOKEN_FILE');
  const token = file === '' ? value('MIZAR_ADAPTER_TOKEN') : readFileSync(file, 'utf8').trim();
  if (token === '')
    throw new Error('MIZAR_ADAPTER_TOKEN (or MIZAR_ADAPTER_TOKEN_FILE) must hold the token of this adapter process');
  const outboxBytes = Number(value('MIZAR_ADAPTER_OUTBOX_BYTES') || 1024 ** 3);
  if (!Number.isInteger(outboxBytes) || outboxBytes < 1024)
    throw new Error('MIZAR_ADAPTER_OUTBOX_BYTES must be a whole number from 1024');
  return {
    brokerUrl,
    name,
    token,
    dataDir: value('MIZAR_ADAPTER_DATA_DIR') || './adapter-data',
    outboxBytes,
    dropFolder: value('MIZAR_ADAPTER_DROP_FOLDER') || undefined,
    info: (value('MIZAR_ADAPTER_LOG_LEVEL') || 'info') === 'info',
  };
}
