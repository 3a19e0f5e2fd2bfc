import { isObject, type JsonValue } from '../../broker/ports/ingest.ts';
import { ultraLightValue } from '../formats/ultralight.ts';
import { PayloadError, parseJson } from '../reading.ts';

/** What a device says that became of a command. */
export interface CommandResult {
  readonly name: string;
  readonly ok: boolean;
  readonly info: JsonValue;
}

/**
 * Results in JSON: `{"dim":"done"}`, several names possible. A device that knows of failures sends `{"dim":{"status":"ERROR","info":"jammed"}}`.
 * @throws PayloadError if it is no JSON object
 */
export function parseJsonResults(message: string): readonly CommandResult[] {
  const body = parseJson(message);
  if (!isObject(body)) throw new PayloadError('PARSE_ERROR', 'The result of a command must be a JSON object, name and result');
  return Object.entries(body).map(([name, info]) => {
    if (isObject(info) && (info['status'] === 'ERROR' || info['status'] === 'OK')) {
      return { name, ok: info['status'] === 'OK', info: (info['info'] ?? '') as JsonValue };
    }
    return { name, ok: true, info: info as JsonValue };
  });
}

/**
 * Results in UltraLight: `lamp3@dim|done`, several joined by `#`.
 * @throws PayloadError if one of them is not of that form, or of another device
 */
export function parseUltraLightResults(message: string, deviceId: string): readonly CommandResult[] {
  return message
    .trim()
    .split('#')
    .map((part) => {
      const result = ultraLightResult(part, deviceId);
      if (result === undefined) {
        throw new PayloadError('PARSE_ERROR', `The result of a command must be ${deviceId}@<command>|<result>`);
      }
      return result;
    });
}

/** One `<device>@<command>|<result>`; undefined if it is none. Everything behind the first bar is the result. */
export function ultraLightResult(part: string, deviceId: string): CommandResult | undefined {
  if (!part.startsWith(`${deviceId}@`)) return undefined;
  const bar = part.indexOf('|');
  const name = part.slice(deviceId.length + 1, bar < 0 ? undefined : bar);
  if (name === '') return undefined;
  return { name, ok: true, info: bar < 0 ? '' : ultraLightValue(part.slice(bar + 1)) };
}

/** Takes an UltraLight message apart into results of known commands and measures; text values with an "@" stay measures. */
export function splitUltraLight(
  message: string,
  deviceId: string,
  commands: readonly { readonly name: string }[],
): { readonly results: readonly CommandResult[]; readonly measures: string | undefined } {
  const results: CommandResult[] = [];
  const measures = message.split('#').filter((part) => {
    const result = part.includes('|') ? ultraLightResult(part.trim(), deviceId) : undefined;
    if (result === undefined || !commands.some(({ name }) => name === result.name)) return true;
    results.push(result);
    return false;
  });
  return { results, measures: measures.length === 0 ? undefined : measures.join('#') };
}
