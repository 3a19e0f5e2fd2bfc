/** From the number a device gives to the number of the model: `raw × factor + offset`. */
export interface Scale {
  readonly factor?: number;
  readonly offset?: number;
}

/**
 * Applies a scale. The result is rounded to twelve significant digits, because 215 × 0.1 should be 21.5 and no sensor measures finer.
 * @returns the number itself if there is nothing to do
 */
export function scaled(raw: number, { factor, offset }: Scale): number {
  if (factor === undefined && offset === undefined) return raw;
  return Number((raw * (factor ?? 1) + (offset ?? 0)).toPrecision(12));
}

/** UN/CEFACT Common Codes (Recommendation 20) by the symbols that devices and people use. */
export const UNIT_CODES: Readonly<Record<string, string>> = {
  '°C': 'CEL',
  C: 'CEL',
  '%': 'P1',
  hPa: 'A97',
  kPa: 'KPA',
  'µg/m³': 'GQ',
  'ug/m3': 'GQ',
  'mg/m³': 'GP',
  ppm: '59',
  ppb: '61',
  dB: '2N',
  'dB(A)': '2N',
  lux: 'LUX',
  lx: 'LUX',
  V: 'VLT',
  A: 'AMP',
  W: 'WTT',
  kW: 'KWT',
  kWh: 'KWH',
  Hz: 'HTZ',
  'm/s': 'MTS',
  'km/h': 'KMH',
  '°': 'DD',
  m: 'MTR',
  cm: 'CMT',
  mm: 'MMT',
  kg: 'KGM',
  s: 'SEC',
};

/** The UN/CEFACT code for a symbol; what is no known symbol is taken for a code already. */
export function unitCode(symbol: string): string {
  return Object.hasOwn(UNIT_CODES, symbol) ? (UNIT_CODES[symbol] as string) : symbol;
}
