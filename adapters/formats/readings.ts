import { isObject, parseInstant } from '../../broker/ports/ingest.ts';
import { checkCount, isValue, type Parsed, PayloadError, parseJson, type Quality, type Reading } from '../reading.ts';

const QUALITIES: readonly string[] = ['good', 'suspect', 'simulated', 'unknownCode'];

/**
 * Readings as adapters hand them in that have read their device themselves: `{"readings":[{"address","value","quality"?,"observedAt"?}]}`.
 * @throws PayloadError
 */
export function parseReadings(text: string): Parsed {
  const message = parseJson(text);
  const list = isObject(message) ? message['readings'] : undefined;
  if (!Array.isArray(list)) throw new PayloadError('PARSE_ERROR', 'The message has no list of readings');
  const warnings: string[] = [];
  const readings = list.flatMap((entry): Reading[] => {
    if (!isObject(entry) || typeof entry['address'] !== 'string' || entry['address'] === '') {
      warnings.push('A reading has no address');
      return [];
    }
    const { address, value, quality } = entry;
    const observedAt = typeof entry['observedAt'] === 'string' ? parseInstant(entry['observedAt']) : undefined;
    if (!isValue(value)) return [];
    return [
      {
        address,
        value,
        ...(QUALITIES.includes(quality as string) && { quality: quality as Quality }),
        ...(observedAt !== undefined && { observedAt }),
      },
    ];
  });
  return { measures: checkCount([{ readings }]), warnings };
}
