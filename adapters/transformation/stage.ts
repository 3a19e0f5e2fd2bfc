import type { DeviceOutcome, TransformationRecord } from '../../broker/ports/ingest.ts';
import { type Heard, messageOf, refusalOf } from '../interpret.ts';
import { PayloadError } from '../reading.ts';
import type { Sandbox } from './sandbox.ts';
import {
  needsSandbox,
  readTransformation,
  type Transformation,
  type Transformed,
  transformHere,
  transformThere,
} from './transform.ts';

/** The first stage of processing: messages of devices that name a transformation become what it makes of them. */
export interface TransformationStage {
  /** @returns the message to be read in place of this one, or its outcome if there is none; a promise only if code of an operator has to run */
  run(heard: Heard, record: TransformationRecord): Heard | DeviceOutcome | Promise<Heard | DeviceOutcome>;
  /** Whether messages wait for the sandbox. */
  isSlow(record: TransformationRecord): boolean;
  /** Why no message is given to it any more; undefined: it works. */
  suspended(key: string): string | undefined;
}

interface Program {
  readonly transformation: Transformation;
  /** Failures one after the other. */
  failures: number;
  lastError: string;
}

/** Code that fails so often in a row is not called again until the document is changed: it costs time that others need. */
const MOST_FAILURES = 10;
const MOST_PROGRAMS = 1000;

export function transformationStage(sandbox: Sandbox): TransformationStage {
  const programs = new Map<string, Program>();

  function programOf({ key, document }: TransformationRecord): Program {
    let program = programs.get(key);
    if (program === undefined) {
      program = { transformation: readTransformation(document), failures: 0, lastError: '' };
      if (programs.size >= MOST_PROGRAMS) programs.delete(programs.keys().next().value as string);
      programs.set(key, program);
    }
    return program;
  }

  function outcome(heard: Heard, input: ReturnType<typeof messageOf>, name: string, made: Transformed): Heard | DeviceOutcome {
    const { identity } = heard.known;
    if ('error' in made) return failed(identity, name, made.error);
    const warnings = made.warnings.map((warning) => `transformation ${name}: ${warning}`);
    if (made.message === undefined || made.message === null)
      return { accepted: true, identity, ...(warnings.length > 0 && { warnings }) };
    return {
      ...heard,
      transformed: {
        text: JSON.stringify(made.message),
        warnings,
        ...(input.uplink !== undefined && { uplink: input.uplink }),
      },
    };
  }

  const suspension = (program: Program | undefined): string | undefined =>
    program === undefined || program.failures < MOST_FAILURES
      ? undefined
      : `it has failed ${MOST_FAILURES} times in a row and is suspended until it is changed; the last time: ${program.lastError}`;

  return {
    run(heard, record) {
      try {
        const program = programOf(record);
        const stopped = suspension(program);
        if (stopped !== undefined) return failed(heard.known.identity, record.name, stopped);
        const input = messageOf(heard);
        if (!needsSandbox(program.transformation))
          return outcome(heard, input, record.name, transformHere(program.transformation, input.message));
        return transformThere(program.transformation, record.key, input.message, sandbox).then((made) => {
          const error = 'error' in made ? made.error : made.warnings[0];
          program.failures = error === undefined ? 0 : program.failures + 1;
          program.lastError = error ?? '';
          return outcome(heard, input, record.name, made);
        });
      } catch (error) {
        if (error instanceof PayloadError) return { ...refusalOf(error), identity: heard.known.identity };
        return failed(heard.known.identity, record.name, (error as Error).message);
      }
    },
    isSlow: (record) => needsSandbox(programOf(record).transformation),
    suspended: (key) => suspension(programs.get(key)),
  };
}

const failed = (identity: string, name: string, why: string): DeviceOutcome => ({
  accepted: false,
  code: 'TRANSFORMATION_FAILED',
  reason: `The transformation ${name} made nothing of the message: ${why}`.slice(0, 400),
  identity,
});
