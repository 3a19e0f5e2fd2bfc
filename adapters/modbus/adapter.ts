import { fromMicros, type Instant, isObject, type JsonValue } from '../../broker/ports/ingest.ts';
import { type Adapter, readingsMessage, type Surroundings } from '../adapter.ts';
import { type AboutPacket, type MqttLink, mqttLink } from '../mqtt/link.ts';
import { type ModbusLine, modbusLine } from './line.ts';
import { poll, type Round } from './poll.ts';
import { type Line, lineName, type ModbusSettings, type Slave } from './settings.ts';
import { fillTemplate } from './template.ts';
import { modbusWrite, WriteRefusal } from './value-chain.ts';

/** Polls the slaves of a settings document, publishes what their templates say, and writes what commands and messages ask for. */
export function modbusAdapter(settings: ModbusSettings, { name, sink, log, mayContact }: Surroundings): Adapter {
  const lines = new Map<string, ModbusLine>();
  const mqtt = settings.mqtt && link(settings.mqtt, settings.slaves);
  const polls = settings.slaves.map((slave) => ({
    slave,
    poll: poll({
      slave,
      line: lineTo(slave.line),
      onRound: (round) => heard(slave, round),
      onState: (state, error) => told(slave, state, error),
    }),
  }));

  function lineTo(line: Line): ModbusLine {
    const known = lines.get(lineName(line));
    if (known !== undefined) return known;
    const made = guarded(line);
    lines.set(lineName(line), made);
    return made;
  }

  /** The line, behind the question whether its address may be contacted at all. */
  function guarded(line: Line): ModbusLine {
    const inner = modbusLine(line);
    if (line.kind === 'serial') return inner;
    const allowed = () =>
      mayContact(new URL(`modbus://${line.host.includes(':') ? `[${line.host}]` : line.host}:${line.port}`));
    return {
      read: async (...request) => allowed().then(() => inner.read(...request)),
      write: async (...request) => allowed().then(() => inner.write(...request)),
      close: inner.close,
    };
  }

  async function heard(slave: Slave, { at, values, warnings }: Round): Promise<void> {
    for (const warning of warnings) log('warn', warning, { adapter: name, unit: slave.unit, line: lineName(slave.line) });
    const time = fromMicros(at * 1000);
    const readings = [...values].map(([address, { value, unknownCode }]) => ({
      address,
      value,
      ...(unknownCode && { quality: 'unknownCode' }),
    }));
    if (slave.device !== undefined && readings.length > 0) await sink.take([readingsMessage(slave.device, time, readings)]);
    publish(slave, values, time);
    if (settings.logLevel === 'Info') log('info', 'round', { adapter: name, unit: slave.unit, readings: readings.length });
  }

  function publish(slave: Slave, values: Round['values'], time: Instant): void {
    const names = namesOf(slave);
    const plain = new Map([...values].map(([variable, { value }]) => [variable, value]));
    for (const { topic, template, extras, missing } of slave.publications) {
      const filled = fillTemplate(template, plain, names, time, missing) ?? {};
      mqtt?.publish(topic, JSON.stringify(isObject(filled) ? { ...filled, ...extras } : filled));
    }
  }

  async function told(slave: Slave, state: 'online' | 'offline', error?: string): Promise<void> {
    log(state === 'offline' ? 'warn' : 'info', `slave is ${state}`, {
      adapter: name,
      unit: slave.unit,
      line: lineName(slave.line),
      error,
    });
    if (slave.device === undefined) return;
    await sink.take([readingsMessage(slave.device, fromMicros(Date.now() * 1000), [{ address: 'deviceState', value: state }])]);
  }

  /** @returns the value really written */
  async function write(slave: Slave, variableName: string, value: JsonValue): Promise<JsonValue> {
    const variable = slave.variables.find((one) => one.name === variableName && one.datatype !== 'ignore');
    if (variable === undefined) throw new WriteRefusal(`the register map has no variable "${variableName}"`);
    const asked = modbusWrite(variable, value);
    await lineTo(slave.line).write(slave.unit, asked, slave.timeoutMs);
    return asked.value;
  }

  /** A message on a subscribed topic: every member that is a variable is written, the others are reported. */
  async function message(topic: string, payload: Buffer, { retained }: AboutPacket): Promise<void> {
    let wanted: JsonValue;
    try {
      wanted = JSON.parse(payload.toString('utf8'));
    } catch {
      wanted = null;
    }
    for (const slave of settings.slaves.filter(({ subscriptions }) => subscriptions.includes(topic))) {
      if (retained && !slave.writeRetained) log('warn', 'a retained message is no command', { adapter: name, topic });
      else if (!isObject(wanted)) log('warn', 'a command must be a JSON object of variables', { adapter: name, topic });
      else {
        for (const [variable, value] of Object.entries(wanted)) {
          await write(slave, variable, value as JsonValue).then(
            (written) => log('info', 'written', { adapter: name, topic, variable, value: written }),
            (error: Error) => log('warn', `not written: ${error.message}`, { adapter: name, topic, variable }),
          );
        }
      }
    }
  }

  function link(server: NonNullable<ModbusSettings['mqtt']>, slaves: readonly Slave[]): MqttLink {
    const topics = [...new Set(slaves.flatMap(({ subscriptions }) => subscriptions))];
    return mqttLink({
      ...server,
      subscriptions: topics,
      onMessage: message,
      mayContact,
      log: (level, text, details) => log(level, text, { adapter: name, ...details }),
    });
  }

  return {
    state: () => ({
      slaves: polls.map(({ slave, poll: one }) => ({
        line: lineName(slave.line),
        unit: slave.unit,
        ...(slave.device !== undefined && { device: slave.device }),
        ...one.figures(),
      })),
      ...(mqtt && { mqtt: mqtt.connected() ? 'connected' : 'not connected' }),
    }),
    async command(device, variable, value) {
      const slave = settings.slaves.find((one) => one.device === device);
      if (slave === undefined) throw new WriteRefusal(`no slave is the device "${device}"`);
      return write(slave, variable, value);
    },
    async stop() {
      await Promise.all(polls.map(({ poll: one }) => one.stop()));
      await mqtt?.close();
      await Promise.all([...lines.values()].map((line) => line.close()));
    },
  };
}

const namesOf = ({ variables }: Slave): readonly string[] =>
  variables.flatMap(({ datatype, name }) => (datatype === 'ignore' ? [] : [name]));
