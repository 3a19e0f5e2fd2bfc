import type { JsonObject } from '../../broker/ports/ingest.ts';
import { wordsOf } from '../modbus/registers.ts';
import { emptyTables, type Fault, type ModbusSlave, type Tables } from './modbus-slave.ts';
import { type Rates, randomNumbers, signal } from './signal.ts';

/** The register map of the simulated meters, as an operator would write it down. */
export const METER_MAP: readonly JsonObject[] = [
  { name: 'voltage', type: 'input', address: 0, datatype: '32float', unitCode: 'VLT' },
  { name: 'activePower', type: 'input', address: 2, datatype: '32int', factor: 0.001, wordOrder: 'little', unitCode: 'KWT' },
  { name: 'totalActiveEnergyImport', type: 'input', address: 4, datatype: '64uint', factor: 0.001, unitCode: 'KWH' },
  { name: 'frequency', type: 'input', address: 8, datatype: '16uint', factor: 0.01, unitCode: 'HTZ', invalid: [65535] },
  { name: 'serialNumber', type: 'holding', address: 0, datatype: 'string', datasize: 8 },
  {
    name: 'mode',
    type: 'holding',
    address: 10,
    datatype: '16uint',
    translation: [
      [0, 'OFF'],
      [1, 'ECO'],
      [2, 'BOOST'],
    ],
  },
  { name: 'limit', type: 'holding', address: 11, datatype: '16int', factor: 0.1, unitCode: 'KWT' },
  { name: 'relay', type: 'coil', address: 0, datatype: 'bits', writable: true },
];

/** The settings of an adapter that reads the meters of one gateway. */
export const meterSettings = (host: string, port: number, units: number, periodS: number): JsonObject => ({
  modbusMaps: { METER: METER_MAP },
  modbusSlaves: Array.from({ length: units }, (_, at) => ({
    ip: host,
    port,
    slaveId: at + 1,
    map: 'METER',
    entity: { type: 'ACMeasurement', id: `urn:ngsi-ld:ACMeasurement:simulated-${port}-${at + 1}` },
  })),
  period: periodS,
});

/** Meters behind one gateway. `step` lets time pass: the load moves, energy adds up, the relay and the limit that were written to them count. */
export function simulatedMeters(
  units: number,
  seed: number,
  rates: Rates,
): { readonly slave: ModbusSlave; step(at: Date, seconds: number): void } {
  const random = randomNumbers(seed);
  const meters = Array.from({ length: units }, (_, at) => ({
    tables: meterTables(`SM-${String(seed % 100).padStart(2, '0')}${at + 1}`),
    voltage: signal({ mean: 231, swing: -2, noise: 1.5 }, random),
    load: signal({ mean: 2.4 + at, swing: 1.1, noise: 0.5, least: 0.05 }, random),
    frequency: signal({ mean: 50, swing: 0, noise: 0.02, memory: 0.5 }, random),
    energyWh: 12_345_678 + at * 1000,
  }));
  const fault = (): Fault | undefined => {
    if (random() >= rates.fault) return undefined;
    const which = random();
    if (which < 0.4) return { kind: 'exception', code: 6 };
    if (which < 0.6) return { kind: 'exception', code: 4 };
    if (which < 0.8) return { kind: 'slow', ms: 1500 };
    return which < 0.9 ? { kind: 'silent' } : { kind: 'drop', half: random() < 0.5 };
  };
  return {
    slave: { units: new Map(meters.map(({ tables }, at) => [at + 1, tables])), fault },
    step(at, seconds) {
      for (const meter of meters) {
        const { tables } = meter;
        const on = tables.coil.get(0) === true && tables.holding.get(10) !== 0;
        const limitKw = (tables.holding.get(11) ?? 0) / 10;
        const powerKw = on ? Math.min(meter.load(at), limitKw) : 0;
        meter.energyWh += (powerKw * 1000 * seconds) / 3600;
        put(tables, 0, float(meter.voltage(at)));
        put(tables, 2, wordsOf(integer(Math.round(powerKw * 1000), 4), 'big', 'little'));
        put(tables, 4, wordsOf(integer(Math.round(meter.energyWh), 8)));
        // Now and then the sensor has nothing to say.
        tables.input.set(8, random() < rates.fault ? 65_535 : Math.round(meter.frequency(at) * 100));
      }
    },
  };
}

function meterTables(serial: string): Tables {
  const tables = emptyTables();
  for (let address = 0; address < 9; address++) tables.input.set(address, 0);
  const text = Buffer.alloc(8);
  text.write(serial, 'latin1');
  wordsOf(text).forEach((word, at) => {
    tables.holding.set(at, word);
  });
  tables.holding.set(10, 1).set(11, 110);
  tables.coil.set(0, true);
  return tables;
}

function put(tables: Tables, address: number, words: readonly number[]): void {
  words.forEach((word, at) => {
    tables.input.set(address + at, word);
  });
}

function float(value: number): readonly number[] {
  const bytes = Buffer.alloc(4);
  bytes.writeFloatBE(value);
  return wordsOf(bytes);
}

function integer(value: number, length: 4 | 8): Buffer {
  const bytes = Buffer.alloc(length);
  if (length === 8) bytes.writeBigUInt64BE(BigInt(value));
  else bytes.writeInt32BE(value);
  return bytes;
}
