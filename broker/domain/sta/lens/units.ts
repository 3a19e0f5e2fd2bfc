import { isObject, type JsonObject, type JsonValue } from '../../json.ts';

/** UN/CEFACT Recommendation 20 code, UCUM code, symbol, name. The first row of a UCUM code is the one that it becomes. */
const ROWS: readonly (readonly [code: string, ucum: string, symbol: string, name: string])[] = [
  ['CEL', 'Cel', '°C', 'degree Celsius'],
  ['FAH', '[degF]', '°F', 'degree Fahrenheit'],
  ['KEL', 'K', 'K', 'kelvin'],
  ['P1', '%', '%', 'percent'],
  ['C62', '1', '1', 'one'],
  ['DD', 'deg', '°', 'degree (unit of angle)'],
  ['C81', 'rad', 'rad', 'radian'],
  ['PAL', 'Pa', 'Pa', 'pascal'],
  ['KPA', 'kPa', 'kPa', 'kilopascal'],
  ['A97', 'hPa', 'hPa', 'hectopascal'],
  ['BAR', 'bar', 'bar', 'bar'],
  ['MBR', 'mbar', 'mbar', 'millibar'],
  ['Q30', '[pH]', 'pH', 'pH (potential of Hydrogen)'],
  ['GQ', 'ug/m3', 'µg/m³', 'microgram per cubic metre'],
  ['GP', 'mg/m3', 'mg/m³', 'milligram per cubic metre'],
  ['M1', 'mg/L', 'mg/l', 'milligram per litre'],
  ['59', '[ppm]', 'ppm', 'part per million'],
  ['61', '[ppb]', 'ppb', 'part per billion'],
  ['2N', 'dB', 'dB', 'decibel'],
  ['MTR', 'm', 'm', 'metre'],
  ['CMT', 'cm', 'cm', 'centimetre'],
  ['MMT', 'mm', 'mm', 'millimetre'],
  ['KMT', 'km', 'km', 'kilometre'],
  ['H67', 'mm/h', 'mm/h', 'millimetre per hour'],
  ['MTS', 'm/s', 'm/s', 'metre per second'],
  ['KMH', 'km/h', 'km/h', 'kilometre per hour'],
  ['KNT', '[kn_i]', 'kn', 'knot'],
  ['VLT', 'V', 'V', 'volt'],
  ['2Z', 'mV', 'mV', 'millivolt'],
  ['AMP', 'A', 'A', 'ampere'],
  ['4K', 'mA', 'mA', 'milliampere'],
  ['OHM', 'Ohm', 'Ω', 'ohm'],
  ['WTT', 'W', 'W', 'watt'],
  ['KWT', 'kW', 'kW', 'kilowatt'],
  ['MAW', 'MW', 'MW', 'megawatt'],
  ['D46', 'V.A', 'V·A', 'volt-ampere'],
  ['KVA', 'kV.A', 'kV·A', 'kilovolt-ampere'],
  ['WHR', 'W.h', 'W·h', 'watt hour'],
  ['KWH', 'kW.h', 'kW·h', 'kilowatt hour'],
  ['MWH', 'MW.h', 'MW·h', 'megawatt hour'],
  ['LUX', 'lx', 'lx', 'lux'],
  ['LUM', 'lm', 'lm', 'lumen'],
  ['D54', 'W/m2', 'W/m²', 'watt per square metre'],
  ['HTZ', 'Hz', 'Hz', 'hertz'],
  ['SEC', 's', 's', 'second'],
  ['MIN', 'min', 'min', 'minute'],
  ['HUR', 'h', 'h', 'hour'],
  ['DAY', 'd', 'd', 'day'],
  ['MTQ', 'm3', 'm³', 'cubic metre'],
  ['LTR', 'L', 'l', 'litre'],
  ['MLT', 'mL', 'ml', 'millilitre'],
  ['KGM', 'kg', 'kg', 'kilogram'],
  ['GRM', 'g', 'g', 'gram'],
  ['MQH', 'm3/h', 'm³/h', 'cubic metre per hour'],
  ['MQS', 'm3/s', 'm³/s', 'cubic metre per second'],
  ['L2', 'L/min', 'l/min', 'litre per minute'],
  ['G42', 'uS/cm', 'µS/cm', 'microsiemens per centimetre'],
  ['H61', 'mS/cm', 'mS/cm', 'millisiemens per centimetre'],
  ['D10', 'S/m', 'S/m', 'siemens per metre'],
];

const UCUM = 'http://www.opengis.net/def/uom/UCUM/';
const BY_CODE = new Map(ROWS.map((row) => [row[0], row]));
const BY_UCUM = new Map(ROWS.toReversed().map((row) => [row[1], row]));
/** Symbols and names as people write them: case and blanks do not matter for names; a symbol must be written exactly. */
const BY_SYMBOL = new Map(ROWS.toReversed().map((row) => [row[2], row]));
const BY_NAME = new Map(ROWS.toReversed().map((row) => [plain(row[3]), row]));
for (const [alias, code] of [
  ['degC', 'CEL'],
  ['C', 'CEL'],
  ['degF', 'FAH'],
  ['ug/m3', 'GQ'],
  ['µg/m3', 'GQ'],
  ['μg/m³', 'GQ'],
  ['μg/m3', 'GQ'],
  ['mg/m3', 'GP'],
  ['W/m2', 'D54'],
  ['m3', 'MTQ'],
  ['m3/h', 'MQH'],
] as const) {
  if (!BY_SYMBOL.has(alias)) BY_SYMBOL.set(alias, BY_CODE.get(code) as (typeof ROWS)[number]);
}
for (const [alias, code] of [
  ['celsius', 'CEL'],
  ['degreecelsius', 'CEL'],
  ['percentage', 'P1'],
] as const) {
  BY_NAME.set(alias, BY_CODE.get(code) as (typeof ROWS)[number]);
}

function plain(name: string): string {
  return name.toLowerCase().replace(/[^a-z]/g, '');
}

export const UNITLESS: JsonObject = { name: null, symbol: null, definition: null };

/** unitOfMeasurement of a UN/CEFACT code. A code that is not in the table is its own symbol. */
export function unitOfMeasurement(unitCode: string | undefined): JsonObject {
  if (unitCode === undefined) return UNITLESS;
  const row = BY_CODE.get(unitCode);
  if (row === undefined) return { name: unitCode, symbol: unitCode, definition: null };
  return { name: row[3], symbol: row[2], definition: UCUM + encodeURIComponent(row[1]) };
}

/** The UN/CEFACT code that a unitOfMeasurement means: by its definition, then its symbol, then its name. undefined: none that we know. */
export function unitCodeOf(unit: JsonValue | undefined): string | undefined {
  if (!isObject(unit)) return undefined;
  const { definition, symbol, name } = unit;
  if (typeof definition === 'string') {
    const ucum = /(?:\/UCUM\/(?:0\/)?|^ucum:|unitsofmeasure\.org\/(?:ucum\/)?)([^/]+(?:\/[^/]+)?|[^/]*%2F[^/]*)$/.exec(
      definition,
    )?.[1];
    const row = ucum === undefined ? undefined : BY_UCUM.get(decoded(ucum));
    if (row !== undefined) return row[0];
  }
  if (typeof symbol === 'string' && BY_SYMBOL.has(symbol)) return BY_SYMBOL.get(symbol)?.[0];
  return typeof name === 'string' ? BY_NAME.get(plain(name))?.[0] : undefined;
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
