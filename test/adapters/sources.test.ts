import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { DeviceMessage, Surroundings } from '../../adapters/adapter.ts';
import { fileDropAdapter, readDropSettings } from '../../adapters/files/drop.ts';
import { httpPollAdapter, readPollSettings } from '../../adapters/http/poll.ts';
import type { JsonValue } from '../../broker/domain/json.ts';
import type { Instant } from '../../broker/domain/time.ts';
import { until as holds } from '../support/devices.ts';

const until = (condition: () => boolean, what: string) => holds(condition, what, 18);

function surroundings(more: Partial<Surroundings> = {}) {
  const messages: DeviceMessage[] = [];
  const logged: string[] = [];
  const given: Surroundings = {
    name: 'test',
    sink: { take: async (taken) => void messages.push(...taken) },
    now: () => '2026-03-01T12:00:00Z' as Instant,
    log: (_level, message) => void logged.push(message),
    mayContact: async () => {},
    ...more,
  };
  const heard = () =>
    messages.map(({ device, at, payload }) => [
      device,
      at,
      ...(JSON.parse(payload) as { readings: { value: JsonValue }[] }).readings.map(({ value }) => value),
    ]);
  return { given, messages, logged, heard };
}

async function service(answer: (request: IncomingMessage, response: ServerResponse) => void): Promise<string> {
  const server = createServer(answer);
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  onTestFinished(() => void server.close());
  return `http://127.0.0.1:${(server.address() as { port: number }).port}/`;
}

describe('polling a web service', () => {
  it('asks with its headers, hands in what is new, and does not read again what has not changed', async () => {
    const asked: (string | undefined)[] = [];
    const url = await service((request, response) => {
      asked.push(`${request.headers['x-key']} ${request.headers['if-none-match'] ?? ''}`.trim());
      if (request.headers['if-none-match'] === '"1"') response.writeHead(304).end();
      else response.writeHead(200, { etag: '"1"' }).end('[{"id":"a","t":1,"at":"2026-03-01T10:00:00Z"},{"t":2}]');
    });
    const { given, heard } = surroundings();
    const settings = readPollSettings({
      url,
      everyS: 1,
      headers: { 'x-key': 's3cret' },
      json: { device: { pointer: '/id' }, time: { pointer: '/at' } },
    });
    const adapter = httpPollAdapter({ ...settings, everyMs: 20 }, given);
    await until(() => asked.length >= 3, 'three polls');
    await adapter.stop();
    expect(asked.slice(0, 3)).toEqual(['s3cret', 's3cret "1"', 's3cret "1"']);
    expect(heard()).toEqual([['a', '2026-03-01T10:00:00Z', 'a', 1, '2026-03-01T10:00:00Z']]);
    expect(adapter.state()).toMatchObject({
      failing: false,
      refusedItems: 1,
      lastRefusals: ['item 1: the item names no device'],
    });
    expect(JSON.stringify(adapter.state())).not.toContain('s3cret');
  });

  it.each([
    ['an error', (_: IncomingMessage, response: ServerResponse) => void response.writeHead(500).end(), 'the answer is 500'],
    ['nonsense', (_: IncomingMessage, response: ServerResponse) => void response.end('<html>'), 'not valid JSON'],
    [
      'too much',
      (_: IncomingMessage, response: ServerResponse) => void response.end(JSON.stringify({ t: 'x'.repeat(5000) })),
      'larger than 1000 bytes',
    ],
    [
      'a way elsewhere',
      (_: IncomingMessage, response: ServerResponse) =>
        void response.writeHead(302, { location: 'http://169.254.169.254/' }).end(),
      'no answer',
    ],
    ['silence', () => {}, 'no answer'],
  ])('%s is a failure; after three it says so and asks more seldom', async (_name, answer, reason) => {
    const url = await service(answer);
    const { given, messages, logged } = surroundings();
    const settings = readPollSettings({ url, timeoutMs: 100, maxBytes: 1000, json: { device: 'x' } });
    const adapter = httpPollAdapter({ ...settings, everyMs: 5 }, given);
    await until(() => logged.length > 0, 'the warning');
    await adapter.stop();
    expect(logged).toEqual([expect.stringContaining('asked more seldom')]);
    expect(adapter.state()).toMatchObject({ failing: true });
    expect(String(adapter.state()['lastError'])).toContain(reason);
    expect(messages).toEqual([]);
  });

  it('an address that may not be contacted is not', async () => {
    let asked = 0;
    const url = await service((_, response) => {
      asked++;
      response.end('{}');
    });
    const { given, logged } = surroundings({
      mayContact: async () => {
        throw new Error('not a public address');
      },
    });
    const adapter = httpPollAdapter({ ...readPollSettings({ url, json: { device: 'x' } }), everyMs: 5 }, given);
    await until(() => logged.length > 0, 'the warning');
    await adapter.stop();
    expect(asked).toBe(0);
  });

  it.each([
    [{ url: 'ftp://x' }, 'url:'],
    [{ url: 'http://x', everyS: 0 }, 'everyS:'],
    [{ url: 'http://x' }, 'json, csv:'],
    [{ url: 'http://x', headers: { a: 1 }, json: { device: 'x' } }, 'headers:'],
    [{ url: 'http://x', csv: { time: { column: 't' } } }, 'csv.device:'],
  ])('settings %j are refused at %s', (given, path) => expect(() => readPollSettings(given as JsonValue)).toThrow(path));
});

describe('dropping files', () => {
  function folder(): string {
    const path = mkdtempSync(join(tmpdir(), 'mizar-drop-'));
    onTestFinished(() => rmSync(path, { recursive: true, force: true }));
    mkdirSync(join(path, 'in'));
    return path;
  }
  const settings = (more: object = {}) => ({
    ...readDropSettings({ folder: 'in', csv: { time: { column: 'when' }, device: { column: 'id' } }, ...more } as JsonValue),
    everyMs: 10,
  });
  const done = (path: string) => (existsSync(join(path, 'in/done')) ? readdirSync(join(path, 'in/done')).sort() : []);

  it('a file is taken when it is complete, moved away, and what of it cannot be read lies beside it', async () => {
    const path = folder();
    const { given, heard } = surroundings({ dropFolder: path });
    const adapter = fileDropAdapter(settings(), given);
    writeFileSync(join(path, 'in/a.csv'), 'when,id,v\n2026-03-01T10:00:00Z,s1,1\nnever,s1,2\n2026-03-01T10:02:00Z,s2,3\n');
    writeFileSync(join(path, 'in/notes.txt'), 'not ours');
    await until(() => done(path).length === 2, 'the file to be taken');
    await adapter.stop();
    expect(heard()).toEqual([
      ['s1', '2026-03-01T10:00:00Z', 1],
      ['s2', '2026-03-01T10:02:00Z', 3],
    ]);
    expect(readdirSync(join(path, 'in')).sort()).toEqual(['done', 'notes.txt']);
    const [file, report] = done(path) as [string, string];
    expect(file).toMatch(/-a\.csv$/);
    expect(JSON.parse(readFileSync(join(path, 'in/done', report), 'utf8'))).toEqual([
      { at: 'line 3', reason: '"never" is no time of the form iso with a zone' },
    ]);
  });

  it('a file that cannot be read at all goes to "failed" and does not keep the others', async () => {
    const path = folder();
    writeFileSync(join(path, 'in/bad.csv'), 'x,y\n1,2\n');
    writeFileSync(join(path, 'in/good.csv'), 'when,id,v\n2026-03-01T10:00:00Z,s1,1\n');
    const { given, heard } = surroundings({ dropFolder: path });
    const adapter = fileDropAdapter(settings(), given);
    await until(() => done(path).length === 1 && existsSync(join(path, 'in/failed')), 'both files');
    await adapter.stop();
    expect(heard()).toHaveLength(1);
    expect(readdirSync(join(path, 'in/failed')).map((name) => name.replace(/^[^-]*-\d\d-[^-]*-/, ''))).toEqual([
      'bad.csv',
      'bad.csv.refused.json',
    ]);
  });

  it('what was not taken is taken again: the file stays until it is safe', async () => {
    const path = folder();
    writeFileSync(join(path, 'in/a.json'), '{"list":[{"id":"s1","v":1}]}');
    let failures = 2;
    const taken: DeviceMessage[] = [];
    const { given } = surroundings({
      dropFolder: path,
      sink: {
        take: async (messages) => {
          if (failures-- > 0) throw new Error('the disk is full');
          taken.push(...messages);
        },
      },
    });
    const adapter = fileDropAdapter(
      settings({ csv: undefined, json: { list: '/list', device: { pointer: '/id' } }, after: 'delete' }),
      given,
    );
    await until(() => !existsSync(join(path, 'in/a.json')), 'the file to be taken');
    await adapter.stop();
    expect(taken).toHaveLength(1);
    // Without a time of its own it is of when the file was written, however often it is read.
    expect(taken[0]!.at).toMatch(/^\d{4}-/);
    expect(existsSync(join(path, 'in/failed'))).toBe(false);
  });

  it.each([
    [{ folder: '../etc' }, 'folder:'],
    [{ folder: 'a/../../b' }, 'folder:'],
    [{ pattern: '../*.csv' }, 'pattern:'],
    [{ after: 'keep' }, 'after:'],
  ])('settings %j are refused at %s', (given, path) =>
    expect(() => readDropSettings({ json: { device: 'x' }, ...given } as JsonValue)).toThrow(path),
  );

  it('without a folder that the machine has set aside, no file is read', () => {
    expect(() => fileDropAdapter(settings(), surroundings().given)).toThrow('no drop folder is set here');
  });
});
