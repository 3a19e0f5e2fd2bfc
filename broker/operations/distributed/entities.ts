import type { Caller } from '../../domain/access.ts';
import type { Attributes } from '../../domain/attribute.ts';
import type { EntityFragment } from '../../domain/entity.ts';
import { badRequest } from '../../domain/errors.ts';
import type { Iri } from '../../domain/iri.ts';
import type { UpdateResult } from '../../domain/patch.ts';
import type { EntityQuery, TypeSelection } from '../../domain/query/query.ts';
import { matchingInformation, type RegistrationMatch } from '../../domain/registration.ts';
import type { EntityOperations, Target } from '../entities.ts';
import { purgeFor } from './question.ts';
import type { Sources } from './sources.ts';
import { sourceError } from './sources.ts';
import { distributeWrite, type LocalWrite, loop, type PartialWrite } from './writes.ts';

/** Provision of single entities that may be spread over several brokers. What is returned says which parts were not done; undefined: all was. */
export type DistributedEntityOperations = {
  [K in keyof EntityOperations]: (...parameters: Parameters<EntityOperations[K]>) => Promise<PartialWrite | undefined>;
};

/** The operations of entities.ts in the same shape, for a broker without other sources. */
export function localEntities(local: EntityOperations): DistributedEntityOperations {
  return distributedEntities(local, NO_SOURCES);
}

export const NO_SOURCES: Sources = {
  alias: () => '',
  isLoop: () => false,
  inForce: () => [],
  ask: async () => ({ kind: 'unreachable', reason: 'there are no other sources' }),
  contextOf: async () => {
    throw badRequest('There are no other sources');
  },
};

/**
 * The operations of entities.ts, carried out here and at the context sources that they concern. A caller whose request is not to be passed on gets the
 * local operation as it is.
 */
export function distributedEntities(local: EntityOperations, sources: Sources): DistributedEntityOperations {
  const only = (fragment: EntityFragment, names: readonly Iri[] | undefined): EntityFragment => {
    if (names === undefined) return fragment;
    const attributes = Object.fromEntries(
      Object.entries(fragment.attributes).filter(([name]) => names.includes(name as Iri)),
    ) as Attributes;
    return { ...fragment, attributes };
  };
  const namesOf = ({ attributes }: EntityFragment) => Object.keys(attributes) as Iri[];
  const anyOf = (types: readonly Iri[]): TypeSelection => ({ kind: 'any', of: types.map((type) => ({ kind: 'type', type })) });

  function write(
    caller: Caller,
    operation: string,
    { id, types }: Target,
    attributes: readonly Iri[] | undefined,
    here: (caller: Caller, rest: readonly Iri[] | undefined) => Promise<UpdateResult | undefined> | Promise<void>,
  ): Promise<PartialWrite | undefined> {
    const localWrite: LocalWrite = async (rest) => (await here(caller, rest)) ?? undefined;
    if (caller.onward !== undefined)
      return distributeWrite(sources, caller, operation, { id, attributes, ...(types ? { types } : {}) }, localWrite);
    return localWrite(undefined).then((result) =>
      result === undefined || result.notUpdated.length === 0 ? undefined : partialOf(id, result),
    );
  }

  return {
    createEntity: (caller, entity) =>
      write(caller, 'createEntity', { id: entity.id, types: anyOf(entity.types) }, namesOf(entity), (as, rest) =>
        local.createEntity(as, { ...entity, ...only(entity, rest) } as typeof entity),
      ),
    replaceEntity: (caller, target, entity) =>
      write(
        caller,
        'replaceEntity',
        { ...target, ...(entity.types && !target.types ? { types: anyOf(entity.types) } : {}) },
        namesOf(entity),
        (as, rest) => local.replaceEntity(as, target, only(entity, rest)),
      ),
    mergeEntity: (caller, target, fragment, options) =>
      write(caller, 'mergeEntity', target, namesOf(fragment), (as, rest) =>
        local.mergeEntity(as, target, only(fragment, rest), options),
      ),
    deleteEntity: (caller, target) => write(caller, 'deleteEntity', target, undefined, (as) => local.deleteEntity(as, target)),
    updateAttributes: (caller, target, fragment) =>
      write(caller, 'updateEntity', target, namesOf(fragment), (as, rest) =>
        local.updateAttributes(as, target, only(fragment, rest)),
      ),
    appendAttributes: (caller, target, fragment, overwrite) =>
      write(caller, 'appendAttrs', target, namesOf(fragment), (as, rest) =>
        local.appendAttributes(as, target, only(fragment, rest), overwrite),
      ),
    partialUpdate: (caller, target, name, part) =>
      write(caller, 'updateAttrs', target, [name], (as) => local.partialUpdate(as, target, name, part)),
    replaceAttribute: (caller, target, name, instance) =>
      write(caller, 'replaceAttrs', target, [name], (as) => local.replaceAttribute(as, target, name, instance)),
    deleteAttribute: (caller, target, name, which) =>
      write(caller, 'deleteAttrs', target, [name], (as) => local.deleteAttribute(as, target, name, which)),

    async purgeEntities(caller, selection, scope) {
      const { onward } = caller;
      if (onward === undefined || selection.local) {
        await local.purgeEntities(caller, selection, scope);
        return undefined;
      }
      const questions = sources.inForce(caller, ['purgeEntity']).flatMap((source) => {
        const { registration } = source;
        const information =
          registration.mode === 'auxiliary' ? [] : matchingInformation(registration, matchOf(selection.query));
        const question = information.length === 0 ? undefined : purgeFor(onward, information);
        return question === undefined ? [] : [{ source, question }];
      });
      if (questions.length > 0 && sources.isLoop(caller)) throw loop(sources, caller);
      const [replies] = await Promise.all([
        Promise.all(questions.map(({ source, question }) => sources.ask(caller, source, question))),
        local.purgeEntities(caller, selection, scope),
      ]);
      const failures = replies.flatMap((reply, at) => {
        const source = questions[at]?.source;
        if (source === undefined || (reply.kind === 'answered' && (reply.status < 300 || reply.status === 404))) return [];
        return [{ error: sourceError(reply, source), registrationId: source.id, attributes: undefined }];
      });
      return failures.length === 0 ? undefined : { id: '' as Iri, success: true, updated: [], failures };
    },
  };
}

const partialOf = (id: Iri, { updated, notUpdated }: UpdateResult): PartialWrite => ({
  id,
  success: true,
  updated,
  failures: notUpdated.map(({ attributeName, reason }) => ({ error: badRequest(reason), attributes: [attributeName] })),
});

/** The part of a query that 5.12 matches with registrations. */
export function matchOf(query: EntityQuery): RegistrationMatch {
  return {
    ...(query.ids ? { ids: query.ids } : {}),
    ...(query.idPattern === undefined ? {} : { idPattern: query.idPattern }),
    ...(query.types ? { types: query.types } : {}),
    ...(query.anyAttribute ? { attributes: query.anyAttribute } : {}),
    ...(query.datasetIds ? { datasetIds: query.datasetIds } : {}),
  };
}
