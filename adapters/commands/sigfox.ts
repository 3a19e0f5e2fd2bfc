import {
  type Command,
  type CommandDesk,
  isObject,
  type JsonObject,
  type JsonValue,
  type KnownDevice,
} from '../../broker/ports/ingest.ts';
import { parseJson } from '../reading.ts';
import { commandPayload } from './payload.ts';

/** A downlink is always as long as this. */
const FRAME_BYTES = 8;

/** `infoCode` of the callback that tells what became of a downlink (SERVICE / ACKNOWLEDGE of the Sigfox backend). */
const INFO_CODES = [
  'ACKED',
  'NO_ANSWER',
  'INVALID_PAYLOAD',
  'OVERRUN_ERROR',
  'NETWORK_ERROR',
  'PENDING',
  'NO_DOWNLINK_CONTRACT',
];
const PENDING = 5;

/** What Sigfox devices are told: each when it listens. */
export interface SigfoxDownlinks {
  /**
   * What a callback of the Sigfox backend is answered. A device listens for some seconds after an uplink that asks for it (`ack`), and takes one frame.
   * A callback that comes again is given the same answer again.
   * @returns undefined: it did not ask; empty: there is nothing for it; otherwise `{"<device>":{"downlinkData":"…"}}`, and the command counts as delivered
   */
  downlink(known: KnownDevice, text: string): Promise<string | undefined>;
  /** Reads the callback that tells what became of a downlink. @returns false if the message is something else */
  acknowledged(known: KnownDevice, text: string): Promise<boolean>;
}

/** Callbacks come again within seconds. */
const REMEMBERED = 1000;

export function sigfoxDownlinks(commands: Pick<CommandDesk, 'answered' | 'fetch' | 'open'>): SigfoxDownlinks {
  /** By device, the last callback and what it was answered. */
  const given = new Map<string, { readonly callback: string; readonly answer: string }>();

  async function next(known: KnownDevice, device: string): Promise<string> {
    for (;;) {
      const [command] = await commands.fetch(known.identity, false, 1);
      if (command === undefined) return '';
      try {
        return JSON.stringify({ [device]: { downlinkData: frameOf(command, known).toString('hex') } });
      } catch (error) {
        await commands.answered(known.identity, command.name, { ok: false, info: (error as Error).message });
      }
    }
  }

  return {
    async downlink(known, text) {
      const message = membersOf(text);
      if (message['ack'] !== true && message['ack'] !== 'true') return undefined;
      const callback = JSON.stringify([message['time'], message['seqNumber'], message['data']]);
      const before = given.get(known.identity);
      if (before?.callback === callback) return before.answer;
      const answer = await next(known, String(message['device']));
      if (given.size >= REMEMBERED) given.clear();
      given.set(known.identity, { callback, answer });
      return answer;
    },
    async acknowledged(known, text) {
      const message = membersOf(text);
      const said = message['data'] === undefined ? message['infoCode'] : undefined;
      const code = said === undefined || said === '' ? Number.NaN : Number(said);
      if (!Number.isInteger(code)) return false;
      // It is still on its way.
      if (code === PENDING) return true;
      const sent = commands.open(known.identity).find(({ state }) => state === 'DELIVERED');
      const info = INFO_CODES[code] ?? `infoCode ${code}`;
      if (sent !== undefined) await commands.answered(known.identity, sent.name, { ok: code === 0, info });
      return true;
    },
  };
}

/** What cannot be read is refused where it is read as a measure. */
function membersOf(text: string): JsonObject {
  try {
    const message = parseJson(text);
    return isObject(message) ? message : {};
  } catch {
    return {};
  }
}

/** The bytes of a command, filled up with zeros. @throws Error if it says no bytes, or too many */
function frameOf(command: Command, known: KnownDevice): Buffer {
  const { body } = commandPayload(command, known);
  const bytes = typeof body === 'string' ? hexOf(command.value) : Buffer.from(body);
  if (bytes === undefined) {
    throw new Error(
      `how "${command.name}" is written as bytes is not said: neither by a payloadType of the command, nor by a value of hexadecimal digits`,
    );
  }
  if (bytes.length > FRAME_BYTES) throw new Error(`${command.name} has ${bytes.length} bytes; a downlink has ${FRAME_BYTES}`);
  return Buffer.concat([bytes], FRAME_BYTES);
}

/** `"0102"` or `{"hex":"0102"}`. */
function hexOf(value: JsonValue): Buffer | undefined {
  const text = isObject(value) ? value['hex'] : value;
  return typeof text === 'string' && /^([0-9a-f]{2})+$/i.test(text) ? Buffer.from(text, 'hex') : undefined;
}
