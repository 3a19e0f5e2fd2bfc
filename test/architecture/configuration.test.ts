import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  ConfigError,
  configurationTable,
  readConfig,
  refuseLonelyProcesses,
  refuseOpenWorld,
  refuseUnknownStore,
  SETTINGS,
} from '../../broker/config.ts';

describe('configuration', () => {
  it('docs/configuration.md has every setting as it is ("npm run docs" writes it)', () => {
    const page = readFileSync(join(import.meta.dirname, '../../docs/configuration.md'), 'utf8');
    expect(page).toContain(configurationTable());
  });

  it('an unknown variable stops the start and names the one that was meant', () => {
    expect(() => readConfig({ MIZAR_HTTP_PROT: '80' })).toThrow(
      new ConfigError('MIZAR_HTTP_PROT is not a setting. Did you mean MIZAR_HTTP_PORT?'),
    );
  });

  it.each([
    ['MIZAR_HTTP_PORT', '70000', 'whole number from 0 to 65535'],
    ['MIZAR_HTTP_PORT', '', 'whole number'],
    ['MIZAR_MQTT', 'yes', 'true or false'],
    ['MIZAR_LOG_LEVEL', 'loud', 'one of trace'],
  ])('%s=%s is refused with what it must be', (variable, value, message) => {
    expect(() => readConfig({ [variable]: value })).toThrow(message);
    expect(() => readConfig({ [variable]: value })).toThrow(variable);
  });

  it('mizar.json gives values, the environment wins, and an unknown member stops the start', () => {
    const file = join(mkdtempSync(join(tmpdir(), 'mizar-')), 'mizar.json');
    writeFileSync(file, JSON.stringify({ httpPort: 8080, mqtt: false, egressAllow: ['a.example', 'b.example'] }));
    const config = readConfig({ MIZAR_HTTP_PORT: '9090' }, file);
    expect(config).toMatchObject({
      httpPort: 9090,
      mqtt: false,
      egressAllow: ['a.example', 'b.example'],
      mqttPort: SETTINGS.mqttPort.fallback,
    });
    writeFileSync(file, JSON.stringify({ httpport: 1 }));
    expect(() => readConfig({}, file)).toThrow('Did you mean httpPort?');
  });

  it('without authentication it listens beyond this machine only if told so', () => {
    expect(() => refuseOpenWorld(readConfig({ MIZAR_HOST: '0.0.0.0' }))).toThrow('MIZAR_OPEN=true');
    expect(() => refuseOpenWorld(readConfig({ MIZAR_HOST: '0.0.0.0', MIZAR_OPEN: 'true' }))).not.toThrow();
    expect(() => refuseOpenWorld(readConfig({}))).not.toThrow();
  });

  it('a store that it does not know stops the start, and so do several processes on MongoDB', () => {
    expect(() => refuseUnknownStore(readConfig({ MIZAR_STORE: 'postgres://db' }))).toThrow('MIZAR_STORE must be empty');
    expect(() => refuseUnknownStore(readConfig({ MIZAR_STORE: 'mongodb://db/city' }))).not.toThrow();
    const several = readConfig({ MIZAR_STORE: 'mongodb://db/city', MIZAR_PROCESSES: '2' });
    expect(() => refuseLonelyProcesses(several, 'linux')).toThrow('not possible with MIZAR_STORE');
  });
});
