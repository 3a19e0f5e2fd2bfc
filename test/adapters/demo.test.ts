import { describe, expect, it } from 'vitest';
import { cityOf, GROUPS, KEYS } from '../../adapters/demo/city.ts';
import { infoOf, messageOf } from '../../adapters/demo/messages.ts';
import type { Instant } from '../../broker/domain/time.ts';
import { CITY, deviceSide } from '../support/devices.ts';

const NOW = '2026-03-02T12:00:00Z' as Instant;
const MOMENTS = [new Date('2026-03-02T11:00:00Z'), new Date('2026-03-02T11:30:00Z')];

describe('the demonstration city', () => {
  it('has every kind of device, over MQTT and HTTP', () => {
    const city = cityOf(20);
    expect(new Set(city.map(({ kind }) => kind)).size).toBe(7);
    expect(new Set(city.map(({ way }) => way))).toEqual(new Set(['mqtt', 'http']));
    expect(city.some(({ kind, raw }) => kind === 'kit' && raw)).toBe(true);
    expect(new Set(city.map(({ id }) => id)).size).toBe(20);
  });

  it('can be provisioned, and every message it sends is understood without a warning', async () => {
    await using side = await deviceSide({ now: () => NOW });
    await side.devices.createGroups(CITY, GROUPS);
    const city = cityOf(14);
    const tokens = new Map(
      (
        await side.devices.createDevices(
          CITY,
          city.map(({ provisioning }) => provisioning),
        )
      ).map((one) => [one.device_id, one.token]),
    );
    const network = side.devices.authenticate('parks@city', KEYS.weather);
    const soil = side.devices.authenticate('parks@city', KEYS.soil);
    for (const device of city) {
      const message = messageOf(device, MOMENTS, tokens.get(device.id), 7);
      const session = (device.kind === 'weather' ? network : device.kind === 'soil' ? soil : undefined) ?? {
        kind: 'anonymous' as const,
      };
      const [outcome] = await side.intake.mqtt([{ topic: message.topic, payload: Buffer.from(message.body), session }]);
      expect([device.id, outcome]).toEqual([device.id, { accepted: true, identity: expect.stringContaining(device.id) }]);
    }
    const info = infoOf(tokens.get('kit-1') ?? '', MOMENTS[0]);
    const [outcome] = await side.intake.mqtt([
      { topic: info.topic, payload: Buffer.from(info.body), session: { kind: 'anonymous' } },
    ]);
    expect(outcome).toMatchObject({ accepted: true });
    const types = new Set(side.ingest.fragments.flatMap((fragment) => fragment.types.map((type) => type.split('/').at(-1))));
    expect([...types].sort()).toEqual([
      'AirQualityObserved',
      'Device',
      'GreenspaceRecord',
      'NoiseLevelObserved',
      'OffStreetParking',
      'ParkingSpot',
      'Streetlight',
      'WasteContainer',
      'WeatherObserved',
    ]);
    expect(side.ingest.fragments.every(({ types: [type] }) => type?.startsWith('https://smartdatamodels.org/'))).toBe(true);
  });
});
