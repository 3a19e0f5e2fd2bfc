import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { bytesOf, float16, float16Word, fourOrders, wordsOf } from '../../../adapters/modbus/registers.ts';
import type { Order, Variable } from '../../../adapters/modbus/settings.ts';
import { modbusValue, modbusWrite } from '../../../adapters/modbus/value-chain.ts';

const words = (hex: string): number[] => hex.split(' ').map((word) => Number.parseInt(word, 16));
const hex = (list: readonly number[]): string => list.map((word) => word.toString(16).toUpperCase().padStart(4, '0')).join(' ');
const holding = (members: Partial<Variable>): Variable => ({
  name: 'v',
  type: 'holding',
  address: 0,
  datatype: '16uint',
  ...members,
});

describe('registers to values', () => {
  // Each row was worked out by hand from IEEE 754 and two's complement, and from the register tables of the protocol's documents.
  it.each([
    ['8uint', '8C19', {}, 140],
    ['8int', '8C19', {}, -116],
    ['8uint', '8C19', { half: 'low' }, 25],
    ['16int', 'FF83', {}, -125],
    ['16uint', 'FF83', {}, 65411],
    ['32int', 'FFFE EE90', {}, -70000],
    ['32uint', '0001 E240', {}, 123456],
    ['32uint', 'E240 0001', { wordOrder: 'little' }, 123456],
    ['32uint', 'E240 0001', {}, 3795845121],
    ['64uint', '0020 0000 0000 0001', {}, '9007199254740993'],
    ['64uint', '0001 0000 0000 0020', { wordOrder: 'little' }, '9007199254740993'],
    ['64int', 'FFFF FFFF FFFF FFFF', {}, -1],
    ['64int', '8000 0000 0000 0000', {}, '-9223372036854775808'],
    ['16float', '4D6C', {}, 21.6875],
    ['16float', 'C0A0', {}, -2.3125],
    ['16float', '3C00', {}, 1],
    ['16float', '0001', {}, 2 ** -24],
    ['32float', '4367 B333', {}, 231.7],
    ['32float', 'B333 4367', { wordOrder: 'little' }, 231.7],
    ['32float', '6743 33B3', { byteOrder: 'little' }, 231.7],
    ['32float', '33B3 6743', { byteOrder: 'little', wordOrder: 'little' }, 231.7],
    ['64float', 'C029 4000 0000 0000', {}, -12.625],
    ['string', '4D54 522D 3037 0000', { datasize: 8 }, 'MTR-07'],
    ['string', '544D 2D52 3730 0000', { datasize: 8, byteOrder: 'little', wordOrder: 'little' }, 'MTR-07'],
    ['string', '4142 4344', { datasize: 3 }, 'ABC'],
    ['string', 'FC20', { datasize: 2 }, 'ü'],
    ['bits', '0005', { datasize: 4 }, [true, false, true, false]],
    ['bits', '0005', { datasize: 1 }, true],
    ['bits', '0500', { datasize: 4, byteOrder: 'little' }, [true, false, true, false]],
    ['16uint', '2B40', { shift: 6, mask: 7 }, 5],
    ['16uint', '01A4', { shift: 4, mask: 15 }, 10],
    ['16int', 'FF83', { factor: 0.1 }, -12.5],
    ['16uint', '00D7', { factor: 0.1 }, 21.5],
    ['16uint', '04D2', { factor: 0.001 }, 1.234],
    ['16uint', '0003', { factor: 0.1 }, 0.3],
    ['16uint', '0001', { factor: 10 }, 10],
    [
      '16int',
      '0003',
      {
        translation: [
          [1, 'COLD'],
          [2, 'HEAT'],
          [3, 'FAN'],
        ],
      },
      'FAN',
    ],
    ['16uint', '0005', { factor: 0.1, translation: [[0.5, 'HALF']] }, 'HALF'],
  ] as const)('%s of %s with %j is %j', (datatype, given, members, expected) => {
    expect(modbusValue(holding({ datatype, ...(members as Partial<Variable>) }), words(given))?.value).toEqual(expected);
  });

  it.each([
    ['32float', '7FC0 0000', {}],
    ['32float', '7F80 0000', {}],
    ['64float', '7FF8 0000 0000 0000', {}],
    ['16float', '7C00', {}],
    ['ignore', '1234', { datasize: 2 }],
    ['16int', '8000', { invalid: [32767, -32768] }],
    ['16int', 'FFFF', { invalid: [65535] }],
    ['32uint', 'FFFF FFFF', { invalid: [-1] }],
  ] as const)('%s of %s with %j is no reading', (datatype, given, members) => {
    expect(modbusValue(holding({ datatype, ...(members as Partial<Variable>) }), words(given))).toBeUndefined();
  });

  it('a code that the translation does not know stays a number, and says so', () => {
    expect(modbusValue(holding({ translation: [[1, 'ON']] }), [9])).toEqual({ value: 9, unknownCode: true });
    expect(modbusValue(holding({ translation: [[1, 'ON']] }), [1])).toEqual({ value: 'ON' });
  });

  it('coils are booleans, one or several, and can be translated', () => {
    const coil: Variable = { name: 'c', type: 'coil', address: 0, datatype: 'bits' };
    expect(modbusValue(coil, [true])?.value).toBe(true);
    expect(modbusValue({ ...coil, datasize: 3 }, [true, false, true])?.value).toEqual([true, false, true]);
    expect(
      modbusValue(
        {
          ...coil,
          translation: [
            [0, 'OFF'],
            [1, 'ON'],
          ],
        },
        [true],
      )?.value,
    ).toBe('ON');
  });

  it('the four orders of one variable show which is the right one', () => {
    expect(fourOrders(holding({ datatype: '32float' }), words('B333 4367'))['CDAB']).toBe(231.7);
    expect(Object.keys(fourOrders(holding({ datatype: '32float' }), words('B333 4367')))).toEqual([
      'ABCD',
      'CDAB',
      'BADC',
      'DCBA',
    ]);
  });

  it('every half float survives the way to a number and back', () => {
    for (let word = 0; word < 0x10000; word++) {
      const value = float16(word);
      if (Number.isFinite(value)) expect(float16Word(value)).toBe(word);
    }
  });

  it('bytes to words is the reverse of words to bytes in all four orders', () => {
    const order = fc.constantFrom<Order>('big', 'little');
    fc.assert(
      fc.property(fc.array(fc.nat(0xffff), { minLength: 1, maxLength: 4 }), order, order, (list, byteOrder, wordOrder) => {
        expect(wordsOf(bytesOf(list, byteOrder, wordOrder), byteOrder, wordOrder)).toEqual(list);
      }),
    );
  });
});

describe('values to registers', () => {
  const registers = (variable: Partial<Variable>, value: unknown): string => {
    const write = modbusWrite(holding(variable), value as never);
    return write.kind === 'registers' ? hex(write.words) : write.kind;
  };

  it.each([
    [{}, 21, '0015'],
    [{ datatype: '16int' }, -125, 'FF83'],
    [{ datatype: '16int', factor: 0.1 }, 21.57, '00D8'],
    [
      {
        datatype: '16int',
        translation: [
          [1, 'COLD'],
          [2, 'HEAT'],
          [3, 'FAN'],
        ],
      },
      'FAN',
      '0003',
    ],
    [{ datatype: '16float' }, -2.3125, 'C0A0'],
    [{ datatype: '32float', writable: true, wordOrder: 'little' }, 231.7, 'B333 4367'],
    [{ datatype: '32uint', writable: true }, 123456, '0001 E240'],
    [{ datatype: '64uint', writable: true }, '9007199254740993', '0020 0000 0000 0001'],
    [{ datatype: '64float', writable: true }, -12.625, 'C029 4000 0000 0000'],
    [{ datatype: 'string', datasize: 8, writable: true }, 'MTR-07', '4D54 522D 3037 0000'],
    [{ datatype: 'bits', writable: true }, Array.from({ length: 16 }, (_, bit) => bit === 0 || bit === 2), '0005'],
  ] as const)('%j takes %j as %s', (variable, value, expected) => {
    expect(registers(variable as Partial<Variable>, value)).toBe(expected);
  });

  it('says what is really written: 21.57 with steps of 0.1 is 21.6', () => {
    expect(modbusWrite(holding({ factor: 0.1 }), 21.57).value).toBe(21.6);
    expect(modbusWrite(holding({ translation: [[2, 'BOOST']] }), 'BOOST').value).toBe('BOOST');
  });

  it('a part of a register is written without touching the rest', () => {
    expect(modbusWrite(holding({ shift: 6, mask: 7, writable: true }), 5)).toMatchObject({
      kind: 'modify',
      mask: 0x1c0,
      bits: 0x140,
    });
    expect(modbusWrite(holding({ datatype: '8uint', writable: true }), 140)).toMatchObject({
      kind: 'modify',
      mask: 0xff00,
      bits: 0x8c00,
    });
    expect(modbusWrite(holding({ datatype: '8int', half: 'low', writable: true }), -1)).toMatchObject({
      mask: 0xff,
      bits: 0xff,
    });
    expect(modbusWrite(holding({ datatype: 'bits', datasize: 1, writable: true }), true)).toMatchObject({
      mask: 1,
      bits: 1,
      value: true,
    });
  });

  it('coils take true and false', () => {
    const coil: Variable = { name: 'c', type: 'coil', address: 4, datatype: 'bits', writable: true };
    expect(modbusWrite(coil, true)).toEqual({ kind: 'coils', address: 4, bits: [true], value: true });
    expect(() => modbusWrite(coil, 'yes')).toThrow('c takes true or false');
  });

  it.each([
    [{ type: 'input' }, 1, 'read-only'],
    [{ type: 'discrete', datatype: 'bits' }, true, 'read-only'],
    [{ datatype: '32uint' }, 1, 'not writable'],
    [{ type: 'coil', datatype: 'bits' }, true, 'not writable'],
    [{ writable: false }, 1, 'not writable'],
    [{ shift: 6, mask: 7 }, 1, 'not writable'],
    [{}, 65536, 'takes 0 to 65535'],
    [{}, -1, 'takes 0 to 65535'],
    [{ datatype: '16int', factor: 0.1 }, 4000, 'takes -3276.8 to 3276.7'],
    [{ shift: 6, mask: 7, writable: true }, 8, 'takes 0 to 7'],
    [{ translation: [[1, 'ON']] }, 'HALF', 'has no value "HALF"; it has "ON"'],
    [{}, 'warm', 'takes a number'],
    [{}, null, 'takes a number'],
    [{ datatype: '16float' }, 70000, 'does not fit'],
    [{ datatype: 'string', datasize: 2, writable: true }, 'abc', 'at most 2 bytes'],
  ] as const)('%j does not take %j: %s', (variable, value, reason) => {
    expect(() => modbusWrite(holding(variable as Partial<Variable>), value)).toThrow(reason);
  });

  it('what is written is what is read again, for every datatype and order', () => {
    const order = fc.constantFrom<Order>('big', 'little');
    const datatype = fc.constantFrom('16int', '16uint', '32int', '32uint', '64int', '64uint', '64float' as const);
    fc.assert(
      fc.property(datatype, order, order, fc.integer({ min: 0, max: 32767 }), (type, byteOrder, wordOrder, value) => {
        const variable = holding({ datatype: type as Variable['datatype'], byteOrder, wordOrder, writable: true });
        const write = modbusWrite(variable, value);
        expect(write.kind === 'registers' && modbusValue(variable, write.words)?.value).toBe(value);
      }),
    );
  });
});
