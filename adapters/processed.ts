import type { DeviceHealth, DeviceOutcome, Fragment, Instant, KnownDevice, Processing } from '../broker/ports/ingest.ts';
import { heardResults } from './commands/heard-results.ts';
import type { Heard } from './interpret.ts';
import type { TransformationStage } from './transformation/stage.ts';

/** Fragments on their way to the store, and the message that each comes from. */
export interface OnTheirWay {
  readonly fragments: readonly Fragment[];
  readonly owners: readonly number[];
}

/** The part of processing that concerns messages as a whole: asked only while something is configured. */
export interface MessageProcessing {
  readonly active: boolean;
  /** There are transformations. */
  readonly transforms: boolean;
  /** Whether code of an operator has to run for messages of this device. */
  isSlow(known: KnownDevice): boolean;
  /** What transformations make of the messages, in their order. */
  transformed(messages: readonly (Heard | DeviceOutcome)[]): Promise<readonly (Heard | DeviceOutcome)[]>;
  /**
   * What rules and validation leave. Values that are refused are added to the warnings of their messages.
   * @param outcomes by message; changed
   */
  judged(
    messages: readonly (Heard | DeviceOutcome)[],
    made: OnTheirWay,
    outcomes: DeviceOutcome[],
    receivedAt: Instant,
  ): Promise<OnTheirWay>;
  /** These could not be stored; absent: none of them. */
  forget(messages: readonly (Heard | DeviceOutcome)[], made: OnTheirWay, at?: readonly number[]): void;
  /** All but the refused ones were stored. */
  stored(messages: readonly (Heard | DeviceOutcome)[], made: OnTheirWay, refused: readonly number[]): Promise<void>;
  /** What became of messages is known. */
  heard(outcomes: readonly DeviceOutcome[]): void;
}

export function messageProcessing(processing: Processing, stage: TransformationStage, health: DeviceHealth): MessageProcessing {
  function transform(message: Heard | DeviceOutcome): Heard | DeviceOutcome | Promise<Heard | DeviceOutcome> {
    if ('accepted' in message) return message;
    const { known } = message;
    try {
      const record = processing.transformation(known);
      if (record === undefined) return message;
      const { measures } = heardResults(message);
      if (measures === undefined) return message;
      const made = stage.run(measures, record);
      const joined = (one: Heard | DeviceOutcome): Heard | DeviceOutcome =>
        'transformed' in one && one.transformed ? { ...message, transformed: one.transformed } : one;
      return made instanceof Promise ? made.then(joined) : joined(made);
    } catch (error) {
      return {
        accepted: false,
        code: 'TRANSFORMATION_FAILED',
        reason: (error as Error).message,
        identity: known.identity,
      };
    }
  }

  const said = (messages: readonly (Heard | DeviceOutcome)[], { fragments, owners }: OnTheirWay, index: number) => ({
    known: (messages[owners[index] as number] as Heard).known,
    fragment: fragments[index] as Fragment,
  });

  return {
    get active() {
      return processing.active || health.active;
    },
    get transforms() {
      return processing.transforms;
    },
    isSlow(known) {
      try {
        const record = processing.transformation(known);
        return record !== undefined && stage.isSlow(record);
      } catch {
        // Its transformation is gone, which is said when the message is read.
        return false;
      }
    },
    transformed: (messages) => Promise.all(messages.map(transform)),
    async judged(messages, made, outcomes, receivedAt) {
      const all = made.fragments.map((_, index) => said(messages, made, index));
      const judging = all.map(({ known }) => processing.judges(known));
      if (!judging.includes(true)) return made;
      await processing.prepare(all.filter((_, index) => judging[index]));
      const fragments: Fragment[] = [];
      const owners: number[] = [];
      made.owners.forEach((owner, index) => {
        const message = messages[owner] as Heard;
        const one = all[index] as (typeof all)[number];
        let kept: Fragment | undefined = one.fragment;
        if (judging[index]) {
          const { fragment, refused } = processing.judge(one, message.receivedAt ?? receivedAt);
          const outcome = outcomes[owner] as DeviceOutcome;
          if (refused.length > 0 && outcome.accepted)
            outcomes[owner] = { ...outcome, warnings: [...(outcome.warnings ?? []), ...refused] };
          kept = fragment;
        }
        if (kept === undefined) return;
        fragments.push(kept);
        owners.push(owner);
      });
      return { fragments, owners };
    },
    forget(messages, made, at = made.fragments.map((_, index) => index)) {
      processing.forget(at.map((index) => said(messages, made, index)));
    },
    async stored(messages, made, refused) {
      if (refused.length > 0) this.forget(messages, made, refused);
      if (!health.active) return;
      const all = made.fragments.map((_, index) => said(messages, made, index));
      await health.stored(refused.length === 0 ? all : all.filter((_, index) => !refused.includes(index)));
    },
    heard(outcomes) {
      if (health.active) for (const { identity } of outcomes) if (identity !== undefined) health.heard(identity);
    },
  };
}
