import { describe, expect, it } from 'vitest';
import { planReads, splitBlock } from '../../../adapters/modbus/plan.ts';
import type { Variable } from '../../../adapters/modbus/settings.ts';

const at = (address: number, datatype: Variable['datatype'] = '16uint', more: Partial<Variable> = {}): Variable => ({
  name: `v${address}`,
  type: 'holding',
  address,
  datatype,
  ...more,
});
const spans = (variables: readonly Variable[], maxGap = 8) =>
  planReads(variables, maxGap).map(({ table, address, length }) => [table, address, length]);

describe('contiguous reads', () => {
  it('variables of one table are read together as far as the gaps are small, whatever their order in the map', () => {
    expect(spans([at(20), at(0), at(3, '32uint'), at(10, '64uint')])).toEqual([['holding', 0, 21]]);
    expect(spans([at(0), at(10)])).toEqual([
      ['holding', 0, 1],
      ['holding', 10, 1],
    ]);
    expect(spans([at(0), at(9)])).toEqual([['holding', 0, 10]]);
  });

  it('tables are never mixed', () => {
    expect(
      spans([at(0), at(1, '16uint', { type: 'input' }), at(1, 'bits', { type: 'coil' }), at(2, 'bits', { type: 'discrete' })]),
    ).toEqual([
      ['holding', 0, 1],
      ['input', 1, 1],
      ['coil', 1, 1],
      ['discrete', 2, 1],
    ]);
  });

  it('125 registers are one request, 126 are two; 2000 bits are one', () => {
    const registers = (count: number) => Array.from({ length: count }, (_, address) => at(address));
    expect(spans(registers(125))).toEqual([['holding', 0, 125]]);
    expect(spans(registers(126))).toEqual([
      ['holding', 0, 125],
      ['holding', 125, 1],
    ]);
    expect(spans([at(0, 'bits', { type: 'coil' }), at(1, 'bits', { type: 'coil', datasize: 1999 })])).toEqual([
      ['coil', 0, 2000],
    ]);
  });

  it('a value is never torn: one that would end beyond the request begins the next', () => {
    const many = [...Array.from({ length: 124 }, (_, address) => at(address)), at(124, '32uint')];
    expect(spans(many)).toEqual([
      ['holding', 0, 124],
      ['holding', 124, 2],
    ]);
  });

  it('"ignore" bridges a gap and is not read for its own sake', () => {
    const bridge = at(1, 'ignore', { datasize: 40 });
    expect(spans([at(0), bridge, at(21)], 0)).toEqual([['holding', 0, 22]]);
    expect(spans([bridge, at(30)], 0)).toEqual([['holding', 30, 1]]);
  });

  it('several variables may share a register', () => {
    expect(
      spans([at(7, '16uint', { name: 'a', shift: 6, mask: 7 }), at(7, '32uint', { name: 'b' }), at(7, 'bits', { name: 'c' })]),
    ).toEqual([['holding', 7, 2]]);
  });

  it('a refused read is split at its gaps, then into single variables, then no more', () => {
    const [block] = planReads([at(0), at(1), at(5)], 8);
    const parts = splitBlock(block!);
    expect(parts.map(({ address, length }) => [address, length])).toEqual([
      [0, 2],
      [5, 1],
    ]);
    expect(splitBlock(parts[0]!).map(({ address, length }) => [address, length])).toEqual([
      [0, 1],
      [1, 1],
    ]);
    expect(splitBlock(parts[1]!)).toEqual([parts[1]]);
  });
});
