import { describe, expect, it } from 'vitest';
import { decodeCayenne } from '../../../adapters/formats/cayenne-lpp.ts';
import { checkCodec, decode } from '../../../adapters/formats/codec.ts';

const read = (hex: string) =>
  Object.fromEntries(decodeCayenne(Buffer.from(hex.replaceAll(' ', ''), 'hex')).map(({ address, value }) => [address, value]));

describe('Cayenne LPP', () => {
  // The first three are the examples of the published format; the others were worked out from its table.
  it.each([
    ['03 67 01 10 05 67 00 FF', { temperature_3: 27.2, temperature_5: 25.5 }],
    ['06 71 04 D2 FB 2E 00 00', { accelerometer_6: { x: 1.234, y: -1.234, z: 0 } }],
    ['01 88 06 76 5F F2 96 0A 00 03 E8', { gps_1: { type: 'Point', coordinates: [-87.9094, 42.3519, 10] } }],
    ['01 67 FF D7', { temperature_1: -4.1 }],
    ['02 68 7B 03 73 27 8D', { relative_humidity_2: 61.5, barometric_pressure_3: 1012.5 }],
    ['04 65 03 E8 05 66 01 06 00 01 07 01 00', { luminosity_4: 1000, presence_5: 1, digital_in_6: 1, digital_out_7: 0 }],
    ['08 02 FF 9C 09 03 00 64', { analog_in_8: -1, analog_out_9: 1 }],
    ['0A 86 00 64 FF 9C 00 00', { gyrometer_10: { x: 1, y: -1, z: 0 } }],
  ])('%s', (hex, expected) => expect(read(hex)).toEqual(expected));

  it('what is cut off or unknown ends the reading, and what came before stays', () => {
    expect(read('03 67 01 10 05 67 00')).toEqual({ temperature_3: 27.2 });
    expect(read('03 67 01 10 05 FE 00 00 03 67 00 00')).toEqual({ temperature_3: 27.2 });
    expect(read('')).toEqual({});
    expect(read('03')).toEqual({});
  });

  it('is a codec like the others, for one port or all', () => {
    const codec = checkCodec([{ type: 'cayenne-lpp', port: 2 }]);
    const bytes = Buffer.from('03670110', 'hex');
    expect(decode(codec, 2, bytes)).toEqual([{ address: 'temperature_3', value: 27.2 }]);
    expect(decode(codec, 3, bytes)).toEqual([]);
    expect(() => checkCodec([{ type: 'cayenne-lpp', port: 0 }])).toThrow('codec[0]: port');
  });
});
