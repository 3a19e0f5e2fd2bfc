import type { Command } from '../../domain/command.ts';
import { badRequest, DomainError } from '../../domain/errors.ts';
import type { Iri } from '../../domain/iri.ts';
import { isObject, type JsonObject, type JsonValue } from '../../domain/json.ts';
import { EntityEdit } from '../../domain/patch/edit.ts';
import { deleteEntity } from '../../domain/patch.ts';
import { attributeValue, jsonInstance, targetsOf } from '../../domain/sta/lens/attributes.ts';
import { COMMAND_STATES, INFO, STATUS, THING, term } from '../../domain/sta/lens/vocabulary.ts';
import { isOfTask } from '../../domain/sta/task-id.ts';
import { type CommandStates, checkTaskingParameters, taskStatus } from '../../domain/sta/tasking.ts';
import { writeMoment } from '../../domain/sta/time.ts';
import type { CommandOperations } from '../commands/operations.ts';
import type { CommandTarget } from '../devices/targets.ts';
import type { Creation, Ref } from './create.ts';
import type { StaDependencies } from './dependencies.ts';

/** What Tasks need of the commands of devices. */
export type Tasking = Pick<CommandOperations, 'targets' | 'send' | 'onState'>;

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

/** From here on Tasks say how far their commands are. */
export function followCommands(
  { entities, clock }: Pick<StaDependencies, 'entities' | 'clock'>,
  tasking: Tasking,
  onError: (error: unknown) => void,
): void {
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
  tasking.onState((command) => {
    // Commands that NGSI-LD gave have no Task.
    if (isOfTask(command)) write(command).catch(onError);
  });
}

/** @throws DomainError Conflict */
export function refuseChange(): never {
  throw new DomainError('Conflict', 'A Task is what was asked for at its time, and is not changed: create another');
}
