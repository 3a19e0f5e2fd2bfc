import type { ChangeDraft } from '../../domain/change.ts';
import type { Command } from '../../domain/command.ts';
import type { Entity } from '../../domain/entity.ts';
import { badRequest, DomainError } from '../../domain/errors.ts';
import type { Iri } from '../../domain/iri.ts';
import { isObject, type JsonObject, type JsonValue } from '../../domain/json.ts';
import { EntityEdit } from '../../domain/patch/edit.ts';
import { deleteEntity, type Moment } from '../../domain/patch.ts';
import { attributeValue, jsonInstance, targetsOf } from '../../domain/sta/lens/attributes.ts';
import { COMMAND_STATES, INFO, STATUS, THING, TYPE, term } from '../../domain/sta/lens/vocabulary.ts';
import { isOfTask } from '../../domain/sta/task-id.ts';
import { type CommandStates, checkTaskingParameters, taskStatus } from '../../domain/sta/tasking.ts';
import { writeMoment } from '../../domain/sta/time.ts';
import { toMicros } from '../../domain/time.ts';
import type { CommandOperations } from '../commands/operations.ts';
import type { CommandTarget } from '../devices/targets.ts';
import type { Creation, Ref } from './create.ts';
import type { StaDependencies } from './dependencies.ts';

/** What Tasks need of the commands of devices. */
export type Tasking = Pick<CommandOperations, 'targets' | 'send' | 'onState' | 'isOpen'>;

/**
 * Plans what a Task asks for: a parameter with the name of a command of the Thing's device is that command, which is given once the Task is stored.
 * @throws DomainError BadRequestData if the parameters are not those of the TaskingCapability
 */
export function planTask(creation: Creation, iri: Iri, properties: JsonObject, capability: Ref | undefined): void {
  const { plan, reader } = creation;
  const { clock, tasking } = reader.dependencies;
  const item = capability?.item;
  if (item === undefined) throw badRequest('A Task is created once its TaskingCapability is there, not along with it');
  const given = properties['taskingParameters'] as JsonObject;
  checkTaskingParameters(item.property('taskingParameters'), given);
  if (properties['creationTime'] == null) {
    const now = writeMoment(Math.floor(clock.micros() / 1000) * 1000);
    plan.put(iri, term('creationTime'), { type: 'Property', value: now });
  }
  const { origin } = item;
  const thing =
    origin.kind === 'command'
      ? origin.thing.id
      : origin.kind === 'entity'
        ? targetsOf(origin.stored.entity, THING)[0]
        : undefined;
  const targets = thing === undefined ? undefined : tasking?.targets.of(reader.tenant, thing);
  const asked: { readonly target: CommandTarget; readonly value: JsonValue }[] = [];
  for (const target of targets?.values() ?? []) {
    const value = given[target.command.name];
    if (value !== undefined && value !== null) asked.push({ target, value });
  }
  if (tasking === undefined || asked.length === 0) return;
  const states: CommandStates = Object.fromEntries(asked.map(({ target }) => [target.command.name, 'PENDING' as const]));
  plan.put(iri, STATUS, { type: 'Property', value: 'PENDING' });
  plan.put(iri, COMMAND_STATES, { type: 'JsonProperty', json: states });
  creation.afterwards.push(async () => {
    try {
      for (const { target, value } of asked) await tasking.send(reader.caller, target, value, { origin: iri });
    } catch (error) {
      await forget(reader.dependencies, creation, iri);
      throw error;
    }
  });
}

/** The device could not be asked: then there is no Task. */
async function forget({ entities, clock }: StaDependencies, { reader }: Creation, id: Iri): Promise<void> {
  await entities.commit([
    {
      tenant: reader.tenant,
      id,
      decide: (current) =>
        current === undefined ? undefined : deleteEntity(current, id, { at: clock.now(), stamp: clock.stamp() }),
    },
  ]);
}

/** From here on Tasks say how far their commands are: a command has not ended before its Task says so, also if the broker ends in between. */
export function followCommands({ entities, clock }: Pick<StaDependencies, 'entities' | 'clock'>, tasking: Tasking): void {
  const write = async ({ tenant, origin, name, state, info }: Command): Promise<void> => {
    const id = origin as Iri;
    const [outcome] = await entities.commit([
      {
        tenant,
        id,
        decide(current) {
          if (current === undefined) return undefined;
          const known = attributeValue(current, COMMAND_STATES);
          const states = { ...(isObject(known) ? (known as unknown as CommandStates) : {}), [name]: state };
          const edit = new EntityEdit(current, { at: clock.now(), stamp: clock.stamp() });
          edit.put(COMMAND_STATES, { type: 'JsonProperty', json: states });
          edit.put(STATUS, { type: 'Property', value: taskStatus(states) });
          if (info !== undefined && info !== null) edit.put(INFO, jsonInstance(info));
          return edit.draft(id);
        },
      },
    ]);
    if (outcome?.kind === 'refused') throw outcome.error;
  };
  // Commands that NGSI-LD gave have no Task.
  tasking.onState((command) => (isOfTask(command) ? write(command) : undefined));
}

/** Tasks that are looked at in one go. */
const LOOKED_AT = 200;

/**
 * A Task is stored before its commands are given. If the broker ended in between nobody was told that there is one, and it would wait for ever: it says that it failed.
 * Called at the start, when the commands that are open are known.
 */
export async function endUngivenTasks(
  { entities, clock }: Pick<StaDependencies, 'entities' | 'clock'>,
  tasking: Pick<Tasking, 'isOpen'>,
): Promise<void> {
  const started = clock.micros();
  const waiting = {
    types: { kind: 'type', type: TYPE.Tasks },
    where: { kind: 'compare', path: { names: [STATUS] }, operator: '==', value: { kind: 'literal', value: 'PENDING' } },
  } as const;
  for (const tenant of await entities.tenants()) {
    let after: number | undefined;
    do {
      const found = await entities.walk(tenant, waiting, { limit: LOOKED_AT, ...(after === undefined ? {} : { after }) });
      for (const { id, entity } of found) {
        if (toMicros(entity.createdAt) >= started || tasking.isOpen(tenant, id)) continue;
        await entities.commit([
          { tenant, id, decide: (current) => neverGiven(current, { at: clock.now(), stamp: clock.stamp() }) },
        ]);
      }
      after = found.length < LOOKED_AT ? undefined : found.at(-1)?.number;
    } while (after !== undefined);
  }
}

function neverGiven(current: Entity | undefined, moment: Moment): ChangeDraft | undefined {
  if (current === undefined || attributeValue(current, STATUS) !== 'PENDING') return undefined;
  const edit = new EntityEdit(current, moment);
  edit.put(STATUS, { type: 'Property', value: 'ERROR' });
  edit.put(INFO, jsonInstance('The broker ended before the command was given'));
  return edit.draft(current.id);
}

/** @throws DomainError Conflict */
export function refuseChange(): never {
  throw new DomainError('Conflict', 'A Task is what was asked for at its time, and is not changed: create another');
}
