import { pause } from '../waiting.ts';
import { ModbusException, type ModbusLine } from './line.ts';
import { type Block, planReads, splitBlock } from './plan.ts';
import { sizeOf } from './registers.ts';
import type { Slave, Variable } from './settings.ts';
import { type ModbusValue, modbusValue } from './value-chain.ts';

/** What one round brought. */
export interface Round {
  /** The start of the slave's answer, in ms since 1970: the time of all values. */
  readonly at: number;
  readonly values: ReadonlyMap<string, ModbusValue>;
  /** What could not be read and why, as sentences. */
  readonly warnings: readonly string[];
}

export interface PollFigures {
  readonly rounds: number;
  readonly failedRounds: number;
  /** Rounds left out because the one before had not ended. */
  readonly skippedRounds: number;
  readonly lastRoundMs: number;
  readonly offline: boolean;
  readonly lastError?: string;
}

export interface PollOptions {
  readonly slave: Slave;
  readonly line: ModbusLine;
  /** Resolves when the values are kept; until then no further round begins. */
  readonly onRound: (round: Round) => Promise<void>;
  /** The slave has become silent, or is heard again: told once each. */
  readonly onState: (state: 'online' | 'offline', error?: string) => Promise<void>;
}

/** Rounds that must fail before a slave counts as offline. */
const SILENT_ROUNDS = 3;
const LONGEST_BACK_OFF_MS = 60_000;

/**
 * Reads all variables of a slave, in as few requests as it takes, again and again. A round that is not ready when the next is due makes that one be left out; a
 * slave that does not answer is asked more seldom, up to once a minute.
 */
export function poll({ slave, line, onRound, onState }: PollOptions): { figures(): PollFigures; stop(): Promise<void> } {
  const stopping = new AbortController();
  const figures = {
    rounds: 0,
    failedRounds: 0,
    skippedRounds: 0,
    lastRoundMs: 0,
    offline: false,
    lastError: undefined as string | undefined,
  };
  let blocks = planReads(slave.variables, slave.maxGap);
  let failures = 0;

  async function round(): Promise<void> {
    const began = performance.now();
    try {
      const result = await readRound();
      failures = 0;
      figures.lastError = result.warnings[0];
      // That the values could not be kept is no fault of the slave.
      await onRound(result).then(
        () => figures.rounds++,
        (error: Error) => {
          figures.lastError = `not kept: ${error.message}`;
        },
      );
      if (figures.offline) {
        figures.offline = false;
        await onState('online');
      }
    } catch (error) {
      figures.failedRounds++;
      failures++;
      figures.lastError = (error as Error).message;
      if (failures >= SILENT_ROUNDS && !figures.offline) {
        figures.offline = true;
        await onState('offline', figures.lastError).catch(() => {
          // Not kept, so it is told again after the next round that fails.
          figures.offline = false;
        });
      }
    }
    figures.lastRoundMs = Math.round(performance.now() - began);
  }

  async function readRound(): Promise<Round> {
    const values = new Map<string, ModbusValue>();
    const warnings: string[] = [];
    let at: number | undefined;
    const waiting = [...blocks];
    for (let block = waiting.shift(); block !== undefined; block = waiting.shift()) {
      try {
        const data = await attempt(block);
        at ??= Date.now();
        for (const variable of block.variables) {
          const value = modbusValue(variable, cut(data, block, variable));
          if (value !== undefined) values.set(variable.name, value);
        }
      } catch (error) {
        if (!(error instanceof ModbusException)) throw error;
        at ??= Date.now();
        const parts = error.code === 2 ? splitBlock(block) : [block];
        if (parts.length > 1) {
          // Something in between is not there. Remembered, so that it is asked once and not in every round.
          blocks = blocks.flatMap((known) => (known === block ? parts : [known]));
          waiting.unshift(...parts);
        } else warnings.push(`${block.variables.map(({ name }) => name).join(', ')}: ${error.message}`);
      }
    }
    return { at: at ?? Date.now(), values, warnings };
  }

  async function attempt(block: Block): Promise<readonly number[] | readonly boolean[]> {
    for (let tries = 0; ; tries++) {
      try {
        return await line.read(slave.unit, block, slave.timeoutMs);
      } catch (error) {
        // Busy slaves answer with 5 or 6 and are asked again, as silent ones are.
        const transient = !(error instanceof ModbusException) || error.code === 5 || error.code === 6;
        if (!transient || tries >= slave.retries || stopping.signal.aborted) throw error;
        if (error instanceof ModbusException) await pause(Math.min(slave.timeoutMs, 100), stopping.signal);
      }
    }
  }

  async function run(): Promise<void> {
    let due = performance.now();
    while (!stopping.signal.aborted) {
      await round();
      const now = performance.now();
      due += slave.periodMs;
      if (due < now && failures === 0) {
        const missed = Math.ceil((now - due) / slave.periodMs);
        figures.skippedRounds += missed;
        due += missed * slave.periodMs;
      }
      if (failures > 0) due = Math.max(due, now + Math.min(1000 * 2 ** (failures - 1), LONGEST_BACK_OFF_MS));
      await pause(due - now, stopping.signal);
    }
  }

  const running = run();
  return {
    figures() {
      const { lastError, ...rest } = figures;
      return { ...rest, ...(lastError !== undefined && { lastError }) };
    },
    async stop() {
      stopping.abort();
      await running;
    },
  };
}

/** The words or bits of one variable out of those of its block. */
function cut(
  data: readonly number[] | readonly boolean[],
  block: Block,
  variable: Variable,
): readonly number[] | readonly boolean[] {
  const from = variable.address - block.address;
  return data.slice(from, from + sizeOf(variable)) as readonly number[] | readonly boolean[];
}
