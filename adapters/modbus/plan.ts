import { sizeOf } from './registers.ts';
import type { Table, Variable } from './settings.ts';

/** What one request may read, by the MODBUS Application Protocol V1.1b3: 125 registers, 2000 bits. */
export const MOST: Readonly<Record<Table, number>> = { holding: 125, input: 125, coil: 2000, discrete: 2000 };

/** One read request and the variables that it brings. */
export interface Block {
  readonly table: Table;
  readonly address: number;
  /** Registers or bits. */
  readonly length: number;
  readonly variables: readonly Variable[];
}

/**
 * Few, contiguous reads that bring all variables: those of one table are merged in the order of their addresses as long as at most `maxGap` addresses
 * between them are read in vain and the request stays possible. `ignore` bridges a gap, and is not read for its own sake.
 */
export function planReads(variables: readonly Variable[], maxGap: number): readonly Block[] {
  const blocks: Block[] = [];
  for (const table of ['holding', 'input', 'coil', 'discrete'] as const) {
    const own = variables.filter(({ type }) => type === table).sort((a, b) => a.address - b.address);
    let open: Variable[] = [];
    for (const variable of own) {
      if (open.length > 0 && !joins(open, variable, maxGap, table)) {
        blocks.push(...blockOf(table, open));
        open = [];
      }
      open.push(variable);
    }
    blocks.push(...blockOf(table, open));
  }
  return blocks;
}

/**
 * What to ask instead of a block that a slave refuses with "illegal data address", because something in it is not there: its parts without gaps, and of a block that
 * has none, each variable alone. @returns the block itself if nothing is left to split
 */
export function splitBlock(block: Block): readonly Block[] {
  const parts = planReads(block.variables, 0);
  if (parts.length > 1) return parts;
  const single = block.variables
    .filter(({ datatype }) => datatype !== 'ignore')
    .flatMap((variable) => blockOf(block.table, [variable]));
  return single.length > 1 ? single : [block];
}

function joins(open: readonly Variable[], next: Variable, maxGap: number, table: Table): boolean {
  const first = (open[0] as Variable).address;
  const end = endOf(open);
  return next.address - end <= maxGap && Math.max(end, next.address + sizeOf(next)) - first <= MOST[table];
}

function blockOf(table: Table, all: readonly Variable[]): readonly Block[] {
  const from = all.findIndex(({ datatype }) => datatype !== 'ignore');
  if (from < 0) return [];
  const to = all.findLastIndex(({ datatype }) => datatype !== 'ignore');
  const variables = all.slice(from, to + 1);
  const address = (variables[0] as Variable).address;
  return [{ table, address, length: endOf(variables) - address, variables }];
}

const endOf = (variables: readonly Variable[]): number =>
  Math.max(...variables.map((variable) => variable.address + sizeOf(variable)));
