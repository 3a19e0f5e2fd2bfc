import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseFilter, parseTopic } from '../../adapters/mqtt/topics.ts';
import { CITY, deviceSide } from '../support/devices.ts';

describe('topics of devices', () => {
  it.each<[string, object | undefined]>([
    ['/json/k/d/attrs', { form: 'fiware', format: 'json', key: 'k', deviceId: 'd', kind: 'attrs', errorTopic: '/k/d/errors' }],
    ['ul/k/d/attrs/t', { form: 'fiware', format: 'ultralight', attribute: 't', errorTopic: 'k/d/errors' }],
    ['/k/d/attrs', { form: 'fiware', format: 'any' }],
    ['/json/k/d/cmdexe', { kind: 'cmdexe' }],
    ['/json/k/d/configuration/commands', { kind: 'configuration/commands' }],
    ['device/sck/tok/readings', { form: 'kit', token: 'tok', part: 'readings', errorTopic: 'device/sck/tok/errors' }],
    ['bridge/a/device/sck/tok/readings/raw', { form: 'kit', part: 'raw', errorTopic: 'bridge/a/device/sck/tok/errors' }],
    ['device/sck/tok/info', { part: 'info' }],
    ['device/sck/tok/hello', { part: 'hello' }],
    ['device/inventory', { form: 'inventory' }],
    ['device/sck/inventory', { form: 'inventory' }],
    ['v3/app@ten/devices/dev/up', { form: 'things-stack', deviceId: 'dev', event: 'up' }],
    ['v3/app/devices/dev/down/ack', { form: 'things-stack', event: 'down/ack' }],
    ['json/k/d', undefined],
    ['/json//d/attrs', undefined],
    ['/json/k/d/attrs/a/b', undefined],
    ['device/sck/tok', undefined],
    ['device/sck/tok/readings/other', undefined],
    ['', undefined],
    ['/', undefined],
    ['a', undefined],
  ])('%s', (topic, expected) => {
    const parsed = parseTopic(topic);
    if (expected === undefined) expect(parsed).toBeUndefined();
    else expect(parsed).toMatchObject(expected);
  });

  it('that may be listened to name one device, without wildcards before it', () => {
    for (const good of ['/k/d/cmd', 'k/d/#', 'json/k/d/cmd', 'device/sck/tok/errors', 'v3/a/devices/d/errors']) {
      expect([good, parseFilter(good) === undefined]).toEqual([good, false]);
    }
    for (const bad of [
      '#',
      '+/d/cmd',
      '/k/+/cmd',
      '/k/#',
      'device/sck/+/errors',
      'device/sck/#',
      'v3/+/devices/d/errors',
      'v3/#',
      'k/d/attrs',
      '',
    ]) {
      expect([bad, parseFilter(bad)]).toEqual([bad, undefined]);
    }
  });

  it('and payloads of any kind have an outcome, and store nothing without a valid key', async () => {
    await using side = await deviceSide();
    await side.devices.createGroups(CITY, [{ resource: '/iot/json', apikey: 'k', entity_type: 'T' }]);
    const level = fc.oneof(
      fc.constantFrom('json', 'ul', 'k', 'd', 'attrs', 'device', 'sck', 'readings', 'v3', 'devices', 'up', ''),
      fc.string({ maxLength: 8 }),
    );
    const topic = fc.array(level, { maxLength: 7 }).map((levels) => levels.join('/'));
    const payload = fc.oneof(
      fc.uint8Array({ maxLength: 60 }),
      fc.json().map((text) => Buffer.from(text)),
      fc.string().map((text) => Buffer.from(text)),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(topic, payload), { maxLength: 8 }), async (messages) => {
        const outcomes = await side.intake.mqtt(
          messages.map(([name, bytes]) => ({ topic: name, payload: bytes, session: { kind: 'anonymous' } })),
        );
        expect(outcomes).toHaveLength(messages.length);
        expect(
          outcomes.every((outcome) => outcome.accepted || (outcome.code !== 'INTERNAL_ERROR' && outcome.reason !== '')),
        ).toBe(true);
      }),
      { numRuns: 500 },
    );
    expect(side.ingest.fragments.every(({ caller }) => caller.tenant === 'city')).toBe(true);
  });
});
