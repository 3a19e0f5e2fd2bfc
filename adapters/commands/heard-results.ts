import type { CommandDesk, DeviceOutcome } from '../../broker/ports/ingest.ts';
import type { Heard } from '../interpret.ts';
import { type CommandResult, parseJsonResults, parseUltraLightResults, splitUltraLight } from './results.ts';
import { commandEntries } from './targets.ts';

/** What a message says about commands, and what is left of it. */
export interface HeardResults {
  readonly results: readonly CommandResult[];
  /** The measures; undefined: there are none. */
  readonly measures: Heard | undefined;
}

/** @throws PayloadError if the message should hold results and cannot be read */
export function heardResults(heard: Heard): HeardResults {
  const { known, payload } = heard;
  const text = () => Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength).toString('utf8');
  if (heard.results === true) {
    const results = heard.format === 'json' ? parseJsonResults(text()) : parseUltraLightResults(text(), known.device.device_id);
    return { results, measures: undefined };
  }
  if (heard.format !== 'ultralight' || heard.attribute !== undefined || !payload.includes(AT))
    return { results: [], measures: heard };
  const { results, measures } = splitUltraLight(text(), known.device.device_id, commandEntries(known));
  if (results.length === 0) return { results, measures: heard };
  return { results, measures: measures === undefined ? undefined : { ...heard, payload: Buffer.from(measures) } };
}

const AT = '@'.charCodeAt(0);

/** Hands the results on. @returns the outcome of the message, given what became of its measures */
export async function giveResults(
  commands: Pick<CommandDesk, 'answered'>,
  identity: string,
  { results, measures }: HeardResults,
  outcome: DeviceOutcome,
): Promise<DeviceOutcome> {
  const unknown: string[] = [];
  for (const { name, ok, info } of results) {
    if (!(await commands.answered(identity, name, { ok, info }))) unknown.push(name);
  }
  if (unknown.length === 0) return outcome;
  const reason = `No open command is called ${unknown.map((name) => JSON.stringify(name.slice(0, 64))).join(', ')}: never given, answered already, or expired`;
  if (measures === undefined && unknown.length === results.length) {
    return { accepted: false, code: 'COMMAND_NOT_FOUND', reason, identity };
  }
  return outcome.accepted ? { ...outcome, warnings: [...(outcome.warnings ?? []), reason] } : outcome;
}
