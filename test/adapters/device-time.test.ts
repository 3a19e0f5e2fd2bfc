import { describe, expect, it } from 'vitest';
import { deviceTime } from '../../adapters/device-time.ts';

describe('times of devices', () => {
  it.each([
    ['2026-03-01T07:00:00Z', undefined, '2026-03-01T07:00:00Z'],
    ['2026-03-01T07:00:00.123456789Z', undefined, '2026-03-01T07:00:00.123Z'],
    ['2026-03-01T07:00:00+02:00', undefined, '2026-03-01T05:00:00Z'],
    ['20260301T070000Z', undefined, '2026-03-01T07:00:00Z'],
    ['2026-03-01 07:00:00', 'UTC', '2026-03-01T07:00:00Z'],
    ['2026-03-01 07:00:00', 'Europe/Bratislava', '2026-03-01T06:00:00Z'],
    ['2026-03-01', 'UTC', '2026-03-01T00:00:00Z'],
    ['2026-03-01T07:00:00', undefined, undefined],
    ['2026-03-01T07:00:00', 'No/Where', undefined],
    ['2026-10-25T02:30:00', 'Europe/Bratislava', undefined],
    ['2026-03-29T02:30:00', 'Europe/Bratislava', undefined],
    ['2026-02-30T00:00:00Z', undefined, undefined],
    ['2026-03-01T25:00:00Z', undefined, undefined],
    ['yesterday', 'UTC', undefined],
    [1772355600, 'UTC', undefined],
  ])('%s in zone %s is %s', (text, zone, expected) => expect(deviceTime(text, zone)).toBe(expected));
});
