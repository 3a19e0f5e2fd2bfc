/**
 * A Modbus slave in a process of its own. Arguments: `tcp`, or the path of a serial port. Over the channel to its parent it takes `{ put: [table, unit, address, value] }` and
 * `{ fault: …, times }`, and answers `{ get: [table, unit, address] }`.
 */
import { SerialPort } from 'serialport';
import {
  emptyTables,
  type Fault,
  type ModbusSlave,
  serveRtu,
  serveTcp,
  type Tables,
} from '../../adapters/simulator/modbus-slave.ts';

type Message =
  | { put: [keyof Tables, number, number, number | boolean] }
  | { get: [keyof Tables, number, number] }
  | { fault: Fault; times: number; unit?: number }
  | { seen: true };

const units = new Map<number, Tables>();
let fault: Fault | undefined;
let times = 0;
let only: number | undefined;
const seen: string[] = [];
const slave: ModbusSlave = {
  units,
  fault: (unit) => (fault !== undefined && (only === undefined || only === unit) && times-- > 0 ? fault : undefined),
  seen: (unit, pdu) => void seen.push(`${unit}:${pdu.toString('hex')}`),
};

process.on('message', (message: Message) => {
  if ('put' in message) {
    const [table, unit, address, value] = message.put;
    const tables = units.get(unit) ?? emptyTables();
    units.set(unit, tables);
    (tables[table] as Map<number, number | boolean>).set(address, value);
    process.send?.({ done: true });
  } else if ('get' in message) {
    const [table, unit, address] = message.get;
    process.send?.({ value: units.get(unit)?.[table].get(address) });
  } else if ('fault' in message) {
    ({ fault, times, unit: only } = message);
    process.send?.({ done: true });
  } else process.send?.({ seen: seen.splice(0) });
});

const where = process.argv[2] as string;
if (where === 'tcp') {
  const { port } = await serveTcp(slave, Number(process.argv[3] ?? 0));
  process.send?.({ port });
} else {
  // See AWAKE_MS in adapters/modbus/line.ts.
  setInterval(() => {}, 3);
  const line = new SerialPort({ path: where, baudRate: 9600 });
  line.on('open', () => {
    serveRtu(slave, line);
    process.send?.({ port: 0 });
  });
}
