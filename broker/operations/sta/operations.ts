import type { Caller } from '../../domain/access.ts';
import { badRequest, notFound } from '../../domain/errors.ts';
import type { JsonValue } from '../../domain/json.ts';
import type { Model } from '../../domain/sta/model.ts';
import type { Options } from '../../domain/sta/options.ts';
import type { ResourcePath } from '../../domain/sta/resource-path.ts';
import { type BulkResult, createObservations } from './bulk.ts';
import { Creation, type Ref, refOf } from './create.ts';
import { Removal, remove } from './delete.ts';
import type { StaDependencies } from './dependencies.ts';
import type { Item } from './item.ts';
import { planUnlink } from './links.ts';
import { extendBy } from './observations.ts';
import { type Read, read, resolve } from './read.ts';
import { Reader } from './reader.ts';
import { forgetExtents, planUpdate, type UpdateMode, update } from './update.ts';

// The API writes out what these operations answer, and sees them through this file alone.
export type { Answer, Page } from './answer.ts';
export type { BulkResult } from './bulk.ts';
export type { Item } from './item.ts';
export type { Read } from './read.ts';
export type { UpdateMode } from './update.ts';
export type { Everything, News, Told, Watch, Watcher } from './watch.ts';

/** Where a request came in: which sets there are, and the URL of the service root for links. */
export interface Root {
  readonly model: Model;
  readonly url: string;
}

/**
 * What SensorThings (OGC 18-088) does with entities and their history. Paths are checked against the model; bodies are not.
 * All throw DomainError: ResourceNotFound, BadRequestData, Conflict, Forbidden, TooManyResults, TooComplexQuery, Unavailable.
 */
export interface StaOperations {
  /** 9: an entity, a collection or a property. */
  read(caller: Caller, root: Root, path: ResourcePath, options: Options): Promise<Read>;
  /** 10.2: an entity and all that is inline in it, or nothing. @returns what was made */
  create(caller: Caller, root: Root, path: ResourcePath, body: JsonValue): Promise<Item>;
  /** 10.4. */
  update(caller: Caller, root: Root, path: ResourcePath, body: JsonValue, mode: UpdateMode): Promise<void>;
  /** 10.5. */
  remove(caller: Caller, root: Root, path: ResourcePath): Promise<void>;
  /** A member of a link to many (`Campaigns(1)/Datastreams(2)`) is one no longer; both stay. */
  unlink(caller: Caller, root: Root, path: ResourcePath): Promise<void>;
  /** 11: several writes as one, or none. @returns for each what was made, in their order */
  changeSet(caller: Caller, root: Root, changes: readonly StaChange[]): Promise<readonly (Item | undefined)[]>;
  /** 12.2. */
  createObservations(caller: Caller, root: Root, body: JsonValue): Promise<readonly BulkResult[]>;
}

/** One write of a change set. What it makes can be meant by `$name` in the bodies and places of later ones. */
export type StaChange =
  | { readonly kind: 'create'; readonly at: ResourcePath | Below; readonly body: JsonValue; readonly name?: string | undefined }
  | { readonly kind: 'update'; readonly at: ResourcePath; readonly body: JsonValue; readonly mode: UpdateMode }
  | { readonly kind: 'remove'; readonly at: ResourcePath };

/** A link of something that the change set makes. */
export interface Below {
  readonly name: string;
  readonly link: string;
}

export function staOperations(dependencies: StaDependencies): StaOperations {
  const readerFor = (caller: Caller, { model, url }: Root) => new Reader(dependencies, caller, model, url);

  /** The entity that a path of single entities names. */
  function target(reader: Reader, { many, end, steps }: ResourcePath): Promise<Item> {
    if (many || end.kind !== 'entities')
      throw badRequest('Only an entity can be changed or deleted, not a collection or a property');
    return resolve(reader, steps);
  }

  /** What was planned, as it is now. */
  async function created(caller: Caller, root: Root, ref: Ref): Promise<Item> {
    const reader = readerFor(caller, root);
    const stored = ref.number === undefined ? await reader.entity(ref.iri) : undefined;
    const found =
      ref.number === undefined ? stored && (await reader.entityAs(ref.set, stored)) : await reader.find(ref.set, ref.number);
    if (found === undefined) throw notFound('What was created was deleted at the same moment');
    return found;
  }

  async function planCreation(creation: Creation, at: ResourcePath | Below, body: JsonValue): Promise<Ref> {
    const { reader } = creation;
    if ('name' in at) {
      const parent = creation.named.get(at.name);
      const link = parent && reader.model.link(parent.set, at.link);
      if (parent === undefined || link === undefined || !link.many) throw notFound(`$${at.name} has no collection ${at.link}`);
      return creation.create(link.to, body, new Map([[link.inverse, parent]]));
    }
    if (!at.many || at.end.kind !== 'entities') throw badRequest('Entities are created in a collection, and this is none');
    const last = at.steps.at(-1);
    const implied = new Map<string, Ref>();
    if (last?.kind === 'link') {
      const parent = await resolve(reader, at.steps.slice(0, -1));
      const inverse = reader.model.link(parent.set, last.link)?.inverse;
      if (inverse !== undefined) implied.set(inverse, refOf(parent));
    }
    return creation.create(at.set, body, implied);
  }

  /** An Observation may have moved the ends of its series. */
  function extended(creation: Creation, item: Item): Item {
    if (item.origin.kind === 'instance' && item.set === 'Observations') {
      const { found } = item.origin;
      extendBy(creation, { id: found.id, name: found.name, datasetId: found.instance.datasetId }, found.instance);
    }
    return item;
  }

  return {
    read: (caller, root, path, options) => read(readerFor(caller, root), path, options),

    async create(caller, root, path, body) {
      const creation = new Creation(readerFor(caller, root));
      const ref = await planCreation(creation, path, body);
      await creation.plan.commit('createEntity');
      for (const step of creation.afterwards) await step();
      return extended(creation, await created(caller, root, ref));
    },

    async update(caller, root, path, body, mode) {
      const reader = readerFor(caller, root);
      const item = await target(reader, path);
      await update(reader, item, body, mode);
    },

    async remove(caller, root, path) {
      const reader = readerFor(caller, root);
      await remove(reader, await target(reader, path));
    },

    async unlink(caller, root, { steps }) {
      const creation = new Creation(readerFor(caller, root));
      const last = steps.at(-1);
      if (last?.kind !== 'link') throw badRequest('Only a member of a link can be taken out of it');
      const target = await resolve(creation.reader, steps);
      await planUnlink(creation, await resolve(creation.reader, steps.slice(0, -1)), last.link, target);
      await creation.plan.commit('updateAttrs');
    },

    async changeSet(caller, root, changes) {
      const creation = new Creation(readerFor(caller, root));
      const removal = new Removal(creation.reader, creation.plan);
      const made: (Ref | undefined)[] = [];
      const updated: Item[] = [];
      for (const change of changes) {
        if (change.kind === 'create') {
          const ref = await planCreation(creation, change.at, change.body);
          if (change.name !== undefined) creation.named.set(change.name, ref);
          made.push(ref);
          continue;
        }
        const item = await target(creation.reader, change.at);
        if (change.kind === 'remove') await removal.add(item);
        else {
          await planUpdate(creation, item, change.body, change.mode);
          updated.push(item);
        }
        made.push(undefined);
      }
      await creation.plan.commit('changeSet');
      for (const step of creation.afterwards) await step();
      await removal.finish();
      for (const item of updated) forgetExtents(creation.reader, item);
      return Promise.all(
        made.map(async (ref) => (ref === undefined ? undefined : extended(creation, await created(caller, root, ref)))),
      );
    },

    createObservations: (caller, root, body) => createObservations(readerFor(caller, root), body),
  };
}
