import { deviceTime } from '../device-time.ts';
import { checkCount, type Parsed, PayloadError, type Reading } from '../reading.ts';

/**
 * Reads the compact readings of newer Smart Citizen firmware, `{t:2026-03-01T07:00:00Z,55:18.4,56:61,53:null,}`, one character after
 * the other. The grammar: `{`, pairs, `}`; a pair is `t:<time>` or `<digits>:<number or null>`; commas between pairs may be missing or
 * trail, blanks stand anywhere between; numbers have no exponent. Bytes that are not ASCII are dropped first. `null` is no reading.
 * @throws PayloadError PARSE_ERROR at the first character that does not fit, BAD_TIMESTAMP without a time
 */
export function parseKitRaw(payload: Uint8Array | string): Parsed {
  const text = ascii(payload);
  let at = 0;
  let time: string | undefined;
  const readings: Reading[] = [];
  blanks();
  expect('{');
  for (;;) {
    blanks();
    while (text[at] === ',') {
      at++;
      blanks();
    }
    if (text[at] === '}') break;
    if (text[at] === 't') {
      at++;
      blanks();
      expect(':');
      blanks();
      const start = at;
      while (at < text.length && '0123456789-:TZ'.includes(text[at] as string)) at++;
      if (time !== undefined) throw fault(start, 'a second time');
      time = text.slice(start, at);
    } else pair();
  }
  at++;
  blanks();
  if (at < text.length) throw fault(at, 'something after the closing brace');
  const observedAt = time?.endsWith('Z') ? deviceTime(time) : undefined;
  if (observedAt === undefined) throw new PayloadError('BAD_TIMESTAMP', 'The readings have no time t:YYYY-MM-DDThh:mm:ssZ');
  return { measures: checkCount([{ observedAt, readings }]), warnings: [] };

  function pair(): void {
    const start = at;
    digits();
    if (at === start) throw fault(at, 'neither a sensor number nor t');
    const address = text.slice(start, at);
    blanks();
    expect(':');
    blanks();
    if (text.startsWith('null', at)) {
      at += 4;
      return;
    }
    const from = at;
    if (text[at] === '-') at++;
    const whole = at;
    digits();
    if (at === whole) throw fault(at, 'no number');
    if (text[at] === '.') {
      at++;
      const fraction = at;
      digits();
      if (at === fraction) throw fault(at, 'no digits after the point');
    }
    const value = Number(text.slice(from, at));
    if (Number.isFinite(value)) readings.push({ address, value });
  }
  function digits(): void {
    while (at < text.length && text.charCodeAt(at) >= 48 && text.charCodeAt(at) <= 57) at++;
  }
  function blanks(): void {
    while (text[at] === ' ' || text[at] === '\t' || text[at] === '\r' || text[at] === '\n') at++;
  }
  function expect(character: string): void {
    if (text[at] !== character) throw fault(at, `no "${character}"`);
    at++;
  }
}

function fault(at: number, what: string): PayloadError {
  return new PayloadError('PARSE_ERROR', `The readings cannot be understood at character ${at}: ${what}`);
}

function ascii(payload: Uint8Array | string): string {
  if (typeof payload !== 'string') return Buffer.from(payload.filter((byte) => byte < 128)).toString('latin1');
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the range is ASCII itself
  return payload.replace(/[^\u0000-\u007f]/g, '');
}
