import type { JsonValue } from '../../broker/ports/ingest.ts';
import { type ModbusLine, modbusLine } from './line.ts';
import { readSettings } from './read-settings.ts';
import { fourOrders, sizeOf } from './registers.ts';

/**
 * `node adapters/modbus/probe.ts`: reads one variable and prints what it would be in each order of bytes and words, to compare with the device's display. Options are members of a slave
 * and of a variable: --ip --port --slaveId --type --address --datatype --datasize, or --serialPort --baudRate --byteSize --parity --stopBits.
 */
const members: Record<string, JsonValue> = {};
for (let at = 2; at + 1 < process.argv.length; at += 2) {
  const value = process.argv[at + 1] as string;
  members[(process.argv[at] as string).replace(/^--/, '')] = /^\d+$/.test(value) ? Number(value) : value;
}
const { type = 'holding', address = 0, datatype = '16uint', datasize, ...slave } = members;
let connection: ModbusLine | undefined;
try {
  const variable = { name: 'probe', type, address, datatype, ...(datasize !== undefined && { datasize }) };
  const { slaves } = readSettings({ modbusMaps: { PROBE: [variable] }, modbusSlaves: [{ ...slave, map: 'PROBE' }] });
  const [{ line, unit, timeoutMs, variables } = undefined as never] = slaves;
  const [asked] = variables;
  if (asked === undefined) throw new Error('there is nothing to ask');
  connection = modbusLine(line);
  const data = await connection.read(unit, { table: asked.type, address: asked.address, length: sizeOf(asked) }, timeoutMs);
  if (typeof data[0] === 'boolean') console.log(data.join(' '));
  else {
    const words = data as readonly number[];
    const hex = words.map((word) => word.toString(16).toUpperCase().padStart(4, '0')).join(' ');
    const orders = Object.entries(fourOrders(asked, words)).map(([name, value]) => `${name} ${JSON.stringify(value)}`);
    console.log(`registers ${hex}: ${orders.join(', ')}`);
  }
} catch (error) {
  console.error((error as Error).message);
  process.exitCode = 1;
} finally {
  await connection?.close();
}
